"""Synapse BTCV, abdominal CT: `img/imgNNNN.nii.gz` and `label/labelNNNN.nii.gz`, or imagesTr and labelsTr."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from psmnet.data.prepare import RawFiles
from psmnet.data.prepare.adapters.raw_case import RawCase, claim, read_nifti_pair, require_whole
from psmnet.volume import Volume

_SCAN = re.compile(
    r"(?:^|/)(?:(?P<image>img|imagesTr)|label|labelsTr)/(?:img|label)(?P<number>\d{4})\.nii(?:\.gz)?$", re.IGNORECASE
)
# The training scans' numbers in order. Published folds count them from 0, so a missing one must not shift the others.
_NUMBERS = tuple(f"{number:04d}" for number in (*range(1, 11), *range(21, 41)))


def find(raw: RawFiles) -> list[RawCase]:
    """Cases 0..29 in the order of the scans' numbers; other numbers belong to the test set."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name in raw.names:
        if match := _SCAN.search(name):
            claim(images if match["image"] else labels, match["number"], name)
    return [
        RawCase(str(index), (images[n],) if n in images else (), (labels[n],) if n in labels else ())
        for index, n in enumerate(_NUMBERS)
        if n in images or n in labels
    ]


def read(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """Hounsfield units and 13 organs."""
    number = _NUMBERS[int(case.id)]
    require_whole(case, f"img{number}.nii.gz", f"label{number}.nii.gz")
    return read_nifti_pair(case, local, values, notes)
