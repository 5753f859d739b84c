"""psmnet learn, and psmnet suggest --next after it."""

import csv
import shutil
from pathlib import Path

import pytest

from helpers.commands import only_line
from helpers.learnings import COHORT
from psmnet.io import read_labels, write_volume

pytestmark = pytest.mark.usefixtures("one_process", "quick_registration")


def arguments(data: Path, weights: Path, out: Path, *more: object) -> list[object]:
    scans = [data / f"image_{number}.nii.gz" for number in COHORT]
    support = ["--support", data / "image_1.nii.gz", data / "label_1.nii.gz"]
    options = ["--steps", 2, "--rounds", 1, "--labels", "1,4", "--device", "cpu", "--threads", 1, "--weights", weights]
    return ["learn", *scans, *support, "--out", out, *options, *more]


def test_from_scans_to_masks_network_and_report(cli, data, tiny_weights, tmp_path):
    out = tmp_path / "run"
    outcome = cli(*arguments(data, tiny_weights, out))
    assert outcome.code == 0, outcome.err
    assert f"masks: 4 in {out / 'masks'}" in outcome.out
    assert f"network: {out / 'weights.safetensors'} (psmnet segment NEW... --weights {out})" in outcome.out
    assert f"report: {out / 'report.html'}" in outcome.out
    assert "warning: the masks are probably poor" in outcome.out
    assert f"(psmnet suggest --next {out})" in outcome.out
    again = cli(*arguments(data, tiny_weights, out))
    assert again.code == 0, again.err
    assert "kept: learned before from the same scans with the same settings" in again.out
    other = cli(*arguments(data, tiny_weights, out, "--seed", 1))
    assert "holds what was learned from other scans or with other settings; choose another --out" in only_line(other)
    new = cli("segment", data / "image_6.nii.gz", "--weights", out, "--out", tmp_path / "new", "--device", "cpu")
    assert new.code == 0, new.err


def test_the_vote_alone(cli, data, tiny_weights, tmp_path):
    out = tmp_path / "run"
    words = arguments(data, tiny_weights, out, "--vote-only")
    for option in ("--steps", "--rounds"):
        place = words.index(option)
        del words[place : place + 2]
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    assert "network: " not in outcome.out
    assert not (out / "weights.safetensors").exists()
    line = only_line(cli(*arguments(data, tiny_weights, tmp_path / "other", "--vote-only")))
    assert line == "--vote-only trains nothing, and --rounds --steps is given; leave one out"


@pytest.mark.slow
def test_a_damaged_scan_is_named_and_the_rest_is_done(cli, data, tiny_weights, tmp_path):
    (data / "image_6.nii.gz").write_bytes(b"no scan")
    words = arguments(data, tiny_weights, tmp_path / "run")
    outcome = cli(*words, data / "image_6.nii.gz")
    assert outcome.code == 2
    assert "1 of 5 scans failed: image_6.nii.gz" in outcome.err
    assert "(the others are kept)" in outcome.err
    assert "masks: 4 in" in outcome.out


def test_too_few_scans(cli, data, tiny_weights, tmp_path):
    words = [word for word in arguments(data, tiny_weights, tmp_path / "run") if "image_5" not in str(word)]
    line = only_line(cli(*words))
    assert line == (
        "3 unlabelled scans that can be used; give at least 4, or segment them without learning (psmnet segment)"
    )


def test_a_labelled_scan_or_an_earlier_learning_is_needed(cli, data, tmp_path):
    outcome = cli("learn", data, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "Missing option '--support' (only with --from RUN it may be left out)" in outcome.err


@pytest.mark.slow
def test_the_loop_with_a_person(cli, learned, tiny_weights, tmp_path):
    data, run = learned / "data", learned / "run"
    outcome = cli("suggest", "--next", run, "--out", tmp_path / "next.csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "next.csv").read_text().splitlines()))
    assert [row["order"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["scan"] for row in rows} == {f"image_{number}.nii.gz" for number in COHORT}
    doubts = [float(row["doubt"]) for row in rows]
    assert doubts == sorted(doubts, reverse=True)
    assert rows[0]["organ"] in ("label_1", "label_4")
    first, second = (run / "masks" / row["mask"] for row in rows[:2])
    assert f"correct: {first}" in outcome.out
    for mask in (first, second):
        labels = read_labels(mask)
        changed = labels.array_zyx.copy()
        changed[4:8, 20:30, 20:30], changed[4:8, 35:45, 35:45] = 1, 4
        write_volume(labels.with_array(changed), mask)
    again = cli("suggest", "--next", run, "-k", 1)
    assert (
        f"corrected already: {', '.join(sorted(row['scan'].removesuffix('.nii.gz') for row in rows[:2]))}" in again.out
    )
    assert "and 1 scan more" in again.out
    corrected = [first.read_bytes(), second.read_bytes()]
    words = ["--from", run, "--support", data / rows[0]["scan"], first, "--steps", 2, "--rounds", 1, "--labels", "1,4"]
    outcome = cli(
        *("learn", data, *words, "--out", tmp_path / "better", "--weights", tiny_weights),
        *("--device", "cpu", "--threads", 1),
    )
    assert outcome.code == 0, outcome.err
    assert f"note: 1 mask edited in run and not given as a labelled scan: {second.name}" in outcome.out
    # The new support is skipped by its path; the earlier one, which is not named, is found by content.
    assert "skipped image_1.nii.gz: it is a copy of a labelled scan" in outcome.out
    assert f"skipped {rows[0]['scan']}: the support itself" in outcome.out
    assert [first.read_bytes(), second.read_bytes()] == corrected


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["scans"], "--next has the scans of its RUN, and scans is given; leave one of them out"),
        (["--weights", "bundled"], "--next compares no scans, and --weights is given; leave out --weights"),
        (
            ["--device", "cpu", "--threads", "1"],
            "--next compares no scans, and --device, --threads is given; leave out",
        ),
        (["--series", "1.2"], "--next compares no scans, and --series is given; leave out --series"),
    ],
)
def test_what_makes_no_sense_with_next(cli, learned_once, more, line):
    assert line in only_line(cli("suggest", "--next", learned_once / "run", *more))


def test_suggest_needs_scans_or_a_run(cli, tmp_path):
    outcome = cli("suggest")
    assert outcome.code == 2
    assert "Missing argument 'SCANS...' (or --next RUN)" in outcome.err
    line = only_line(cli("suggest", "--next", tmp_path))
    assert line == f"no finished learning in {tmp_path}; give the RUN of a finished psmnet learn"


def test_other_organs_than_the_earlier_network_has_learned(cli, learned, tiny_weights, tmp_path):
    words = ["--from", learned / "run", "--out", tmp_path / "better", "--weights", tiny_weights, "--device", "cpu"]
    line = only_line(cli("learn", learned / "data", *words))
    assert line == (
        "labels 1,2,3,4,5 are to be learned, but the earlier network has learned 1,4; "
        "add --labels 1,4, or leave out --from"
    )


def test_a_labelled_scan_that_was_moved(cli, learned, tiny_weights, tmp_path):
    shutil.move(learned / "data" / "label_1.nii.gz", tmp_path / "elsewhere.nii.gz")
    words = ["--from", learned / "run", "--out", tmp_path / "better", "--weights", tiny_weights, "--labels", "1,4"]
    line = only_line(cli("learn", learned / "data", *words))
    assert "learned from label_1.nii.gz, which is no longer in" in line
    assert line.endswith("; give this labelled scan again with --support IMAGE LABEL")
