import gzip
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.places import CHAOS
from psmnet.catalog import DATASETS
from psmnet.data.check.dataset_check import check_dataset
from psmnet.data.dataset_file import DatasetFile, PreparedCase
from psmnet.data.prepare.dataset import PrepareSpec, prepare_dataset
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.system.files import sha256_of
from psmnet.volume.geometry import reorient, signed_permutation
from psmnet.volume.volume import Volume

ORGANS = DATASETS["phantom"].labels
LAS = np.diag([1.0, -1.0, 1.0])


@pytest.fixture
def data(phantoms: Path, tmp_path: Path) -> Path:
    """Three small phantoms, faultless."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in (1, 2, 3):
        for name in (f"image_{number}.nii.gz", f"label_{number}.nii.gz"):
            shutil.copy(phantoms / name, folder / name)
    return folder


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change what the catalog says of phantoms; seen by checks in this process."""

    def change(**changes: object) -> None:
        monkeypatch.setitem(DATASETS, "phantom", replace(DATASETS["phantom"], **changes))

    return change


def told(folder: Path, name: str | None = "phantom") -> list[str]:
    return [str(finding) for finding in check_dataset(folder, name, jobs=1).findings]


def only(folder: Path, name: str | None = "phantom") -> str:
    (finding,) = told(folder, name)
    return finding


def read(path: Path) -> Volume:
    return read_labels(path) if path.name.startswith("label") else read_volume(path)


def edit(path: Path, change: Callable[[np.ndarray], object]) -> None:
    """Change a file's voxels, in place or by what `change` returns."""
    volume = read(path)
    array = volume.array_zyx.copy()
    changed = change(array)
    array = array if changed is None else np.ascontiguousarray(changed)
    write_volume(Volume(array, volume.spacing_mm, volume.origin_mm, volume.direction), path)


def move(folder: Path, case_id: str, change: Callable[[Volume], Volume]) -> None:
    """Change image and label map of a case alike."""
    for kind in ("image", "label"):
        path = folder / f"{kind}_{case_id}.nii.gz"
        write_volume(change(read(path)), path)


def erase(*organs: str) -> Callable[[np.ndarray], None]:
    return lambda array: array.__setitem__(np.isin(array, [ORGANS[name] for name in organs]), 0)


def list_cases(folder: Path, dataset: str = "phantom", legacy: tuple[str, ...] = ()) -> DatasetFile:
    """Write a `dataset.json` of what is there."""
    found = DatasetFile(dataset=dataset, version="0.1.0", legacy=legacy)
    for image in sorted(folder.glob("image_*")):
        label = folder / image.name.replace("image", "label")
        found.cases[image.name[6:-7]] = PreparedCase(
            image_sha256=sha256_of(image),
            label_sha256=sha256_of(label) if label.exists() else None,
            size_xyz=read_volume(image).size_xyz,
        )
    found.write_into(folder)
    return found


# ---- nothing wrong ----------------------------------------------------------------------------------------------


def test_faultless_phantoms_have_no_finding(phantoms: Path):
    report = check_dataset(phantoms, "phantom", jobs=2)
    assert report.findings == ()
    assert report.exit_code == 0
    assert report.summary() == "phantom: 6 cases, 6 labelled, 72 slices; 0 errors, 0 warnings"
    first = report.cases[0]
    assert (first.id, first.size_xyz, first.spacing_mm, first.axes) == ("1", (64, 64, 12), (5, 5, 12), "LPS")
    labels = read_labels(phantoms / "label_1.nii.gz").array_zyx
    assert first.voxels == {value: int((labels == value).sum()) for value in ORGANS.values()}


def test_what_prepare_wrote_has_no_finding(data: Path, tmp_path: Path):
    prepare_dataset(PrepareSpec("folder"), data, tmp_path / "out", jobs=1)
    report = check_dataset(tmp_path / "out", jobs=1)
    assert (report.dataset, report.findings, report.exit_code) == ("folder", (), 0)
    assert report.prepared is not None
    assert list(report.prepared.cases) == ["1", "2", "3"]


def test_unlabelled_scans_of_a_folder_are_counted(data: Path):
    (data / "label_2.nii.gz").unlink()
    report = check_dataset(data, jobs=1)
    assert report.findings == ()
    assert report.summary() == "folder: 3 cases, 2 labelled, 36 slices; 0 errors, 0 warnings"


def test_the_data_set_is_that_of_dataset_json_unless_given(data: Path):
    list_cases(data)
    assert check_dataset(data, jobs=1).dataset == "phantom"
    assert only(data, "folder") == "warning: dataset.json says phantom, not folder; check it as phantom"


def test_no_data_at_all(tmp_path: Path, data: Path):
    with pytest.raises(InputError, match="no folder"):
        check_dataset(tmp_path / "absent")
    with pytest.raises(InputError, match="no image_<id>"):
        check_dataset(tmp_path)
    with pytest.raises(ConfigError, match="unknown data set 'lungs'"):
        check_dataset(data, "lungs")


def test_progress_is_told(data: Path):
    calls = []
    check_dataset(data, "phantom", jobs=1, report=lambda done, case_id, total: calls.append((done, case_id, total)))
    assert calls == [(1, "1", 3), (2, "2", 3), (3, "3", 3)]


# ---- files ------------------------------------------------------------------------------------------------------


def test_an_image_that_is_cut_off_hides_nothing_of_other_cases(data: Path):
    path = data / "image_1.nii.gz"
    path.write_bytes(path.read_bytes()[:-2000])
    edit(data / "label_1.nii.gz", erase("spleen"))
    edit(data / "label_3.nii.gz", erase("liver"))
    first, second, third = told(data)
    assert re.fullmatch(r"error: case 1: image_1.nii.gz is truncated.*; copy or download it again", first)
    assert second == "warning: case 1: no spleen in the label map; see whether the scan shows it"
    assert third == "warning: case 3: no liver in the label map; see whether the scan shows it"
    report = check_dataset(data, "phantom", jobs=1)
    assert report.exit_code == 2
    assert report.summary() == "phantom: 3 cases, 3 labelled, 24 slices; 1 error, 2 warnings"


@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_file_that_is_no_nifti(data: Path, kind: str):
    (data / f"{kind}_2.nii.gz").write_bytes(b"no image" * 100)
    assert only(data).startswith(f"error: case 2: {kind}_2.nii.gz is not a NIfTI image")


def test_a_label_map_without_image(data: Path):
    (data / "image_2.nii.gz").unlink()
    assert only(data) == "error: case 2: label_2.nii.gz has no image; add it, or run psmnet prepare again"


def test_an_image_without_label_map(data: Path):
    (data / "label_2.nii.gz").unlink()
    assert only(data).startswith("error: case 2: label_2.nii.gz is missing; add it")


def test_leftovers_of_a_killed_run(data: Path):
    (data / ".tmp-abc.nii.gz").write_bytes(b"")
    assert only(data).startswith("warning: .tmp-abc.nii.gz: left behind by a run that was killed; run psmnet prepare")


def test_notes_of_the_reader(data: Path):
    path = data / "image_2.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(gzip.compress(bytes(content), 1))
    findings = told(data)
    assert findings[-1].startswith("warning: case 2: the image stores no orientation (qform_code = sform_code = 0)")


# ---- images -----------------------------------------------------------------------------------------------------


def test_voxels_that_are_not_finite(data: Path):
    def spoil(array: np.ndarray) -> None:
        array[0, 0, :5] = np.nan

    edit(data / "image_2.nii.gz", spoil)
    assert only(data).startswith("warning: case 2: the image: 5 of 49152 voxels are not finite;")


def test_an_image_of_one_value(data: Path):
    edit(data / "image_2.nii.gz", lambda array: array.fill(7))
    assert only(data).startswith("error: case 2: the image is empty: no slice holds another value than 7;")


def test_empty_slices_count_inside_and_not_at_the_ends(data: Path):
    edit(data / "image_1.nii.gz", lambda array: array.__setitem__([0, -1], 0))
    assert told(data) == []
    edit(data / "image_2.nii.gz", lambda array: array.__setitem__([1, 9], 0))
    assert only(data).startswith("warning: case 2: 2 slices inside the image are empty;")


def test_a_scan_that_is_there_twice(data: Path):
    volume = read_volume(data / "image_1.nii.gz")
    # The same voxels in another file: compressed otherwise, moved, of another type.
    moved = Volume(volume.array_zyx.astype(np.float64), volume.spacing_mm, (1, 2, 3))
    write_volume(moved, data / "image_3.nii.gz")
    write_volume(moved.with_array(read_labels(data / "label_1.nii.gz").array_zyx), data / "label_3.nii.gz")
    assert only(data).startswith("error: case 3: its image is that of case 1, voxel for voxel;")


def test_a_label_map_that_is_there_twice(data: Path):
    image = read_volume(data / "image_3.nii.gz")
    write_volume(image.with_array(read_labels(data / "label_1.nii.gz").array_zyx), data / "label_3.nii.gz")
    assert "warning: case 3: its label map is that of case 1, voxel for voxel, and their images differ; see " in (
        "\n".join(told(data))
    )


# ---- what the catalog says --------------------------------------------------------------------------------------


def test_slice_size_spacing_and_slices_of_the_data_set(data: Path, facts: Callable[..., None]):
    facts(size_px=64, spacing_mm=(5.04, 5.0, 12.0), slices=(12, 19))
    assert told(data) == []  # 0.8 % off is near enough
    move(data, "2", lambda volume: Volume(volume.array_zyx[:11, :, 1:], (5.0, 5.0, 12.5)))
    size, spacing, slices = told(data)
    title = "synthetic abdomens drawn by this program"
    assert size.startswith(f"warning: case 2: slices of 63 x 64 where {title} has 64 x 64;")
    assert spacing.startswith(f"warning: case 2: spacing 5 x 5 x 12.5 mm where {title} has 5.04 x 5 x 12 mm;")
    assert slices.startswith(f"warning: case 2: 11 slices where {title} has 12 to 19;")


@pytest.mark.parametrize(("edge", "accepted"), [(255, False), (256, True), (257, True)])
def test_slices_of_257_pixels_are_the_fields(data: Path, facts: Callable[..., None], edge: int, accepted: bool):
    facts(size_px=256)

    def pad(volume: Volume) -> Volume:
        array = np.pad(volume.array_zyx, ((0, 0), (0, edge - 64), (0, edge - 64)), mode="edge")
        return Volume(array, volume.spacing_mm)

    for case_id in ("1", "2", "3"):
        move(data, case_id, pad)
    assert any("slices of" in line for line in told(data)) is not accepted


def test_what_all_cases_share_is_told_once(data: Path, facts: Callable[..., None]):
    facts(spacing_mm=(5.0, 5.0, 8.0))
    assert only(data).startswith("warning: all 3 cases: spacing 5 x 5 x 12 mm where")


def test_cases_that_the_data_set_has_and_that_are_missing(data: Path, facts: Callable[..., None]):
    facts(cases=4, case_ids=("1", "2", "4", "5"))
    assert "warning: 3 cases where " in only(data)
    assert "has 4 (missing: 4, 5; not of it: 3); the published folds" in only(data)
    facts(cases=3, case_ids=())
    assert told(data) == []
    facts(cases=35, case_ids=())
    assert "has 35; the published folds" in only(data)


def test_label_values_that_no_organ_has(data: Path):
    edit(data / "label_2.nii.gz", lambda array: array.__setitem__(array == ORGANS["aorta"], 9))
    error, warning = told(data)
    assert error.startswith("error: case 2: the label map holds 9, which is no organ's value (1 liver, 2 right_kidney,")
    assert warning.startswith("warning: case 2: no aorta in the label map")
    assert told(data, "folder") == []  # nobody says what its values are


def test_label_values_that_dataset_json_does_not_name(data: Path):
    found = list_cases(data, "folder")
    found.labels = {"liver": 1, "kidneys": 2, "spleen": 4, "aorta": 5}
    found.write_into(data)
    assert only(data, None).startswith(
        "warning: all 3 cases: the label map holds 3, which is no organ's value (1 liver,"
    )


def test_an_empty_label_map(data: Path):
    edit(data / "label_2.nii.gz", lambda array: array.fill(0))
    assert only(data).startswith("error: case 2: the label map is empty;")
    assert only(data, "folder").startswith("warning: case 2: the label map is empty;")


# ---- own scans --------------------------------------------------------------------------------------------------


def test_own_scans_of_another_spacing(data: Path):
    move(data, "2", lambda volume: Volume(volume.array_zyx, (5.0, 5.0, 10.0)))
    expected = "warning: 1 of 3 cases differ by more than 1 % from the median spacing 5 x 5 x 12 mm: 2 (5 x 5 x 10); "
    assert only(data, "folder").startswith(expected)
    found = list_cases(data, "folder")
    found.constants = {"spacing_mm": [5.0, 5.0, None]}  # prepared so as to keep their slices
    found.write_into(data)
    assert told(data, "folder") == []


def test_own_scans_of_another_size_or_order_of_axes(data: Path):
    move(data, "3", lambda volume: Volume(volume.array_zyx[:, 2:], volume.spacing_mm))
    assert only(data, "folder").startswith(
        "warning: 1 of 3 cases have other than slices of 64 x 64 pixels: 3 (64 x 62);"
    )
    move(data, "2", lambda volume: reorient(volume, *signed_permutation(volume.direction, LAS)))
    assert told(data, "folder")[1].startswith("warning: 1 of 3 cases have other than stored axes LPS: 2 (LAS);")


# ---- image and labels -------------------------------------------------------------------------------------------


def test_a_label_map_on_another_grid(data: Path):
    labels = read_labels(data / "label_2.nii.gz")
    x, y, z = labels.origin_mm
    write_volume(Volume(labels.array_zyx, labels.spacing_mm, (x, y + 30, z)), data / "label_2.nii.gz")
    finding = only(data)
    assert finding.startswith("error: case 2: label_2.nii.gz has the size of image_2.nii.gz but lies elsewhere")
    assert finding.endswith("fix the wrong header, or run psmnet prepare again")


def test_labels_in_air(data: Path):
    edit(data / "image_2.nii.gz", lambda array: array.__setitem__((slice(3, 10), slice(0, 40)), 0))
    finding = next(line for line in told(data) if "air" in line)
    assert re.match(
        r"warning: case 2: \d+% of its labelled voxels lie in air \(intensity 4\d(\.\d+)? or less\);", finding
    )


def test_a_label_map_of_another_case(data: Path):
    image = read_volume(data / "image_2.nii.gz")
    write_volume(image.with_array(read_labels(data / "label_3.nii.gz").array_zyx), data / "label_2.nii.gz")
    (data / "image_3.nii.gz").unlink()
    (data / "label_3.nii.gz").unlink()
    expected = (
        r"warning: case 2: its label map doesn't follow its image: steps at its borders are [01]\.\d\d times those "
        r"beside them, and \d\d% of them exceed one inside; see whether it is another case's, mirrored or turned"
    )
    assert re.fullmatch(expected, only(data))


def test_a_label_map_that_is_mirrored_in_its_array(data: Path):
    edit(data / "label_2.nii.gz", lambda array: array[:, :, ::-1])
    borders, orientation = told(data)
    assert "by the header, " in orientation
    assert "right_kidney not right of left_kidney" in orientation
    assert "its label map doesn't follow its image" in borders


def test_borders_that_no_image_of_the_data_shows_are_told_once(data: Path):
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        edit(data / f"image_{number}.nii.gz", lambda array: rng.normal(500, 50, array.shape).astype(np.float32))
    assert only(data).startswith(
        "warning: the labels of 3 of 3 cases (1, 2, 3) follow no borders that their images show;"
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_header_that_runs_the_wrong_way(data: Path, axis: int):
    flipped = np.eye(3)
    flipped[axis, axis] = -1
    for case_id in ("1", "2", "3"):  # all, so that their axes are alike
        move(data, case_id, lambda volume: Volume(volume.array_zyx, volume.spacing_mm, volume.origin_mm, flipped))
    findings = told(data)
    assert len(findings) == 3
    assert findings[1].startswith("warning: case 2: by the header, ")
    relations = {
        "liver not right of spleen": 0,
        "right_kidney not right of left_kidney": 0,
        "right_kidney and left_kidney not behind liver": 1,
        "liver not above right_kidney and left_kidney": 2,
    }
    for relation, of_axis in relations.items():
        assert (relation in findings[1]) is (of_axis == axis)


def test_swapped_kidneys(data: Path):
    right, left = ORGANS["right_kidney"], ORGANS["left_kidney"]
    edit(data / "label_2.nii.gz", lambda array: np.choose(array, [0, 1, left, right, 4, 5]).astype(np.uint8))
    assert re.search(
        r"case 2: by the header, right_kidney not right of left_kidney but \d\d+ mm the other way", only(data)
    )


def test_an_identity_header_over_an_array_in_las_order_is_false(data: Path, facts: Callable[..., None]):
    facts(las_order=True)
    for case_id in ("1", "2", "3"):
        move(data, case_id, lambda volume: reorient(volume, *signed_permutation(volume.direction, LAS)))
    assert told(data) == []
    move(data, "2", lambda volume: Volume(volume.array_zyx, volume.spacing_mm))
    axes, header = told(data)
    assert axes.startswith("warning: 1 of 3 cases have other than stored axes LAS: 2 (LPS)")
    assert header.startswith("warning: case 2: the header is false: it says identity (LPS), but the organs lie as in")
    assert "psmnet prepare" in header


def test_another_order_of_axes_under_a_true_header(data: Path, facts: Callable[..., None]):
    facts(las_order=True)
    title = "synthetic abdomens drawn by this program"
    assert only(data) == f"warning: all 3 cases: stored axes run LPS where {title} has LAS; run psmnet prepare again"


# ---- dataset.json -----------------------------------------------------------------------------------------------


def test_files_that_changed_since_they_were_prepared(data: Path):
    list_cases(data)
    assert told(data) == []
    edit(data / "image_1.nii.gz", lambda array: array + 1)
    edit(data / "label_2.nii.gz", lambda array: array.__setitem__((5, 30, 30), 0))
    image, labels = told(data)
    assert image == "warning: case 1: its image has changed since it was prepared; run psmnet prepare again"
    assert labels.startswith("warning: case 2: its label map has changed since it was prepared; run psmnet prepare")


def test_slices_lost_since_a_case_was_prepared(data: Path):
    list_cases(data)
    move(data, "2", lambda volume: Volume(volume.array_zyx[1:], volume.spacing_mm))
    error, labels = told(data)
    assert error.startswith("error: case 2: its image has 64 x 64 x 11 voxels; prepared, it had 64 x 64 x 12;")
    assert labels.startswith("warning: case 2: its label map has changed")


def test_cases_that_are_listed_and_missing_or_there_and_not_listed(data: Path):
    found = list_cases(data)
    found.cases["7"] = found.cases.pop("2")
    found.write_into(data)
    unlisted, missing = told(data)
    assert unlisted.startswith("warning: case 2: its image is not listed in dataset.json;")
    assert missing == "error: case 7: dataset.json lists it, but its image is missing; run psmnet prepare again"


def test_a_label_map_that_is_listed_and_missing_of_own_scans(data: Path):
    list_cases(data, "folder")
    (data / "label_2.nii.gz").unlink()
    assert only(data, None) == "error: case 2: its label map is missing; run psmnet prepare again"


def test_a_damaged_dataset_json_hides_nothing(data: Path):
    (data / "dataset.json").write_text('{"schema": "psmnet-dataset-1"', encoding="utf-8")
    edit(data / "label_2.nii.gz", erase("spleen"))
    damaged, absent = told(data)
    assert damaged.startswith("error: dataset.json is damaged: files can't be compared with it;")
    assert absent.startswith("warning: case 2: no spleen")


# ---- the command ------------------------------------------------------------------------------------------------


def test_exit_codes_of_the_command(cli, data: Path, tmp_path: Path):
    arguments = ("check", data, "--dataset", "phantom", "--jobs", 1)
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "phantom: 3 cases, 3 labelled, 36 slices; 0 errors, 0 warnings\n"

    edit(data / "label_2.nii.gz", erase("spleen"))
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (1, "")
    warning, summary = outcome.out.splitlines()
    assert warning == "warning: case 2: no spleen in the label map; see whether the scan shows it"
    assert summary.endswith("0 errors, 1 warning")

    (data / "label_1.nii.gz").unlink()
    outcome = cli(*arguments)
    assert outcome.code == 2
    error, warning, summary = outcome.out.splitlines()
    assert error.startswith("error: case 1: label_1.nii.gz is missing")
    assert summary.endswith("1 error, 1 warning")

    outcome = cli("check", tmp_path / "absent")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("psmnet: no folder ")


def test_the_command_tells_of_faults_that_were_asked_for(cli, data: Path):
    list_cases(data, legacy=("crop-origin",))
    outcome = cli("check", data, "--jobs", 1)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "prepared by psmnet 0.1.0 as phantom, with the known bugs crop-origin"


# ---- real scans -------------------------------------------------------------------------------------------------


@pytest.mark.slow  # the phantoms and the next test hold it for fewer scans
@pytest.mark.real_data
@pytest.mark.skipif(not CHAOS.is_dir(), reason="needs the CHAOS-T2 scans in ../shared/data/chaos_t2")
def test_chaos_has_no_finding():
    report = check_dataset(CHAOS, "chaos-t2", jobs=2)
    assert report.findings == ()
    assert report.summary() == "chaos-t2: 20 cases, 20 labelled, 718 slices; 0 errors, 0 warnings"


@pytest.mark.real_data
@pytest.mark.skipif(not CHAOS.is_dir(), reason="needs the CHAOS-T2 scans in ../shared/data/chaos_t2")
def test_label_maps_of_chaos_under_the_next_patient_are_seen(tmp_path: Path):
    donors = {"5": "19", "19": "5", "10": "10", "13": "13", "3": "3"}  # of 36 slices each
    for case_id, donor in donors.items():
        image = read_volume(CHAOS / f"image_{case_id}.nii.gz")
        labels = read_labels(CHAOS / f"label_{donor}.nii.gz")
        shutil.copy(CHAOS / f"image_{case_id}.nii.gz", tmp_path)
        write_volume(image.with_array(labels.array_zyx), tmp_path / f"label_{case_id}.nii.gz")
    findings = check_dataset(tmp_path, "chaos-t2", jobs=2).findings
    assert {finding.case_id for finding in findings if "doesn't follow its image" in finding.what} == {"5", "19"}
    assert not {finding.case_id for finding in findings} & {"10", "13", "3"}
