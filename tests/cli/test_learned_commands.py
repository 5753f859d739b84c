"""Commands that are given a learned network as weights."""

import json

import pytest

from helpers.commands import only_line
from helpers.learned import save_learned_from
from psmnet.io import read_volume

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture
def run(phantoms, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    save_learned_from([read_volume(phantoms / f"image_{n}.nii.gz") for n in (1, 2)], folder / "weights.safetensors")
    return folder


def test_segment_without_a_labelled_scan(cli, data, run, tmp_path):
    out = tmp_path / "masks"
    outcome = cli("segment", data / "image_3.nii.gz", data / "image_4.nii.gz", "--weights", run, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "masks: 2 in " in outcome.out
    assert "labels: 1 liver, 4 spleen" in outcome.out
    assert {"image_3_seg.nii.gz", "image_4_seg.nii.gz", "report.json", "contact_sheet.html"} <= {
        path.name for path in out.iterdir()
    }


@pytest.mark.parametrize(
    ("more", "end"),
    [
        (["--support", "{data}/image_1.nii.gz", "{data}/label_1.nii.gz"], "; leave out --support, or give other"),
        (["--method", "psmnet"], "; leave out --method"),
        (["--precision", "bfloat16"], "; leave out --precision"),
        (["--trust-support-grid"], "; leave out --trust-support-grid"),
        (["--save", "probabilities,matches"], "; leave matches out of --save"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_it_has_no_use_for(cli, data, run, tmp_path, more, end):
    more = [text.format(data=data) for text in more]
    line = only_line(cli("segment", data / "image_3.nii.gz", "--weights", run, "--out", tmp_path / "masks", *more))
    assert "is a learned network, which " in line
    assert end in line


def test_other_weights_without_a_labelled_scan(cli, data, tiny_weights, tmp_path):
    line = only_line(cli("segment", data / "image_3.nii.gz", "--weights", tiny_weights, "--out", tmp_path / "masks"))
    assert line == (
        "no support scan; give a labelled scan with --support IMAGE LABEL, or a learned network with --weights RUN"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["adapt", "{data}/image_1.nii.gz", "--out", "{out}"],
        ["suggest", "{data}"],
        ["serve", "--data", "{out}"],
    ],
    ids=lambda value: value[0],
)
def test_where_scans_are_compared_it_is_refused(cli, data, run, tmp_path, arguments):
    places = {"data": data, "out": tmp_path / "out"}
    line = only_line(cli(*(text.format(**places) for text in arguments), "--weights", run))
    assert "weights.safetensors is a learned network: it segments without a labelled scan" in line
    assert "; use it with psmnet segment --weights RUN" in line


def test_info_of_weights(cli, run, tiny_weights):
    outcome = cli("info", run)
    assert outcome.code == 0
    assert "1: liver, 4: spleen" in outcome.out
    facts = json.loads(cli("info", run, "--json").out)
    assert (facts["kind"], facts["labelled scans"], facts["unlabelled scans"]) == ("learned network", 1, 2)
    assert json.loads(cli("info", tiny_weights, "--json").out)["method"] == "psmnet"
    assert "no file or folder" in only_line(cli("info", run / "nothing"))
    assert "--device" in only_line(cli("info", run, "--device"))
