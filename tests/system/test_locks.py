"""One writer per folder."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from psmnet.errors import InputError
from psmnet.system.locks import LOCK_NAME, locked


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    return process.pid


def signed(tmp_path: Path) -> list[str]:
    """Lines of a lock of this process."""
    with locked(tmp_path / "other"):
        return (tmp_path / "other" / LOCK_NAME).read_text().splitlines()


def write_lock(folder: Path, lines: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / LOCK_NAME
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_running_owners_folder_is_refused_and_its_lock_stays(tmp_path):
    _, host, *_ = signed(tmp_path)
    path = write_lock(tmp_path / "run", [str(os.getppid()), host])
    with pytest.raises(InputError, match=f"being written by process {os.getppid()} on .*; wait for it"):
        locked(tmp_path / "run").__enter__()
    assert path.exists()


def test_a_dead_owners_folder_is_taken_over(tmp_path):
    _, host, *_ = signed(tmp_path)
    path = write_lock(tmp_path / "run", [str(dead_pid()), host])
    with locked(tmp_path / "run"):
        assert path.read_text().startswith(f"{os.getpid()}\n")
    assert not path.exists()


def test_an_owner_whose_process_id_was_given_to_another_process_is_dead(tmp_path):
    pid, host, *start = signed(tmp_path)
    if not start:
        pytest.skip("this system does not tell when a process started")
    path = write_lock(tmp_path / "run", [pid, host, str(int(start[0]) - 1)])
    with locked(tmp_path / "run"):
        assert path.read_text().splitlines()[2:] == start


def test_an_owner_on_another_host_is_believed(tmp_path):
    write_lock(tmp_path / "run", [str(dead_pid()), "elsewhere"])
    with pytest.raises(InputError, match="on elsewhere; wait for it, or delete"):
        locked(tmp_path / "run").__enter__()


@pytest.mark.parametrize("content", ["", "{", "12", "12\n", "no\nhost\n"])
def test_a_lock_cut_off_in_writing_is_taken_over_after_a_while(tmp_path, content):
    (tmp_path / LOCK_NAME).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="being written by another process"):
        locked(tmp_path).__enter__()  # it may be about to be signed
    os.utime(tmp_path / LOCK_NAME, (0, 0))
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text().startswith(f"{os.getpid()}\n")
    assert not (tmp_path / LOCK_NAME).exists()


def test_a_lock_is_not_taken_twice_by_one_process(tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(InputError):
            locked(tmp_path / "run").__enter__()
        assert (tmp_path / "run" / LOCK_NAME).exists()
    with locked(tmp_path / "run"):
        pass


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="can't write"):
        locked(tmp_path / "file" / "run").__enter__()


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file is a file; give a folder"):
        locked(tmp_path / "file").__enter__()
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("there", "written", "stays"), [(False, False, False), (False, True, True), (True, False, True)]
)
def test_a_new_folder_goes_again_if_nothing_is_written(tmp_path, there, written, stays):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with contextlib.suppress(KeyboardInterrupt), locked(folder):
        if written:
            (folder / "result").touch()
        raise KeyboardInterrupt
    assert folder.exists() is stays
    assert not (folder / LOCK_NAME).exists()
