"""Male pelvic MR, Zenodo 7013610: `<pid>_img.nii`, `<pid>_mask.nii`, and a list of institutions."""

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from psmnet.catalog import INSTITUTIONS
from psmnet.data.prepare import RawFiles
from psmnet.data.prepare.adapters.raw_case import RawCase, claim, read_nifti_pair, require_whole
from psmnet.errors import InputError
from psmnet.volume import Volume

_SCAN = re.compile(r"(?:^|/)(?P<pid>\d{6})_(?P<kind>img|mask)\.nii(?:\.gz)?$", re.IGNORECASE)
_LIST_NAMES = ("institution.txt", "instiution.txt")  # the record has it misspelt


def find(raw: RawFiles) -> list[RawCase]:
    """Cases by patient id, each with its institution where the list names it."""
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in raw.names:
        if match := _SCAN.search(name):
            claim(images if match["kind"].lower() == "img" else masks, match["pid"], name)
    institutions = _institutions(raw) if images else {}
    return [
        RawCase(
            pid,
            (images[pid],) if pid in images else (),
            (masks[pid],) if pid in masks else (),
            institutions.get(pid),
        )
        for pid in sorted(images.keys() | masks.keys())
    ]


def read(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """A T2-weighted scan with eight structures."""
    require_whole(case, f"{case.id}_img.nii", f"{case.id}_mask.nii")
    if case.institution is None:
        notes.append(f"case {case.id} has no institution in {_LIST_NAMES[0]}")
    return read_nifti_pair(case, local, values, notes)


def _institutions(raw: RawFiles) -> dict[str, str]:
    names = [name for name in raw.names if PurePosixPath(name).name.lower() in _LIST_NAMES]
    if not names:
        return {}
    with tempfile.TemporaryDirectory(prefix="psmnet-") as scratch, raw.local(names[:1], Path(scratch)) as local:
        text = local[names[0]].read_text(encoding="utf-8-sig", errors="replace")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = re.split(r"[\s,;]+", line.strip())
        if words == [""]:
            continue
        pid, institution = (words[0].zfill(6), words[-1]) if len(words) == 2 else ("", "")
        if not pid.isdecimal() or institution not in INSTITUTIONS:
            if number == 1 and not line[0].isdecimal():
                continue  # a heading
            raise InputError(
                f"{names[0]}, line {number}: {line!r} is no patient id and institution 1 to {len(INSTITUTIONS)}",
                "unpack the download again",
            )
        found[pid] = INSTITUTIONS[institution]
    return found
