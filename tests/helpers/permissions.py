"""Permissions that bind root, too, so that tests of unreadable files mean something wherever they run."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import pytest

VERSION_3 = 0x20080522
READ_ANYTHING = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
SET_SECUREBITS, NO_ROOT = 28, 1  # programs that are started get no capabilities for being root's


@contextlib.contextmanager
def binding() -> Iterator[None]:
    """Within, this thread and what it starts reads only what permissions allow; skips where that can't be had."""
    if sys.platform == "win32":
        pytest.skip("no permissions as on Unix")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root reads everything")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the same for capabilities from 32 on
    assert libc.capget(header, data) == 0
    before = data[0]
    if libc.prctl(SET_SECUREBITS, NO_ROOT, 0, 0, 0) != 0:
        pytest.skip("root reads everything, and can't be kept from it here")
    data[0] = before & ~READ_ANYTHING
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data[0] = before
        assert libc.capset(header, data) == 0
        assert libc.prctl(SET_SECUREBITS, 0, 0, 0, 0) == 0
