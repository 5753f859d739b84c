import platform
import subprocess
import sys

import pytest

from psmnet.errors import ConfigError
from psmnet.runtime import keep_memory, pick_device

PAGES_TOUCHED_ANEW = """
import resource, sys
import numpy as np
from psmnet.runtime import keep_memory

def turn():
    arrays = [np.ones(24 << 17) for _ in range(4)]  # of 24 MiB: more at once than glibc keeps by itself

if sys.argv[1] == "keep":
    keep_memory()
turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    command = [sys.executable, "-c", PAGES_TOUCHED_ANEW, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_freed_memory_is_kept_for_the_next_array():
    assert faults("keep") < faults("plain") / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", None)  # would fail if called
    keep_memory()


def test_a_device_that_is_not_there():
    with pytest.raises(ConfigError, match="'cuda:99' is not available on this machine; give cpu or auto"):
        pick_device("cuda:99")
