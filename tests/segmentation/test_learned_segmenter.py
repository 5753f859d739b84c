import itertools
import math

import numpy as np
import pytest
import torch

from helpers.learned import CPU, certain_student, learned_from
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import InputError
from psmnet.segmentation import decision
from psmnet.segmentation.learned_segmenter import LearnedSegmenter, scan_facts
from psmnet.segmentation.likeness import Measures
from psmnet.volume.geometry import Reorientation
from psmnet.volume.volume import Volume

TURNS = [
    Reorientation(axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in ((True, False, False), (False, True, True))
]
THREE_FIFTHS = (0.0, math.log(3), 0.0)  # logits: probabilities 0.2, 0.6 and 0.2


def patient(seed: int = 1) -> Volume:
    return draw_patient(seed, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))[0]


@pytest.fixture(scope="module")
def segmenter() -> LearnedSegmenter:
    return LearnedSegmenter(learned_from([patient(1), patient(2)]), CPU)


@pytest.fixture(scope="module")
def certain() -> LearnedSegmenter:
    return LearnedSegmenter(learned_from([patient()], certain_student(*THREE_FIFTHS)), CPU)


def test_something_of_each_label_is_found(segmenter):
    """Else what follows would compare empty masks."""
    result = segmenter.examine(patient())
    values, counts = np.unique(result.labels.array_zyx, return_counts=True)
    assert values.tolist() == [0, 1, 4]
    assert counts.min() > 500
    assert result.notes == ()
    assert segmenter.label_values == (1, 4)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_however_a_query_is_stored_the_mask_is_the_same_in_space(segmenter, turn):
    straight = segmenter.segment(patient())
    query = turn.apply(patient())
    result = segmenter.examine(query, probabilities=True)
    assert result.labels.array_zyx.shape == query.array_zyx.shape
    assert np.array_equal(result.labels.affine, query.affine)
    assert np.array_equal(turn.undo(result.labels.array_zyx), straight.array_zyx)
    assert result.probability(4).array_zyx.shape == query.array_zyx.shape
    assert result.uncertainty().array_zyx.shape == query.array_zyx.shape


def test_figures_of_known_probabilities(certain):
    result = certain.examine(patient(), probabilities=True)
    assert (result.labels.array_zyx == 1).all()
    assert result.confidence == {1: pytest.approx(0.6), 4: 0.0}
    assert np.allclose(result.probability(1).array_zyx, 0.6)
    assert np.allclose(result.probability(4).array_zyx, 0.2)
    assert np.allclose(result.uncertainty().array_zyx, 1 - abs(2 * 0.6 - 1))
    assert result.volumes_ml() == {1: pytest.approx(12 * 64 * 64 * 5 * 5 * 12 / 1000), 4: 0.0}


def test_the_likeliest_of_background_and_organs_wins():
    """0.4 of background, 0.3 and 0.3: background, though the organs together are likelier; then 0.35, 0.4 and 0.25."""
    for shares, value in (((0.4, 0.3, 0.3), 0), ((0.35, 0.4, 0.25), 1)):
        student = certain_student(*map(math.log, shares))
        found = LearnedSegmenter(learned_from([patient()], student), CPU).segment(patient())
        assert (found.array_zyx == value).all()


def test_some_labels_are_found_as_with_the_others(segmenter):
    both = segmenter.examine(patient(), probabilities=True)
    alone = LearnedSegmenter(segmenter.weights, CPU, [4]).examine(patient(), probabilities=True)
    assert np.array_equal(alone.labels.array_zyx, np.where(both.labels.array_zyx == 4, 4, 0))
    assert alone.confidence == {4: both.confidence[4]}
    assert np.array_equal(alone.probabilities[4], both.probabilities[4])
    assert list(alone.probabilities) == [4]


def test_a_label_that_was_not_learned(segmenter):
    with pytest.raises(InputError, match="did not learn label 2; choose from 1 liver, 4 spleen"):
        LearnedSegmenter(segmenter.weights, CPU, [2])


@pytest.mark.parametrize(("name", "most"), [("MOST_PIXELS", 1), ("MOST_PROBABILITIES", 3 * 5 * 64 * 64)])
def test_memory_for_a_batch_changes_nothing(segmenter, monkeypatch, name, most):
    whole = segmenter.examine(patient())
    done: list[float] = []
    monkeypatch.setattr(decision, name, most)
    parts = segmenter.examine(patient(), report=done.append)
    step = 1 if name == "MOST_PIXELS" else 5
    assert done == [pytest.approx(min(n + step, 12) / 12) for n in range(0, 12, step)]
    assert np.array_equal(parts.labels.array_zyx, whole.labels.array_zyx)


def test_a_scan_cut_in_another_plane_is_named(segmenter):
    image = patient()
    result = segmenter.examine(Volume(image.array_zyx, (5.0, 12.0, 5.0), image.origin_mm))
    assert "acquired in another plane" in result.notes[0]
    assert "5 x 12 x 5 mm along axes on which these have 5 x 5 x 12 mm" in result.notes[0]


def test_a_scan_without_contrast(segmenter):
    with pytest.raises(InputError, match="the scan is constant"):
        segmenter.examine(Volume(np.ones((4, 16, 16))))


def test_facts_of_a_scan_are_those_of_its_slices(segmenter):
    """The pooled features of a scan are the mean over its slices, however it is stored."""
    view, model = segmenter.weights.view, segmenter.weights.model
    facts = scan_facts(model, view, TURNS[3].apply(patient()), CPU)
    assert facts.measures == Measures(5, 12, 320, 320, 144)
    images = view.images(patient())[torch.from_numpy(view.neighbours(12, 12.0))]
    with torch.no_grad():
        expected = model.encoder.levels(images)[2].mean(dim=0)
    assert np.allclose(facts.features, expected, atol=1e-5)
