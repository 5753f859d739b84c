import numpy as np
import pytest

from psmnet.config import PRESETS
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import InputError
from psmnet.segmentation.decision import decided_from
from psmnet.segmentation.student_view import StudentView
from psmnet.volume.geometry import Reorientation
from psmnet.volume.normalisation import Normalisation
from psmnet.volume.volume import Volume

PARTS = {1: 1, 4: 2}


@pytest.fixture(scope="module")
def patient() -> Volume:
    return draw_patient(1, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))[0]


@pytest.fixture(scope="module")
def view(patient) -> StudentView:
    """64 x 64 pixels of 5 mm are 128 x 128 of 2.5 mm."""
    return StudentView.of([patient], Normalisation(PRESETS["compact"].normalisation))


def everywhere(*probabilities: float) -> np.ndarray:
    return np.stack([np.full((12, 128, 128), round(255 * p), dtype=np.uint8) for p in probabilities])


@pytest.mark.parametrize(
    ("probabilities", "value", "confidence"),
    [
        ((0.3, 0.6), 4, 0.6),
        ((0.45, 0.4), 1, 0.45),
        ((0.3, 0.3), 0, 0.0),  # 0.4 of background, though the organs together are likelier
        ((0.6, 0.7), 4, 0.7),  # together more than 1, so background has nothing
        ((0.0, 0.2), 0, 0.0),
    ],
)
def test_the_likeliest_of_background_and_organs_wins(patient, view, probabilities, value, confidence):
    result = decided_from(patient, view, everywhere(*probabilities), PARTS)
    assert (result.labels.array_zyx == value).all()
    assert max(result.confidence.values()) == pytest.approx(confidence, abs=1 / 255)


@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True)])
def test_probabilities_lie_where_the_view_shows_them(patient, view, flips):
    """A box of the second organ in slices 3 to 6, left half; and mirrored, if the query is stored mirrored."""
    stored = everywhere(0.6, 0)
    stored[:, 3:7, :, :64] = np.array([0, 255])[:, None, None, None]
    turn = Reorientation((0, 1, 2), flips)
    mask = turn.undo(decided_from(turn.apply(patient), view, stored, PARTS).labels.array_zyx)
    expected = np.ones((12, 64, 64))
    expected[3:7, :, :32] = 4
    assert np.array_equal(mask, expected)


def test_an_organ_keeps_as_many_parts_as_it_has(patient, view):
    """Four boxes of the second organ, of which two are kept; voxels of the others are at most even."""
    stored = everywhere(0, 0)
    for row, size in ((0, 10), (30, 20), (60, 14), (100, 8)):
        stored[1, 4:8, row : row + size, 20:60] = 255
    result = decided_from(patient, view, stored, PARTS)
    rows = np.flatnonzero((result.labels.array_zyx == 4).any(axis=(0, 2)))
    assert rows.tolist() == [*range(15, 25), *range(30, 37)]
    assert result.foreground.max() == 255
    assert result.foreground[result.labels.array_zyx == 0].max() == 127


def test_probabilities_are_kept_on_request(patient, view):
    result = decided_from(patient, view, everywhere(0.2, 0.4), PARTS, probabilities=True)
    assert np.allclose(result.probability(4).array_zyx, 0.4)
    assert not decided_from(patient, view, everywhere(0.2, 0.4), PARTS).probabilities


def test_probabilities_of_another_scan(patient, view):
    with pytest.raises(InputError, match=r"shape \(2, 12, 128, 64\) for a scan of \(2, 12, 128, 128\)"):
        decided_from(patient, view, everywhere(0, 1)[..., :64], PARTS)
