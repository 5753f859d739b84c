import os
import signal
import subprocess
import sys
import time

import pytest

from psmnet.errors import InputError
from psmnet.system.parallel import map_cases


def square(number: int) -> int:
    if number == 3:
        raise InputError(f"can't square {number}", "give another")
    if number == 4:
        raise FileNotFoundError(2, "No such file or directory", "four.nii")
    return number * number


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_case_does_not_stop_the_others(jobs):
    found = dict(map_cases(square, [1, 2, 3, 4, 5], jobs))
    assert {n: r for n, r in found.items() if isinstance(r, int)} == {1: 1, 2: 4, 5: 25}
    assert str(found[3]) == "can't square 3; give another"
    assert "can't use four.nii (No such file or directory)" in str(found[4])


def test_no_items_is_no_work():
    assert list(map_cases(square, [], 2)) == []


def test_a_killed_process_is_said():
    found = dict(map_cases(die, [2, 2], 2))
    assert "a process was killed: probably out of memory, or the script lacks" in str(found[2])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_go_when_their_parent_is_killed(tmp_path):
    (tmp_path / "waiting.py").write_text(
        "import os, pathlib, time\n"
        "from psmnet.system.parallel import map_cases\n"
        "def work(n):\n"
        "    pathlib.Path(f'{n}.pid').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(map_cases(work, [1, 2], 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "waiting.py"], cwd=tmp_path)
    pids = [tmp_path / "1.pid", tmp_path / "2.pid"]
    wait_for(lambda: all(path.exists() and path.read_text() for path in pids))
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(is_running(int(path.read_text())) for path in pids))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
        return stream.read().split()[2] != "Z"


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
