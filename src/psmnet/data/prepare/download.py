"""Fetching the free data sets: files of a record, resumable, and verified by size and checksum."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from psmnet.data.prepare.zenodo import RemoteFile, refusal
from psmnet.errors import InputError
from psmnet.system import BLOCK, Lost, Refused, StoredFile, locked, open_url, read

PAUSES_S = (1.0, 4.0, 15.0)  # before each new try of a connection that broke

ProgressReport = Callable[[int, str], None]


@dataclass(frozen=True)
class Fetched:
    """A file on disk that matches its record; `kept` if it was there before."""

    path: Path
    size: int
    kept: bool


class StartedDownload(StoredFile):
    """Beside a file that is not complete: checksum and size in the record that it is downloaded from."""

    checksum: str
    size: int


def size_text(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size:,} bytes"


def fetch(files: Sequence[RemoteFile], folder: Path, report: ProgressReport = lambda done, note: None) -> list[Fetched]:
    """Download files into a folder. Complete ones are kept, interrupted ones continued.

    Args:
        files: files to download, from `find_files`.
        folder: target folder; created if missing, and locked meanwhile.
        report: called with the bytes of all files so far, and a note.

    Returns:
        The files in the folder, in the same order.

    Raises:
        InputError: no network or a lost one, a refusal, a file that doesn't match its record, no space.
    """
    with locked(folder):
        there = [_is_there(folder / file.name, file) for file in files]
        _require_space(folder, [file for file, kept in zip(files, there, strict=True) if not kept])
        fetched, before = [], 0
        for file, kept in zip(files, there, strict=True):
            if not kept:
                _fetch_one(file, folder / file.name, _after(before, report))
            before += file.size
            report(before, file.name)
            fetched.append(Fetched(folder / file.name, file.size, kept))
        return fetched


def _after(before: int, report: ProgressReport) -> ProgressReport:
    return lambda done, note: report(before + done, note)


def _is_there(target: Path, file: RemoteFile) -> bool:
    try:
        if not target.exists():
            return False
        if target.is_file() and target.stat().st_size == file.size and _digest(target, file) == file.checksum:
            return True
    except OSError as error:
        raise InputError(f"can't read {target} ({error.strerror or error})", "check its permissions") from error
    raise InputError(
        f"{target} is there, but is not the {file.name} of the record ({file.size:,} bytes, {file.checksum})",
        "move it away, or choose another folder",
    )


def _require_space(folder: Path, files: Sequence[RemoteFile]) -> None:
    needed = sum(max(0, file.size - _held(_part_of(folder / file.name))) for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {size_text(free)} free, but {size_text(needed)} are missing",
            "free some space, or choose another folder",
        )


def _fetch_one(file: RemoteFile, target: Path, report: ProgressReport) -> None:
    part = _part_of(target)
    try:
        if _held(part) > file.size or (part.exists() and not _is_of(part, file)):
            _drop(part)  # of another version
        for pause in (*PAUSES_S, None):
            try:
                if not part.exists() or _held(part) < file.size:
                    _stream(file, part, report)
                break
            except Lost as lost:
                if pause is None:
                    what = f"{lost}; {_held(part):,} of {file.size:,} bytes of {file.name} are kept"
                    raise InputError(what, "check the network, then run the command again to continue") from lost
                report(_held(part), "connection lost, trying again")
                time.sleep(pause)
        report(file.size, f"checking {file.name}")
        digest = _digest(part, file)
        if digest != file.checksum:
            _drop(part)
            raise InputError(
                f"{file.name} from {file.url} has {digest}, its record says {file.checksum}; it was deleted",
                "download it again, or give another mirror",
                code="mirror-again",
            )
        part.replace(target)
        _sidecar(part).unlink(missing_ok=True)
    except OSError as error:  # of the disk; network errors are caught where they occur
        what = f"can't write {part} ({error.strerror or error}); {_held(part):,} of {file.size:,} bytes are kept"
        raise InputError(
            what, "free some space and check permissions, then run the command again to continue"
        ) from error


def _stream(file: RemoteFile, part: Path, report: ProgressReport) -> None:
    """Append what is missing, or start again if the server only sends the whole file."""
    start = _held(part)
    try:
        response = open_url(file.url, start)
    except Refused as refused:
        if refused.status != 416 or not start:
            raise refusal(refused, f"; {start:,} bytes of {file.name} are kept" if start else "") from refused
        _drop(part)
        raise Lost(f"{file.url} has no bytes from {start:,} on") from refused
    with response:
        done = _first_byte(response, file, part, start)
        if not done:
            StartedDownload(checksum=file.checksum, size=file.size).write(_sidecar(part))
        with part.open("ab" if done else "wb") as stream:
            # Without an announced length one byte more is requested, to notice a file that is too long.
            end = file.size + (response.length is None)
            while done < end and (block := read(response, min(BLOCK, end - done), file.url)):
                stream.write(block)
                done += len(block)
                report(min(done, file.size), file.name)
    if done > file.size:
        _drop(part)
        raise InputError(
            f"{file.url} sends more than the {file.size:,} bytes that the record gives {file.name}; it was deleted",
            "give another mirror",
            code="mirror",
        )
    if done < file.size:
        raise Lost(f"the connection to {file.url} broke")


def _first_byte(response: HTTPResponse, file: RemoteFile, part: Path, start: int) -> int:
    """Offset at which an answer starts. A file of another size is refused before anything is written."""
    if response.status == 206:
        span = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            _drop(part)  # this server can't continue a file: the next try requests all of it
            raise Lost(f"{file.url} sends other bytes than requested")
        size = None if span[2] == "*" else int(span[2])
        right = start + (response.length or 0) <= file.size  # less is legal: the rest is requested
    else:
        start, size = 0, response.length
        right = response.status == 200
    if not right or size not in (None, file.size):
        bytes_ = f"{size:,}" if size is not None else "too many"
        what = f"{file.url} has {bytes_} bytes (status {response.status}), the record gives {file.name} {file.size:,}"
        raise InputError(what, "give another mirror", code="mirror")
    return start


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _held(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _is_of(part: Path, file: RemoteFile) -> bool:
    return StartedDownload.find(_sidecar(part)) == StartedDownload(checksum=file.checksum, size=file.size)


def _digest(path: Path, file: RemoteFile) -> str:
    """Checksum of a file on disk, by the algorithm of its record."""
    algorithm = file.checksum.partition(":")[0]
    with path.open("rb") as stream:
        # Zenodo gives md5. Declared as no protection, it is allowed where it otherwise is not.
        digest = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"
