"""Stages and time left of a learning, and the sentence on why a scan should be corrected."""

import pytest

from psmnet.cohort.learn_record import JudgedOrgan, JudgedScan
from psmnet.errors import InputError
from psmnet.learning.settings import LearnSettings
from psmnet.system import read_json
from psmnet.viewer.learn_progress import EVERY_S, StageProgress, planned
from psmnet.viewer.learn_result import reason

ONE_ROUND = LearnSettings(rounds=1)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def told(tmp_path):
    """Reports one second after the other, and reads what the server would."""
    clock = Clock()
    report = StageProgress(tmp_path / "progress", ONE_ROUND, 1000, clock)

    def after(seconds, stage, done, total):
        clock.now += seconds
        report(stage, done, total)
        return read_json(tmp_path / "progress")

    return after


def test_stages_in_their_order():
    assert planned(ONE_ROUND) == ["first masks", "vote", "training", "masks after training", "masks", "pictures"]
    assert planned(LearnSettings(vote_only=True)) == ["first masks", "vote", "masks", "pictures"]
    assert planned(LearnSettings(rounds=2))[2:5] == [
        "training 1 of 2",
        "masks after training 1 of 2",
        "training 2 of 2",
    ]


def test_time_left_is_that_of_the_stage(told):
    assert told(0, "first masks", 0, 10)["left_s"] is None
    assert told(2, "first masks", 1, 10)["left_s"] == 18.0
    assert told(2, "first masks", 2, 10)["left_s"] == 16.0
    found = told(16, "first masks", 10, 10)
    assert (found["left_s"], found["stage"]) == (None, "first masks")
    assert found["stages"][:2] == [
        {"name": "First masks", "done": 10, "total": 10},
        {"name": "Vote", "done": 0, "total": 0},
    ]
    assert found["progress"] == pytest.approx(0.2 * 0.99, abs=1e-3)
    assert told(1, "vote", 0, 10)["left_s"] is None


def test_what_was_there_already_is_soon_forgotten(told):
    told(0, "vote", 0, 100)
    for done in range(1, 51):
        told(0.01, "vote", done, 100)
    for done in range(51, 61):
        found = told(2, "vote", done, 100)
    assert 75 < found["left_s"] <= 80


def test_progress_grows_to_the_end(told):
    seen = [told(1, stage, done, 4)["progress"] for stage in planned(ONE_ROUND) for done in range(5)]
    assert seen == sorted(seen)
    assert seen[-1] == 0.99


def test_not_every_step_is_written(told):
    told(0, "training", 0, 100)
    assert told(EVERY_S / 2, "training", 1, 100)["stages"][2]["done"] == 0
    assert told(EVERY_S / 2, "training", 2, 100)["stages"][2]["done"] == 2


def test_rounds_are_numbered(tmp_path):
    report = StageProgress(tmp_path / "progress", LearnSettings(rounds=2), 1000)
    report("masks after training 1 of 2", 0, 4)
    names = [stage["name"] for stage in read_json(tmp_path / "progress")["stages"]]
    assert names[2:] == [
        "Training 1 of 2",
        "Masks of the network 1 of 2",
        "Training 2 of 2",
        "Masks of the network 2 of 2",
        "Masks",
        "Report",
    ]


def test_a_stage_that_the_page_does_not_know_is_shown_as_it_is_called(told):
    assert told(0, "second opinion", 1, 2)["stages"][-1] == {"name": "Second opinion", "done": 1, "total": 2}


def test_a_folder_that_grows_too_large_ends_it(told, tmp_path):
    (tmp_path / "kept").write_bytes(bytes(1001))
    with pytest.raises(InputError, match=r"of 7 scans while learning fills more than .*; learn from fewer scans"):
        told(0, "vote", 1, 7)


@pytest.mark.parametrize(
    ("organ", "why"),
    [
        ({"final": 0.0, "vote_student": 0.0}, "Hardly any left kidney was found in it."),
        (
            {"final": 0.9, "vote_student": 0.413},
            "Vote and network differ most in its left kidney: their masks overlap by 41 %.",
        ),
        (
            {"final": 0.52, "vote_student": 0.8},
            "The mask of its left kidney is the least sure one: confidence 52 %.",
        ),
        ({"final": 0.52}, "The mask of its left kidney is the least sure one: confidence 52 %."),
    ],
)
def test_why_a_scan_should_be_corrected(organ, why):
    sure = JudgedOrgan(first=0.9, vote=0.9, final=0.95, vote_student=0.95)
    doubtful = JudgedOrgan(first=0.9, vote=0.9, **organ)
    scan = JudgedScan(query="a", name="a", organs={"liver": sure, "left_kidney": doubtful})
    assert reason(scan) == ("left_kidney", why)
