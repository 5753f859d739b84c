"""Devices, threads and versions. torch is imported inside the functions that need it."""

import ctypes
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psmnet.errors import ConfigError

if TYPE_CHECKING:
    import torch

# Of glibc's malloc.h. Blocks below HEAP_BLOCK_BYTES (32 MiB is the maximum) come from the heap, and KEPT_BYTES of free
# heap stay with the process.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
HEAP_BLOCK_BYTES, KEPT_BYTES = 32 << 20, 512 << 20

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "SimpleITK", "safetensors")


def pick_device(name: str = "auto") -> "torch.device":
    """A device by name; `auto` is CUDA where available, else the CPU (MPS only by name).

    Raises:
        ConfigError: no such device on this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} is not available on this machine", "give cpu or auto") from error
    return device


def keep_memory() -> None:
    """Keep freed memory in this process for the next large array, where the C library is glibc.

    By default glibc returns such memory to the system at once and requests it again, zeroed page by page, which takes
    up to half of the time of matching. The setting affects the whole process, so that programs make it and not the
    library's functions.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def package_version() -> str:
    """psmnet's own version."""
    return version("psmnet")


def versions() -> dict[str, str]:
    """Versions of Python, psmnet and the packages that its results depend on; imports none of them."""
    found = {"python": platform.python_version(), "psmnet": package_version(), **_revision()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def _revision() -> dict[str, str]:
    """The commit, with + if files were changed, where psmnet runs from a git checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        ran = subprocess.run(
            ["git", "-C", root, "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"revision": ran.stdout.strip()}


def machine() -> dict[str, Any]:
    """What results depend on besides the code; no host or user name."""
    import torch

    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
