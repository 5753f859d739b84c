"""Work in a separate process: one that hangs is ended, one that dies is reported, and a new one is started.

A child process that exchanges pickles over its pipes. Unlike a pool it works within daemonic processes (such as
Dask's workers), needs no `if __name__ == "__main__"` in scripts, and one can be ended without the others.
"""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import IO, Any, Generic, TypeVar

from psmnet.errors import InputError, PsmnetError
from psmnet.runtime import keep_memory
from psmnet.system.process_errors import out_of_memory, process_died, unusable

Item = TypeVar("Item")
Result = TypeVar("Result")

START_S = 120.0  # for imports; not counted as the work's time
END_S = 5.0
LARGER_MACHINE = "run it on a larger machine, or leave it out"
CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from psmnet.system import worker_process; worker_process.serve()"
)


class Isolated(Generic[Item, Result]):
    """A process that works on one item after another.

    It starts with the first item, keeps what was set up, and ends with `close` or with this process. It ignores
    Ctrl-C.

    Args:
        setup: an imported module's function (or partial of one), called once in the process; returns the work.

    Example:
        >>> def setup(): return str.upper                              # doctest: +SKIP
        >>> with Isolated(setup) as worker:                            # doctest: +SKIP
        ...     worker.run("a", timeout_s=60)
    """

    def __init__(self, setup: Callable[[], Callable[[Item], Result]]) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Isolated[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, item: Item, timeout_s: float) -> Result:
        """Work on one item.

        Args:
            item: what `setup`'s work takes; pickled, as is what it returns.
            timeout_s: after which the process is ended.

        Raises:
            PsmnetError: as the setup or the work raised it; it took too long; or its process was killed.
        """
        late = InputError(f"it took longer than {timeout_s:g} s", "allow more time, or leave it out", code="timeout")
        result: Result = _ask(self._started(), item, timeout_s, late)
        return result

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _started(self) -> "subprocess.Popen[bytes]":
        running = self._process
        if running is not None and running.poll() is None:
            return running
        self.close()
        # Another thread may close it meanwhile: asking then fails with an error.
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C goes to the parent only
        )
        try:
            with contextlib.suppress(BrokenPipeError, ValueError):  # it died at once: asking reports it
                pickle.dump(sys.path, _pipe(process.stdin))
            what = f"a process did not start within {START_S:g} s"
            late = InputError(what, "try again with fewer workers", code="workers")
            _ask(process, self._setup, START_S, late)
        except PsmnetError:
            self.close()
            raise
        return process


def _ask(process: "subprocess.Popen[bytes]", question: Any, timeout_s: float, late: PsmnetError) -> Any:
    """Send a question and wait for the answer, or raise what came instead."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        # Pickled twice: a question that can't be unpickled there must not break the pipe.
        pickle.dump(pickle.dumps(question), _pipe(process.stdin))
        _pipe(process.stdin).flush()
        done, answer = pickle.load(_pipe(process.stdout))
    except (EOFError, OSError, pickle.UnpicklingError, ValueError) as error:  # ValueError: closed by another thread
        _end(process)
        died = process_died("its process", LARGER_MACHINE, exit_code=process.returncode, code="process-died")
        raise (late if expired.is_set() else died) from error
    finally:
        timer.cancel()
    if not done:
        raise answer
    return answer


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(OSError):  # it may have ended already
        _pipe(process.stdin).close()  # which ends it
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _pipe(process.stdout).close()


def serve() -> None:
    """The process's main loop: answer (True, result) or (False, error), first to the setup."""
    keep_memory()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print must not come between answers
        questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(questions,), daemon=True).start()
        work: Callable[[Any], Any] | None = None
        while True:
            question = questions.get()
            done, answer = _attempt(partial(_answer, work, question))
            if done and work is None:
                work, answer = answer, None
            pickle.dump((done, answer), answers)
            answers.flush()


def _listen(questions: "queue.SimpleQueue[bytes]") -> None:
    """Pass questions on; the pipe ends when the parent does, and then this process ends, too."""
    while True:
        try:
            questions.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError):
            os._exit(0)


def _answer(work: Callable[[Any], Any] | None, question: bytes) -> Any:
    asked = pickle.loads(question)
    return asked() if work is None else work(asked)


def _attempt(work: Callable[[], Any]) -> tuple[bool, Any]:
    try:
        return True, work()
    except PsmnetError as error:
        return False, error
    except MemoryError:
        return False, out_of_memory(LARGER_MACHINE)
    except OSError as error:
        name = PurePath(error.filename).name if error.filename else None  # its folder may name a patient
        return False, unusable(error, name, "check paths, permissions and free space")
    except Exception as error:  # a bug: the other items go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({PurePath(last.filename).name}:{last.lineno})"
        return False, InputError(what, "please report this")
