"""Processes that hang, die and fail; what they do stands in this module, since it is pickled by name."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from psmnet.errors import ConfigError, InputError
from psmnet.system.worker_process import Isolated


def act(prefix: str, item: str) -> str:
    kind, _, rest = item.partition(":")
    if kind == "sleep":
        time.sleep(float(rest))
    if kind == "print":
        os.write(1, rest.encode())
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(7)
    if kind == "refuse":
        raise ConfigError("a bad setting", "mend it")
    if kind == "bug":
        return str({}[rest])
    if kind == "missing":
        Path(rest).read_text()
    if kind == "memory":
        raise MemoryError
    return f"{prefix} {item} {os.getpid()}"


def setup(prefix: str = "did"):
    return partial(act, prefix)


def bad_setup():
    raise InputError("weights are missing", "give weights")


@pytest.fixture(scope="module")
def worker():
    with Isolated(setup) as found:
        yield found


def test_a_process_is_kept_from_piece_to_piece(worker):
    first, second = (worker.run(item, 60).split() for item in ("a", "b"))
    assert (first[:2], second[:2]) == (["did", "a"], ["did", "b"])
    assert first[2] == second[2]
    assert first[2] != str(os.getpid())


def test_one_that_hangs_is_ended_and_the_next_goes_on(worker):
    before = worker.run("a", 60).split()[2]
    began = time.monotonic()
    with pytest.raises(InputError, match=r"it took longer than 0\.2 s; allow more time"):
        worker.run("sleep:600", 0.2)
    assert time.monotonic() - began < 60
    assert worker.run("b", 60).split()[2] != before
    assert not os.path.exists(f"/proc/{before}")  # noqa: PTH110


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_one_that_is_killed_is_noticed_and_the_next_goes_on(worker):
    with pytest.raises(InputError, match=r"its process was killed \(SIGKILL\): probably out of memory"):
        worker.run("die", 60)
    assert worker.run("b", 60).startswith("did b")


def test_one_that_ends_is_noticed(worker):
    with pytest.raises(InputError, match="its process ended with code 7"):
        worker.run("exit", 60)


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        ("refuse", ConfigError, "a bad setting; mend it"),
        ("memory", InputError, "out of memory"),
        ("missing:/tmp/Jane Doe/gone.txt", InputError, "can't use gone.txt "),
        ("bug:key", InputError, r"KeyError: 'key' \(test_worker_process.py:\d+\); please report"),
    ],
)
def test_errors_come_back_and_the_process_stays(worker, item, kind, message):
    before = worker.run("a", 60)
    with pytest.raises(kind, match=message):
        worker.run(item, 60)
    assert worker.run("a", 60) == before


def test_a_setup_that_fails_says_why():
    with Isolated(bad_setup) as worker, pytest.raises(InputError, match="weights are missing"):
        worker.run("a", 60)


def test_settings_reach_the_process():
    with Isolated(partial(setup, "made")) as worker:
        assert worker.run("a", 60).startswith("made a")


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 1.5])
def test_closing_from_another_thread_is_told_to_the_one_that_waits(delay_s):
    worker = Isolated(setup)
    closing = threading.Timer(delay_s, worker.close)
    told: list[BaseException] = []

    def work() -> None:
        try:
            worker.run("sleep:600", 900)
        except BaseException as error:
            told.append(error)

    working = threading.Thread(target=work, daemon=True)
    working.start()
    closing.start()
    while working.is_alive():  # closed before its process began: once more
        worker.close()
        working.join(0.2)
    assert isinstance(told[0], InputError), told
    assert "its process" in str(told[0])


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_worker_process import setup
from psmnet.system.worker_process import Isolated
worker = Isolated(setup)
print(worker.run("a", 60).split()[2], flush=True)
worker.run("sleep:600", 900)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_process_ends_with_its_parent_in_the_middle_of_work():
    arguments = [sys.executable, "-c", PARENT, str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.2)
        parent.kill()
    child.wait(20)


def test_what_libraries_print_does_not_come_between_answers():
    with Isolated(partial(setup, "did")) as worker:
        worker.run("print:noise", 60)
        assert worker.run("a", 60).startswith("did a")


def test_what_can_not_be_read_there_is_told():
    with Isolated(setup) as worker, pytest.raises(InputError, match="please report"):
        worker.run(Unreadable(), 60)  # type: ignore[arg-type]


class Unreadable:
    """Pickles well, unpickles ill."""

    def __reduce__(self):
        return int, ("no number",)
