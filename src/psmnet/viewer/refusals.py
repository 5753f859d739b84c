"""Errors of a viewer that have an HTTP status of their own, and their texts for people in a browser."""

import re
from pathlib import Path, PurePath

from psmnet.errors import PsmnetError
from psmnet.viewer.words import WORDS


class NotFound(PsmnetError):
    """No such scan, label set, job or file."""


class Gone(PsmnetError):
    """A file of the server has been deleted from its data folder."""


class Incomplete(PsmnetError):
    """A part of the data folder has been deleted: nothing can be written until the server is restarted."""


class InUse(PsmnetError):
    """A job still needs it."""


class TooLarge(PsmnetError):
    """More bytes than allowed."""


class TooMany(PsmnetError):
    """The allowed number is reached."""


STATUS: dict[type[PsmnetError], int] = {
    NotFound: 404,
    InUse: 409,
    Gone: 410,
    TooLarge: 413,
    TooMany: 429,
    Incomplete: 503,
}
UNUSABLE = 422  # of every other PsmnetError


# What people outside call the server's own files, by the files' names without endings.
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
    """The text without paths and file names of the server."""
    text = re.sub(re.escape(str(root)) + r"[^\s,;:()']*", lambda path: _called(path[0]), text)
    text = re.sub(
        rf"\b({'|'.join(CALLED)})\.(nii\.gz|nii|nrrd|seg\.nrrd|mha|dcm)\b", lambda file: _called(file[0]), text
    )
    return re.sub(r"\b0\d{4}(\.(nii\.gz|nii|nrrd|mha))?\b", "a file", text)  # as zips are unpacked


def _called(path: str) -> str:
    return CALLED.get(PurePath(path).name.split(".")[0], "the file")
