"""Work in a process of its own: one that hangs is ended, one that dies is noticed, and either starts anew."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from psmnet.errors import InputError, PsmnetError

Item = TypeVar("Item")
Result = TypeVar("Result")

START_S = 120.0  # to import what is needed; not the work's own time
END_S = 5.0


class Isolated(Generic[Item, Result]):
    """A process that does one piece of work after another, as a worker of many.

    It is started by the first piece, keeps what was set up, and ends with `close` or with this process.

    Args:
        setup: a module's function (or partial of one), called there once; returns the work.

    Example:
        >>> def setup(): return str.upper                              # doctest: +SKIP
        >>> with Isolated(setup) as worker:                            # doctest: +SKIP
        ...     worker.run("a", timeout_s=60)
    """

    def __init__(self, setup: Callable[[], Callable[[Item], Result]]) -> None:
        self._setup = setup
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "Isolated[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, item: Item, timeout_s: float) -> Result:
        """Do one piece of work.

        Args:
            item: what `setup`'s work takes; pickled, as is what it returns.
            timeout_s: after which it is given up.

        Raises:
            PsmnetError: as the setup or the work raised it; it took too long; or its process was killed.
        """
        pipe = self._started()
        try:
            pipe.send(item)
            if not pipe.poll(timeout_s):
                self._end()
                raise InputError(f"it took longer than {timeout_s:g} s", "allow more with --timeout, or leave it out")
            done, answer = pipe.recv()
        except (EOFError, OSError) as error:
            raise InputError(self._epitaph(), "run it on a larger machine, or leave it out") from error
        if not done:
            raise answer
        result: Result = answer
        return result

    def close(self) -> None:
        """Let the process end."""
        if self._pipe is not None:
            self._pipe.close()  # it reads the end of its pipe
        if self._process is not None:
            self._process.join(END_S)
        self._end()

    def _started(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self._end()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._setup), daemon=True)
        self._process.start()
        theirs.close()
        try:
            if not self._pipe.poll(START_S):
                self._end()
                raise InputError(f"a process did not start within {START_S:g} s", "try again with fewer --workers")
            done, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise InputError(self._epitaph(), "run again with fewer --workers") from error
        if not done:
            self._end()
            raise answer
        return self._pipe

    def _epitaph(self) -> str:
        """What became of a process whose pipe is at its end."""
        assert self._process is not None
        self._process.join(END_S)
        code = self._process.exitcode
        self._end()
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
            return f"its process was killed ({name}), perhaps for want of memory"
        return f"its process ended with code {code}"

    def _end(self) -> None:
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join(END_S)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, setup: Callable[[], Callable[[Any], Any]]) -> None:
    """What the process does: answer (True, result) or (False, error), first for the setup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    work: Callable[[Any], Any] | None = None
    answer = _attempt(lambda _: setup(), None)
    if answer[0]:
        work = answer[1]
        answer = True, None
    pipe.send(answer)
    while work is not None:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            break
        pipe.send(_attempt(work, item))
    os._exit(0)  # threads of libraries must not keep it


def _attempt(work: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, work(item)
    except PsmnetError as error:
        return False, error
    except MemoryError:
        return False, InputError("it doesn't fit into memory", "run it on a larger machine, or leave it out")
    except OSError as error:
        where = f"use {os.path.basename(error.filename)}" if error.filename else "write the output"  # noqa: PTH119
        return False, InputError(f"can't {where} ({error.strerror or error})", "check paths and free space")
    except Exception as error:  # the others go on; a person has to look at this one
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"  # noqa: PTH119
        return False, InputError(what, "please report this")
