"""Errors of a viewer that have a meaning of their own in HTTP."""

import re
from pathlib import Path

from psmnet.errors import PsmnetError


class NotHere(PsmnetError):
    """No such scan, label set, job or file."""


class InUse(PsmnetError):
    """Something that a job still needs."""


class TooLarge(PsmnetError):
    """More bytes than are taken in."""


class TooMany(PsmnetError):
    """No room for another one."""


STATUS: dict[type[PsmnetError], int] = {NotHere: 404, InUse: 409, TooLarge: 413, TooMany: 429}
UNUSABLE = 422  # every other PsmnetError: what was sent can't be used


def told(error: PsmnetError, root: Path) -> str:
    """An error as whoever is outside can use it: without the server's names and the command line's advice."""
    own = type(error) in STATUS  # these speak of the server
    text = error.what if "--" in error.remedy and not own else str(error)
    return discreet(text, root)


def discreet(text: str, root: Path) -> str:
    """A line that tells no folder of the server's, nor the names that it gives to files."""
    text = re.sub(re.escape(str(root)) + r"[^\s,;:()']*", "the file", text)
    text = re.sub(r"\b(source|view|labels|query_seg)\.(nii\.gz|nii|nrrd|seg\.nrrd|mha|dcm)\b", "the file", text)
    return re.sub(r"\b0\d{4}(\.(nii\.gz|nii|nrrd|mha))?\b", "a file", text)  # as zips are unpacked
