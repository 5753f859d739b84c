"""psmnet check."""

import pytest

from psmnet.io import read_labels, write_volume
from psmnet.volume.volume import Volume


@pytest.mark.usefixtures("one_process")
def test_what_to_do_about_a_finding_is_worded_with_options(cli, data):
    labels = read_labels(data / "label_2.nii.gz")
    x, y, z = labels.origin_mm
    write_volume(Volume(labels.array_zyx, labels.spacing_mm, (x + 2.0, y, z)), data / "label_2.nii.gz")
    outcome = cli("check", data)
    assert (outcome.code, outcome.err) == (2, "")
    found, *_, counts = outcome.out.splitlines()
    assert found.startswith("error: case 2: label_2.nii.gz has the size of image_2.nii.gz but lies elsewhere: ")
    assert "; is this the label map of this scan? " in found
    assert "--trust-support-grid of psmnet segment" in found
    assert counts.startswith("folder: 6 cases, 6 labelled, 72 slices; 1 error, ")
