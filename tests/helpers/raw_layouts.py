"""Raw downloads as they unpack, small but complete: drawn by the tests, the same every time."""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.dicom_files import write_series
from psmnet.io import write_volume
from psmnet.volume.volume import Volume

CHAOS_IDS = tuple(map(str, (1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39)))
CHAOS_GREY = {1: 63, 2: 126, 3: 189, 4: 252}  # liver, right kidney, left kidney, spleen
SABS_NUMBERS = (*range(1, 11), *range(21, 41))
CMR_PATIENTS = tuple(range(1, 46))
CMR_LABELLED = 35
PELVIC_PIDS = ("000003", "000017", "001204", "010060", "042007", "100001", "123456")

# Label value: centre and radii of an ellipsoid, in halves of the field of view towards the patient's left, back and
# head. Later ones lie over earlier ones.
Places = Mapping[int, tuple[tuple[float, float, float], tuple[float, float, float]]]
ABDOMEN: Places = {
    1: ((-0.38, -0.1, 0.1), (0.3, 0.35, 0.7)),  # liver, on the right
    2: ((-0.28, 0.4, -0.1), (0.14, 0.14, 0.6)),
    3: ((0.28, 0.4, -0.1), (0.14, 0.14, 0.6)),
    4: ((0.5, 0.05, 0.2), (0.16, 0.25, 0.5)),  # spleen, on the left
}
SABS_VALUES = {1: 6, 2: 2, 3: 3, 4: 1}
CT_ABDOMEN: Places = {SABS_VALUES[value]: place for value, place in ABDOMEN.items()} | {
    8: ((0.03, 0.35, 0), (0.08, 0.08, 2)),  # aorta
    4: ((-0.2, -0.3, 0), (0.1, 0.1, 0.4)),  # gallbladder
}
HEART: Places = {
    600: ((-0.32, -0.05, 0), (0.3, 0.25, 0.9)),
    200: ((0.1, 0, 0), (0.3, 0.3, 0.9)),
    500: ((0.1, 0, 0), (0.18, 0.18, 0.9)),  # the pool in the myocardium's ring
}
PELVIS: Places = {
    2: ((-0.65, 0, 0), (0.12, 0.4, 2)),  # bone is on every slice
    3: ((-0.42, 0.1, 0), (0.1, 0.35, 0.9)),
    1: ((0, -0.45, 0.3), (0.3, 0.2, 0.6)),
    4: ((0.05, 0, -0.2), (0.2, 0.15, 0.6)),
    5: ((0.05, 0.05, -0.2), (0.1, 0.08, 0.5)),
    6: ((0, 0.5, 0), (0.15, 0.15, 2)),
    7: ((0.3, 0.25, 0.2), (0.12, 0.1, 0.6)),
    8: ((-0.2, 0.25, -0.2), (0.1, 0.1, 0.6)),
}


@dataclass(frozen=True)
class Drawn:
    """A case as it was written: scan and labels on one grid."""

    image: Volume
    labels: Volume


def turned(x: float = 0, y: float = 0, z: float = 0) -> np.ndarray:
    """A direction: the axes of LPS turned about x, then y, then z, in degrees."""
    result = np.eye(3)
    for axis, degrees in enumerate((x, y, z)):
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[one, one], step[one, other], step[other, one], step[other, other] = cosine, -sine, sine, cosine
        result = step @ result
    return result


def draw(
    seed: int,
    places: Places,
    *,
    size_xyz: Sequence[int],
    spacing_mm: Sequence[float],
    direction: np.ndarray | None = None,
    hounsfield: bool = False,
) -> Drawn:
    """An elliptic body with its organs where the patient has them, however the voxels are stored.

    Returns:
        int16: in Hounsfield units (air -1000, bone above 300), or from 0 to about 1000; labels in the smallest type.
    """
    random = np.random.default_rng(seed)
    direction = np.eye(3) if direction is None else direction
    steps = np.diag(spacing_mm)
    centre_mm = random.uniform(-60, 60, 3)
    origin = centre_mm - direction @ steps @ (np.array(size_xyz) - 1) / 2
    half_mm = np.abs(np.rint(direction)) @ (np.array(size_xyz) * spacing_mm) / 2
    z, y, x = np.indices(tuple(size_xyz)[::-1])
    place = np.stack([x, y, z], axis=-1) @ (direction @ steps).T + origin - centre_mm
    left, back, head = np.moveaxis(place / half_mm, -1, 0)

    labels = np.zeros(left.shape, np.uint16 if max(places) > 255 else np.uint8)
    for value, (middle, (ra, rb, rc)) in places.items():
        a, b, c = middle + random.uniform(-0.02, 0.02, 3)
        labels[((left - a) / ra) ** 2 + ((back - b) / rb) ** 2 + ((head - c) / rc) ** 2 < 1] = value
    body = (left / 0.9) ** 2 + (back / 0.75) ** 2 < 1
    tone = np.zeros(labels.shape)
    for number, value in enumerate(sorted(places), start=1):
        tone[labels == value] = number
    if hounsfield:
        image = np.where(body, 20 + 30 * tone + random.normal(0, 8, tone.shape), -1000.0)
        image[body & (np.hypot(left, back - 0.62) < 0.1)] = 600  # spine
    else:
        image = np.where(body, 150 + 90 * tone, 0) + np.abs(random.normal(0, 12, tone.shape))
    volume = Volume(np.rint(image).astype(np.int16), tuple(spacing_mm), tuple(origin.tolist()), direction)
    return Drawn(volume, volume.with_array(labels))


def middles(labels: Volume) -> dict[int, np.ndarray]:
    """Label value to the centre of its voxels, LPS mm."""
    found = {}
    for value in np.unique(labels.array_zyx[labels.array_zyx > 0]).tolist():
        index = np.argwhere(labels.array_zyx == value).mean(axis=0)[::-1]
        found[value] = (labels.affine @ [*index, 1])[:3]
    return found


def zipped(folder: Path, archive: Path) -> Path:
    """A folder's content as a zip, with entries for its folders, as archivers write them."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*")):
            target.write(path, path.relative_to(folder).as_posix())
    return archive


# ---- CHAOS -----------------------------------------------------------------------------------------------------


def chaos_direction(case_id: str) -> np.ndarray:
    """Stored axes of a case: some run the other way, one is oblique; rows x columns may point to the feet."""
    if case_id == "5":
        return turned(x=10, z=-3)
    number = CHAOS_IDS.index(case_id) % 4
    signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (1, 1, -1))[number]  # the last runs against rows x columns
    return np.diag(np.array(signs, dtype=float))


def chaos_t2(
    folder: Path,
    ids: Sequence[str] = CHAOS_IDS,
    *,
    size_xyz: Sequence[int] = (64, 60, 5),
    spacing_mm: Sequence[float] = (5.0, 5.0, 9.0),
    places: Places = ABDOMEN,
) -> dict[str, Drawn]:
    """CHAOS_Train_Sets.zip, unpacked: `Train_Sets` with MR and CT, and the test set beside it."""
    drawn = {}
    for case_id in ids:
        case = folder / "Train_Sets" / "MR" / case_id
        drawn[case_id] = found = draw(
            int(case_id), places, size_xyz=size_xyz, spacing_mm=spacing_mm, direction=chaos_direction(case_id)
        )
        chaos_case(case / "T2SPIR", found, shuffle=int(case_id))
        for phase in ("InPhase", "OutPhase"):
            _put(case / "T1DUAL" / "DICOM_anon" / phase / "IMG-0004-00001.dcm")
        _put(case / "T1DUAL" / "Ground" / "IMG-0004-00002.png")
        _put(case / "T2SPIR" / "DICOM_anon" / "._IMG-0002-00001.dcm")
        _put(case / "T2SPIR" / "Ground" / "._IMG-0002-00001.png")
        _put(folder / "__MACOSX" / "Train_Sets" / "MR" / case_id / "T2SPIR" / "Ground" / "._IMG-0002-00001.png")
    _put(folder / "Train_Sets" / ".DS_Store")
    _put(folder / "Train_Sets" / "CT" / "1" / "DICOM_anon" / "i0000,0000b.dcm")
    _put(folder / "Train_Sets" / "CT" / "1" / "Ground" / "liver_GT_000.png")
    _put(folder / "Test_Sets" / "MR" / "4" / "T2SPIR" / "DICOM_anon" / "IMG-0002-00001.dcm")
    return drawn


def chaos_case(t2spir: Path, drawn: Drawn, *, shuffle: int) -> None:
    """DICOM_anon and Ground of one case; names are in another order than positions."""
    files = write_series(
        t2spir / "DICOM_anon",
        drawn.image.array_zyx.astype(np.uint16),
        spacing_mm=drawn.image.spacing_mm,
        origin_mm=drawn.image.origin_mm,
        direction=drawn.image.direction,
        shuffle=shuffle,
    )
    (t2spir / "Ground").mkdir(parents=True, exist_ok=True)
    for path, labels in zip(files, drawn.labels.array_zyx, strict=True):
        grey = np.zeros(labels.shape, np.uint8)
        for value, shade in CHAOS_GREY.items():
            grey[labels == value] = shade
        Image.fromarray(grey).save(t2spir / "Ground" / f"{path.stem}.png")


def _put(path: Path) -> None:
    """A file that nobody may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not to be read")


# ---- SABS ------------------------------------------------------------------------------------------------------


def sabs(
    folder: Path,
    numbers: Sequence[int] = SABS_NUMBERS,
    *,
    layout: tuple[str, str] = ("RawData/Training/img", "RawData/Training/label"),
    size_xyz: Sequence[int] = (64, 64, 4),
    spacing_mm: Sequence[float] = (5.5, 5.5, 6.0),
) -> dict[int, Drawn]:
    """RawData.zip of Synapse, unpacked; stored axes run to the right, the front and the head, or to the left (LPS)."""
    drawn = {}
    for number in numbers:
        places = {value: place for value, place in CT_ABDOMEN.items() if value != 4 or number % 3}  # some lack one
        direction = np.eye(3) if number % 4 == 2 else np.diag([-1.0, -1.0, 1.0])
        drawn[number] = found = draw(
            100 + number, places, size_xyz=size_xyz, spacing_mm=spacing_mm, direction=direction, hounsfield=True
        )
        write_volume(found.image, folder / layout[0] / f"img{number:04d}.nii.gz")
        write_volume(found.labels, folder / layout[1] / f"label{number:04d}.nii.gz")
    _put(folder / "RawData" / "Testing" / "img" / "img0061.nii.gz")
    _put(folder / layout[0] / "._img0001.nii.gz")
    return drawn


# ---- MS-CMRSeg -------------------------------------------------------------------------------------------------


def cmr_direction(patient: int) -> np.ndarray:
    """A short axis: doubly oblique, another one in each patient."""
    return turned(x=25 + patient % 7, y=-18 - patient % 5, z=30 + 2 * (patient % 3))


def cmr(
    folder: Path,
    patients: Sequence[int] = CMR_PATIENTS,
    *,
    parents: tuple[str, str] = ("c0t2lge", "c0gt"),
    size_xyz: Sequence[int] = (48, 44, 5),
    spacing_mm: Sequence[float] = (2.0, 2.0, 9.0),
) -> dict[int, Drawn]:
    """The organisers' two folders, with T2 and LGE beside C0; the last ten patients have no manual labels."""
    drawn = {}
    for patient in patients:
        found = draw(200 + patient, HEART, size_xyz=size_xyz, spacing_mm=spacing_mm, direction=cmr_direction(patient))
        write_volume(found.image, folder / parents[0] / f"patient{patient}_C0.nii.gz")
        _put(folder / parents[0] / f"patient{patient}_T2.nii.gz")
        _put(folder / parents[0] / f"patient{patient}_LGE.nii.gz")
        if patient <= CMR_LABELLED:
            drawn[patient] = found
            write_volume(found.labels, folder / parents[1] / f"patient{patient}_C0_manual.nii.gz")
            _put(folder / parents[1] / f"patient{patient}_LGE_manual.nii.gz")
    return drawn


# ---- pelvic ----------------------------------------------------------------------------------------------------


def pelvic(
    folder: Path,
    pids: Sequence[str] = PELVIC_PIDS,
    *,
    list_name: str = "instiution.txt",
    size_xyz: Sequence[int] = (48, 48, 5),
    spacing_mm: Sequence[float] = (1.5, 1.5, 3.0),
) -> dict[str, Drawn]:
    """The record of Zenodo: `data` and the list of institutions, 1 to 7 in turn."""
    drawn = {}
    for pid in pids:
        direction = np.diag([-1.0, -1.0, 1.0]) if int(pid) % 2 else np.eye(3)
        drawn[pid] = found = draw(300 + int(pid), PELVIS, size_xyz=size_xyz, spacing_mm=spacing_mm, direction=direction)
        write_volume(found.image, folder / "data" / f"{pid}_img.nii")
        write_volume(found.labels, folder / "data" / f"{pid}_mask.nii")
    lines = [f"{pid} {number % 7 + 1}\n" for number, pid in enumerate(pids)]
    (folder / list_name).write_text("".join(lines), encoding="utf-8")
    return drawn


# ---- anybody's scans -------------------------------------------------------------------------------------------


def nnunet(folder: Path, cases: Mapping[str, Drawn], *, unlabelled: Sequence[str] = ()) -> Path:
    """nnU-Net v2: one channel, labels by name, and a test scan that is not for training."""
    root = folder / "Dataset007_Abdomen"
    for name, drawn in cases.items():
        write_volume(drawn.image, root / "imagesTr" / f"{name}_0000.nii.gz")
        if name not in unlabelled:
            write_volume(drawn.labels, root / "labelsTr" / f"{name}.nii.gz")
    _put(root / "imagesTs" / "unseen_0000.nii.gz")
    labels = {"background": 0, "liver": 1, "right kidney": 2, "left_kidney": 3, "spleen": 4, "both kidneys": [2, 3]}
    content = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": len(cases), "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def msd(folder: Path, cases: Mapping[str, Drawn]) -> Path:
    """Medical Segmentation Decathlon: labels by number; macOS's copies beside the scans, as they come."""
    root = folder / "Task09_Abdomen"
    for name, drawn in cases.items():
        write_volume(drawn.image, root / "imagesTr" / f"{name}.nii.gz")
        write_volume(drawn.labels, root / "labelsTr" / f"{name}.nii.gz")
        _put(root / "imagesTr" / f"._{name}.nii.gz")
    labels = {"0": "background", "1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
    (root / "dataset.json").write_text(json.dumps({"modality": {"0": "MRI"}, "labels": labels}))
    return root


def plain(folder: Path, cases: Mapping[str, Drawn], image: str, labels: str | None) -> Path:
    """Any layout of one's own: templates of names, such as `images/{}.nii.gz`."""
    for name, drawn in cases.items():
        write_volume(drawn.image, folder / image.format(name))
        if labels is not None:
            write_volume(drawn.labels, folder / labels.format(name))
    return folder


def abdomens(
    names: Sequence[str],
    *,
    size_xyz: Sequence[int] = (20, 18, 5),
    spacing_mm: Sequence[float] = (10.0, 10.0, 12.0),
    direction: np.ndarray | None = None,
    hounsfield: bool = False,
) -> dict[str, Drawn]:
    """A few patients for the layouts above."""
    return {
        name: draw(
            400 + number,
            ABDOMEN,
            size_xyz=size_xyz,
            spacing_mm=spacing_mm,
            direction=direction,
            hounsfield=hounsfield,
        )
        for number, name in enumerate(names)
    }
