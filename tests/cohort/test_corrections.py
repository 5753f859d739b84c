"""Which masks to correct next, and why."""

import pytest

from psmnet.cohort.corrections import correct_next, reason
from psmnet.cohort.learn_record import JudgedOrgan, LearnRecord
from psmnet.errors import InputError
from psmnet.io import read_labels, write_volume


def organ(**figures: float | None) -> JudgedOrgan:
    return JudgedOrgan(**{"first": 0.9, "vote": 0.9, "final": 0.9, **figures})


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"final": 0.0}, "hardly anything found"),
        ({"vote_student": 0.4}, "vote and network disagree (Dice 0.40)"),
        (
            {"vote_student": 0.6, "vote_registration": 0.5, "student_registration": 0.3, "final": 0.7},
            "network agrees with neither vote (Dice 0.60) nor registration (0.30); confidence 0.70",
        ),
        (
            {"vote_student": 0.9, "vote_registration": 0.4, "student_registration": 0.5},
            "vote and registration disagree (Dice 0.40)",
        ),
        ({"final": 0.8, "vote_student": 0.9}, "confidence 0.80"),
        ({"final": 0.97, "vote_student": 0.9}, "confidence 0.97"),
    ],
)
def test_why(figures, why):
    assert reason(organ(**figures)) == why


def test_the_most_doubtful_come_first_and_edited_ones_are_left_out(learned):
    run = learned / "run"
    record = LearnRecord.read(run / "learn.json")
    for number, scan in enumerate(record.scans):
        scan.organs = {"a": organ(final=0.9), "b": organ(final=0.5 + 0.1 * number)}
    record.write(run / "learn.json")
    order = correct_next(run)
    assert [one.scan.name for one in order.scans] == ["image_2", "image_3", "image_4", "image_5"]
    assert [one.organ for one in order.scans] == ["b", "b", "b", "b"]
    assert (order.scans[0].why, order.scans[0].mask) == ("confidence 0.50", run / "masks" / "image_2_seg.nii.gz")
    assert order.edited == ()
    mask = read_labels(run / "masks" / "image_2_seg.nii.gz")
    write_volume(mask.with_array(mask.array_zyx * 0), run / "masks" / "image_2_seg.nii.gz")
    order = correct_next(run)
    assert [one.scan.name for one in order.scans] == ["image_3", "image_4", "image_5"]
    assert order.edited == ("image_2",)


def test_a_folder_without_a_finished_learning(tmp_path):
    with pytest.raises(InputError, match=f"no finished learning in {tmp_path}; give the folder of a finished learning"):
        correct_next(tmp_path)
    with pytest.raises(InputError, match=f"no file or folder {tmp_path / 'nothing'}"):
        correct_next(tmp_path / "nothing")
