"""MS-CMRSeg 2019, bSSFP: `patientN_C0.nii.gz` and `patientN_C0_manual.nii.gz` (Zhuang, TPAMI 41 (2019) 2933)."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from psmnet.data.prepare import RawFiles
from psmnet.data.prepare.adapters.raw_case import RawCase, claim, read_nifti_pair, require_whole
from psmnet.volume import Volume

_SCAN = re.compile(r"(?:^|/)patient(?P<number>\d+)_C0(?P<manual>_manual)?\.nii(?:\.gz)?$", re.IGNORECASE)
LABELLED = 35  # of 45 patients


def find(raw: RawFiles) -> list[RawCase]:
    """Cases by the patient's number, up to 35; T2 and LGE scans are skipped."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name in raw.names:
        if match := _SCAN.search(name):
            claim(labels if match["manual"] else images, str(int(match["number"])), name)
    return [
        RawCase(n, (images[n],) if n in images else (), (labels[n],) if n in labels else ())
        for n in sorted(images.keys() | labels.keys(), key=int)
        if int(n) <= LABELLED
    ]


def read(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """Short-axis slices with myocardium, blood pool and right ventricle."""
    require_whole(case, f"patient{case.id}_C0.nii.gz", f"patient{case.id}_C0_manual.nii.gz")
    return read_nifti_pair(case, local, values, notes)
