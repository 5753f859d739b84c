"""Errors of a viewer that have a meaning of their own in HTTP."""

import re
from pathlib import Path, PurePath

from psmnet.errors import PsmnetError
from psmnet.viewer.words import WORDS


class NotFound(PsmnetError):
    """No such scan, label set, job or file."""


class Gone(PsmnetError):
    """A file that the server made and that somebody has deleted from its data folder."""


class Incomplete(PsmnetError):
    """The data folder is no longer whole: nothing can be written before the server starts again."""


class InUse(PsmnetError):
    """Something that a job still needs."""


class TooLarge(PsmnetError):
    """More bytes than are taken in."""


class TooMany(PsmnetError):
    """No room for another one."""


STATUS: dict[type[PsmnetError], int] = {
    NotFound: 404,
    InUse: 409,
    Gone: 410,
    TooLarge: 413,
    TooMany: 429,
    Incomplete: 503,
}
UNUSABLE = 422  # every other PsmnetError: what was sent can't be used


# What the server's own files are to whoever is outside: by their names without endings.
CALLED = {
    "source": "the scan",
    "view": "the scan",
    "slices": "the scan",
    "given": "the labels",
    "labels": "the labels",
    "masks": "the labels",
    "query_seg": "the mask",
}


def public_message(error: PsmnetError, root: Path) -> str:
    """An error as people in a browser can use it: with remedies in their words, without the server's file names."""
    return without_server_names(error.worded(WORDS), root)


def without_server_names(text: str, root: Path) -> str:
    """A line that tells no folder of the server's, nor the names that it gives to files."""
    text = re.sub(re.escape(str(root)) + r"[^\s,;:()']*", lambda path: _called(path[0]), text)
    text = re.sub(
        rf"\b({'|'.join(CALLED)})\.(nii\.gz|nii|nrrd|seg\.nrrd|mha|dcm)\b", lambda file: _called(file[0]), text
    )
    return re.sub(r"\b0\d{4}(\.(nii\.gz|nii|nrrd|mha))?\b", "a file", text)  # as zips are unpacked


def _called(path: str) -> str:
    return CALLED.get(PurePath(path).name.split(".")[0], "the file")
