"""What went wrong in a process of its own, as errors that say what to do."""

import signal

from psmnet.errors import InputError

MAIN_GUARD = "the script lacks if __name__ == '__main__'"


def process_died(
    which: str, remedy: str, *, exit_code: int | None = None, also: tuple[str, ...] = (), code: str | None = None
) -> InputError:
    """The error for a process that ended before its work was done; the likeliest cause is memory.

    Args:
        which: process, as the sentence's subject.
        remedy: what to do.
        exit_code: of the process, if known; negative: the signal that killed it.
        also: other possible causes.
        code: of the error.
    """
    if exit_code is not None and exit_code >= 0:
        return InputError(f"{which} ended with code {exit_code}", remedy, code=code)
    names = {int(number): number.name for number in signal.Signals}
    by = f" ({names.get(-exit_code, -exit_code)})" if exit_code is not None else ""
    return InputError(f"{which} was killed{by}: {', or '.join(('probably out of memory', *also))}", remedy, code=code)


def out_of_memory(remedy: str, *, code: str | None = None) -> InputError:
    """The error for work that asked for more memory than there is."""
    return InputError("out of memory", remedy, code=code)


def unusable(error: OSError, where: str | None, remedy: str) -> InputError:
    """The error for a file that work could not use; `where` is what to call it, None if the output was meant."""
    doing = f"use {where}" if where else "write the output"
    return InputError(f"can't {doing} ({error.strerror or error})", remedy)
