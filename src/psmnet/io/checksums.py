"""Checksums of scans and labels, for files and folders."""

import hashlib
from pathlib import Path

from psmnet.errors import InputError
from psmnet.io.itk_header import read_itk_header
from psmnet.system import sha256_of


def checksum(path: Path) -> str:
    """SHA-256 of a scan or labels: of a file, or of the names and contents of all files below a folder.

    Raises:
        InputError: it can't be read.
    """
    try:
        if path.is_dir():
            next(path.iterdir(), None)  # rglob passes over a folder that may not be read
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            return digest(*(f"{p.relative_to(path).as_posix()} {sha256_of(p)}" for p in inside))
        if path.name.lower().endswith(".mhd"):
            return digest(sha256_of(path), sha256_of(read_itk_header(path).holder))
        return sha256_of(path)
    except OSError as error:
        raise InputError(
            f"can't read {path} ({error.strerror or error})", "check the path and its permissions"
        ) from error


def digest(*texts: str) -> str:
    """SHA-256 of texts, one a line."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
