import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom_files import write_series
from psmnet.errors import InputError
from psmnet.io import read_volume, write_volume
from psmnet.io.organ_names import OrganName
from psmnet.segmentation.supports import Supports, read_supports
from psmnet.volume import as_image
from psmnet.volume.volume import Volume

LIVER, SPLEEN, KIDNEY = (OrganName(name) for name in ("liver", "spleen", "kidney"))


def blocks(seed: int) -> tuple[Volume, Volume]:
    """Noise, 6 slices of 24 x 24, and two blocks labelled 1 and 4."""
    labels = np.zeros((6, 24, 24), dtype=np.uint8)
    labels[1:4, 4:12, 4:12] = 1
    labels[2:5, 14:20, 14:20] = 4
    noise = np.random.default_rng(seed).normal(100, 5, labels.shape)
    image = Volume((noise + 50 * labels).astype(np.float32), (3.0, 3.0, 8.0))
    return image, image.with_array(labels)


def image_file(folder: Path, name: str = "image.nii.gz") -> Path:
    write_volume(blocks(0)[0], folder / name)
    return folder / name


def masks(folder: Path, **organs: int) -> Path:
    """A folder of 0/255 masks, one an organ, by the label value that it has in `blocks`."""
    _, labels = blocks(0)
    for name, value in organs.items():
        write_volume(labels.with_array((labels.array_zyx == value) * np.uint8(255)), folder / f"{name}.nii.gz")
    return folder


def slicer(path: Path, *segments: tuple[str, int], layered: bool = False, **tags: str) -> Path:
    """A .seg.nrrd: segments (name, value in `blocks`) as values 1, 2, ..., or each in a layer of its own."""
    _, labels = blocks(0)
    inside = [labels.array_zyx == value for _, value in segments]
    if layered:
        layers = [as_image(labels.with_array(mask.astype(np.uint8))) for mask in inside]
        image = sitk.Compose(layers)
    else:
        image = as_image(labels.with_array(sum(mask * np.uint8(n) for n, mask in enumerate(inside, 1))))
    for number, (name, _) in enumerate(segments):
        facts = {"ID": f"Segment_{number}", "Name": name, "Layer": str(number if layered else 0)}
        facts["LabelValue"] = "1" if layered else str(number + 1)
        for key, value in (facts | {k: v for k, v in tags.items() if number == 0}).items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def voxels(supports: Supports, number: int = 0) -> dict[str, int]:
    """How many voxels of one scan each organ has, by name."""
    array = supports.pairs[number][1].array_zyx
    return {organ.name: int((array == value).sum()) for value, organ in supports.names.items()}


SIZES = {1: 3 * 8 * 8, 4: 3 * 6 * 6}


# ---- label maps ------------------------------------------------------------------------------------------------


def test_labels_are_laid_on_the_images_grid(tmp_path):
    """As 3D Slicer exports them: cropped to what is labelled."""
    image, labels = blocks(0)
    write_volume(image, tmp_path / "image.nii.gz")
    cropped = Volume(labels.array_zyx[1:5, 4:20, 4:20], labels.spacing_mm, (12.0, 12.0, 8.0))
    write_volume(cropped, tmp_path / "labels.nii.gz")
    ((volume, mask),) = read_supports([(tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz")]).pairs
    assert np.array_equal(volume.array_zyx, read_volume(tmp_path / "image.nii.gz").array_zyx)
    assert np.array_equal(mask.array_zyx, labels.array_zyx)


@pytest.mark.parametrize(("values", "refused"), [(256, False), (257, True)])
def test_a_label_map_with_as_many_values_as_an_image(tmp_path, values, refused):
    image, _ = blocks(0)
    write_volume(image, tmp_path / "image.nii.gz")
    many = np.arange(image.array_zyx.size).reshape(image.array_zyx.shape) % values
    write_volume(image.with_array(many.astype(np.uint16)), tmp_path / "labels.nii.gz")
    arguments = tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz"
    if refused:
        with pytest.raises(InputError, match=r"has 257 values: it looks like an image, not a label map; give the"):
            read_supports([arguments])
    else:
        read_supports([arguments])


def test_one_file_as_image_and_label_map(tmp_path):
    _, labels = blocks(0)
    write_volume(labels, tmp_path / "scan.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "scan.nii.gz")
    for name in ("scan.nii.gz", "link.nii.gz"):
        with pytest.raises(InputError, match="is given as image and as label map; give two files"):
            read_supports([(tmp_path / "scan.nii.gz", tmp_path / name)])


def test_unnamed_values_are_called_by_number(tmp_path):
    image = image_file(tmp_path)
    write_volume(blocks(0)[1], tmp_path / "labels.nii.gz")
    found = read_supports([(image, tmp_path / "labels.nii.gz")])
    assert found.names == {1: OrganName("label_1"), 4: OrganName("label_4")}
    named = read_supports([(image, tmp_path / "labels.nii.gz")], names={4: SPLEEN, 9: LIVER})
    assert named.names == {1: OrganName("label_1"), 4: SPLEEN}


def test_a_dicom_folder_is_an_image(tmp_path):
    image, labels = blocks(0)
    stored = np.rint(image.array_zyx).astype(np.int16)
    write_series(tmp_path / "slices", stored, spacing_mm=image.spacing_mm)
    write_volume(labels, tmp_path / "labels.nii.gz")
    ((volume, mask),) = read_supports([(tmp_path / "slices", tmp_path / "labels.nii.gz")]).pairs
    assert np.array_equal(volume.array_zyx, stored)
    assert np.array_equal(mask.array_zyx, labels.array_zyx)


# ---- masks and segments ----------------------------------------------------------------------------------------


def test_a_folder_of_masks_is_a_label_map(tmp_path):
    found = read_supports([(image_file(tmp_path), masks(tmp_path / "masks", liver=1, spleen=4))])
    assert found.names == {1: LIVER, 2: SPLEEN}
    assert voxels(found) == {"liver": SIZES[1], "spleen": SIZES[4]}


def test_masks_that_overlap_count_for_the_last(tmp_path):
    folder = masks(tmp_path / "masks", a=1, b=1)
    notes: list[str] = []
    found = read_supports([(image_file(tmp_path), folder)], notes=notes)
    assert voxels(found) == {"a": 0, "b": SIZES[1]}
    assert notes == [f"masks: {SIZES[1]} voxels are in several masks; they get the value of the last one by name"]


@pytest.mark.parametrize("layered", [False, True])
def test_segments_of_slicer_have_their_names(tmp_path, layered):
    path = slicer(tmp_path / "a.seg.nrrd", ("liver", 1), ("spleen", 4), layered=layered)
    found = read_supports([(image_file(tmp_path), path)])
    assert found.names == {1: LIVER, 2: SPLEEN}
    assert voxels(found) == {"liver": SIZES[1], "spleen": SIZES[4]}


def test_segments_that_overlap_count_for_the_last(tmp_path):
    path = slicer(tmp_path / "a.seg.nrrd", ("liver", 1), ("whole liver", 1), layered=True)
    notes: list[str] = []
    found = read_supports([(image_file(tmp_path), path)], notes=notes)
    assert voxels(found) == {"liver": 0, "whole liver": SIZES[1]}
    assert "a.seg.nrrd: 192 voxels are in several segments" in notes[0]


def test_segments_have_codes(tmp_path):
    kind = "SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^"
    terms = f"TerminologyEntry:Categories~{kind}~Anatomic codes~^^~^^|Segmentation.Status:done"
    path = slicer(tmp_path / "a.seg.nrrd", ("liver", 1), Tags=terms)
    found = read_supports([(image_file(tmp_path), path)])
    assert found.names == {1: OrganName("liver", "10200004")}


def test_a_segment_without_value_is_refused(tmp_path):
    path = slicer(tmp_path / "a.seg.nrrd", ("liver", 1), LabelValue="one")
    with pytest.raises(InputError, match=r"a\.seg\.nrrd has Segment0_LabelValue 'one'"):
        read_supports([(image_file(tmp_path), path)])


def test_a_folder_without_masks_and_one_with_two_of_a_name(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no mask"):
        read_supports([(image_file(tmp_path), tmp_path / "none")])
    masks(tmp_path / "two", liver=1, Liver=4)
    with pytest.raises(InputError, match="two masks of one organ"):
        read_supports([(image_file(tmp_path), tmp_path / "two")])


# ---- several scans ---------------------------------------------------------------------------------------------


def test_organs_of_one_name_have_one_value(tmp_path):
    image = image_file(tmp_path)
    first = masks(tmp_path / "first", liver=1, spleen=4)
    second = slicer(tmp_path / "second.seg.nrrd", ("Spleen", 4), ("kidney", 1))
    found = read_supports([(image, first), (image, second)])
    assert found.names == {1: LIVER, 2: SPLEEN, 3: KIDNEY}
    assert voxels(found, 0) == {"liver": SIZES[1], "spleen": SIZES[4], "kidney": 0}
    assert voxels(found, 1) == {"liver": 0, "spleen": SIZES[4], "kidney": SIZES[1]}


def test_label_maps_keep_their_values_and_names_join_them(tmp_path):
    image = image_file(tmp_path)
    write_volume(blocks(0)[1], tmp_path / "labels.nii.gz")
    folder = masks(tmp_path / "masks", kidney=1, spleen=4)
    found = read_supports([(image, folder), (image, tmp_path / "labels.nii.gz")], names={4: SPLEEN})
    assert found.names == {1: OrganName("label_1"), 2: KIDNEY, 4: SPLEEN}
    assert voxels(found, 0) == {"label_1": 0, "kidney": SIZES[1], "spleen": SIZES[4]}
    assert voxels(found, 1) == {"label_1": SIZES[1], "kidney": 0, "spleen": SIZES[4]}


def test_names_of_the_command_line_are_in_the_report(cli, tmp_path, phantoms, tiny_weights):
    (tmp_path / "names.json").write_text(json.dumps({"1": "liver", "4": "spleen"}))
    pair = ("--support", phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz")
    options = ("--weights", tiny_weights, "--names", tmp_path / "names.json", "--labels", "1,2", "--device", "cpu")
    outcome = cli("segment", phantoms / "image_2.nii.gz", *pair, *options, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["labels"] == {"1": "liver", "2": "label_2"}
    assert set(report["queries"][0]["labels"]) == {"liver", "label_2"}
