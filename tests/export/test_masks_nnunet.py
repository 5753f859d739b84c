"""Masks that `segment` wrote as an nnU-Net data set: each with its scan, found by content, and labelled scans."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import only_line
from helpers.learned import save_learned_from
from psmnet.cohort.job import CohortJob
from psmnet.cohort.run import segment_cohort
from psmnet.errors import ConfigError, InputError
from psmnet.export.masks_nnunet import export_masks
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.io.organ_names import OrganName
from psmnet.io.scan_files import Query, find_queries


@pytest.fixture(scope="module")
def masks_once(tmp_path_factory, phantoms) -> Path:
    """Masks of patients 3 and 4 by a learned network: organs 1 and 4."""
    folder = tmp_path_factory.mktemp("masks")
    network = save_learned_from([read_volume(phantoms / "image_1.nii.gz")], folder / "weights.safetensors")
    names = {4: OrganName("Milz")}
    job = CohortJob(supports=(), out=folder / "masks", weights=str(network), names=names, device="cpu")
    segment_cohort(job, [Query(phantoms / f"image_{n}.nii.gz", f"case_{n}") for n in (3, 4)])
    return folder


@pytest.fixture
def run(masks_once, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(masks_once, tmp_path / "run"))


def files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["masks", "."], ids=["masks", "the folder of a learning"])
def test_each_mask_goes_with_its_scan(run, phantoms, tmp_path, place):
    """Though the scans' names say nothing of it, and others lie beside them."""
    scans = tmp_path / "renamed"
    scans.mkdir()
    for number, name in ((3, "x"), (4, "a"), (5, "m")):
        shutil.copy(phantoms / f"image_{number}.nii.gz", scans / f"{name}.nii.gz")
    out = tmp_path / "Dataset001_X"
    assert export_masks(run / place, find_queries([str(scans)])[0], out) == {}
    assert files(out) == [
        "dataset.json",
        *(f"imagesTr/case_{n}_0000.nii.gz" for n in (3, 4)),
        *(f"labelsTr/case_{n}.nii.gz" for n in (3, 4)),
    ]
    for number in (3, 4):
        image = read_volume(out / "imagesTr" / f"case_{number}_0000.nii.gz")
        assert np.array_equal(image.array_zyx, read_volume(phantoms / f"image_{number}.nii.gz").array_zyx)
        mask = read_labels(run / "masks" / f"case_{number}_seg.nii.gz").array_zyx
        labels = read_labels(out / "labelsTr" / f"case_{number}.nii.gz")
        assert np.array_equal(labels.array_zyx, np.select([mask == 1, mask == 4], [1, 2]))
        assert np.allclose(labels.affine, image.affine)
    content = json.loads((out / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "liver": 1, "Milz": 2}
    assert content["label_values_before"] == {"liver": 1, "Milz": 4}
    assert (content["numTraining"], content["channel_names"], content["file_ending"]) == (2, {"0": "scan"}, ".nii.gz")


def test_a_corrected_mask_is_exported_as_corrected(run, phantoms, tmp_path):
    path = run / "masks" / "case_3_seg.nii.gz"
    mask = read_labels(path)
    corrected = np.zeros_like(mask.array_zyx)
    corrected[4, 10:20, 10:20] = 4
    write_volume(mask.with_array(corrected), path)
    out = tmp_path / "Dataset001_X"
    export_masks(run, find_queries([str(phantoms)])[0], out)
    assert np.array_equal(read_labels(out / "labelsTr" / "case_3.nii.gz").array_zyx, corrected // 2)


def test_labelled_scans_become_cases(run, phantoms, tmp_path):
    """With the organs that the masks have; others are background."""
    pair = phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz"
    out = tmp_path / "Dataset001_X"
    export_masks(run, find_queries([str(phantoms)])[0], out, supports=[pair])
    drawn = read_labels(pair[1]).array_zyx
    labels = read_labels(out / "labelsTr" / "support_1.nii.gz").array_zyx
    assert np.array_equal(labels, np.select([drawn == 1, drawn == 4], [1, 2]))
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 3


def test_a_mask_whose_scan_is_missing_is_named_and_the_others_go_on(run, phantoms, tmp_path):
    out = tmp_path / "Dataset001_X"
    export_masks(run, find_queries([str(phantoms)])[0], out)
    failed = export_masks(run, [Query(phantoms / "image_4.nii.gz", "any")], out)
    assert [str(error) for error in failed.values()] == [
        "the scan of case_3_seg.nii.gz is not among the scans given; give it, too"
    ]
    assert "labelsTr/case_3.nii.gz" not in files(out), "nor is one of an earlier export"
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 1


def test_cases_of_an_earlier_export_are_removed(run, phantoms, tmp_path):
    out, scans = tmp_path / "Dataset001_X", find_queries([str(phantoms)])[0]
    export_masks(run, scans, out, supports=[(phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz")])
    export_masks(run, scans, out)
    assert len(files(out)) == 5, "support_1 is no case any more"


def test_files_of_others_are_not_removed(run, phantoms, tmp_path):
    theirs = tmp_path / "Dataset001_X" / "imagesTr" / "mine_0000.nii.gz"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"mine")
    export_masks(run, find_queries([str(phantoms)])[0], tmp_path / "Dataset001_X")
    assert theirs.read_bytes() == b"mine"


def test_no_masks(tmp_path):
    with pytest.raises(InputError, match=r"masks/report.json"):
        export_masks(tmp_path, [], tmp_path / "out")


def test_another_data_set_is_not_mixed_with_it(run, phantoms, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"exported_from": "cmr"}))
    with pytest.raises(ConfigError, match=r"holds another data set \(cmr\)"):
        export_masks(run, find_queries([str(phantoms)])[0], tmp_path)


def test_the_command(cli, run, phantoms, tmp_path):
    out = tmp_path / "Dataset001_X"
    support = ("--support", phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz")
    outcome = cli("export", run, out, "--scans", phantoms, *support, "--jobs", "1")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"nnU-Net data set: {out}\n", "")
    assert len(files(out)) == 7


def test_refusals_of_the_command(cli, run, phantoms, tmp_path):
    line = only_line(cli("export", run, tmp_path / "out"))
    assert line == f"{run} holds masks; name the scans that they are of with --scans"
    line = only_line(cli("export", run, tmp_path / "out", "--scans", phantoms, "--dataset", "cmr"))
    assert line == "--dataset does not go with --scans; leave one out"
    line = only_line(cli("export", phantoms, tmp_path / "out", "--support", "a", "b"))
    assert line == "--support does not go with a prepared folder; leave one out"
