import numpy as np
import pytest

from helpers.learned import CPU, learned_from
from psmnet.data.phantom.patient import draw_patient
from psmnet.segmentation.learned_segmenter import LearnedSegmenter
from psmnet.segmentation.likeness import Likeness, Measures, ScanFacts
from psmnet.volume.volume import Volume

ABDOMEN = Measures(1.25, 8, 320, 300, 240)


def facts(feature: float = 0.0, *, ct: bool = False, **measures: float) -> ScanFacts:
    return ScanFacts(ct, Measures(**{**ABDOMEN.__dict__, **measures}), (feature,))


def test_scans_like_the_others_give_no_warning():
    likeness = Likeness.of([facts(n) for n in (0, 2, 4, 6)])
    assert likeness.warnings(facts(3)) == []


@pytest.mark.parametrize(
    ("measures", "line"),
    [
        ({"pixel_mm": 0.6}, "pixels are 0.6 mm wide, in the scans that the network learned from 1.25 mm;"),
        ({"slice_mm": 20}, "slices are 20 mm apart, in the scans that the network learned from 8 to 10 mm;"),
        ({"width_mm": 500}, "slices are 500 mm wide, in the scans that the network learned from 320 mm;"),
        ({"height_mm": 190}, "slices are 190 mm high, in the scans that the network learned from 300 mm;"),
        ({"length_mm": 1000.4}, "the scan is 1000 mm long, in the scans that the network learned from 240 mm;"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_sizes_unlike_the_others(measures, line):
    likeness = Likeness.of([facts(), facts(slice_mm=10)])
    (found,) = likeness.warnings(facts(**measures))
    assert found == f"warning: {line} look closely at the result"


@pytest.mark.parametrize(("slice_mm", "warned"), [(5.4, False), (5.2, True), (14.9, False), (15.1, True)])
def test_sizes_may_differ_by_half(slice_mm, warned):
    """From 8 / 1.5 = 5.33 to 10 * 1.5 = 15 mm."""
    likeness = Likeness.of([facts(), facts(slice_mm=10)])
    assert bool(likeness.warnings(facts(slice_mm=slice_mm))) is warned


@pytest.mark.parametrize(("learned", "own", "text"), [(True, "not CT", "CT"), (False, "CT", "other scans")])
def test_ct_and_others(learned, own, text):
    (line,) = Likeness.of([facts(ct=learned)]).warnings(facts(ct=not learned))
    assert line == f"warning: the scan is {own}, but the network learned from {text}; results are probably wrong"
    assert not Likeness.of([facts(ct=True), facts(ct=False)]).warnings(facts(ct=learned))


@pytest.mark.parametrize(("feature", "warned"), [(11.4, True), (11.1, False), (-5.1, False), (-5.4, True)])
def test_distance_of_features(feature, warned):
    """Features 0, 2, 4, 6: mean 3, deviation sqrt(5). Of 0 against 2, 4, 6: 4 / sqrt(8 / 3) = 2.449, the reach.

    1.5 times that, in deviations of all, is 3 + 1.5 * 2.449 * 2.236 = 11.22, and -5.22 on the other side.
    """
    likeness = Likeness.of([facts(n) for n in (0, 2, 4, 6)])
    assert likeness.reach == pytest.approx(4 / np.sqrt(8 / 3))
    found = likeness.warnings(facts(feature))
    assert bool(found) is warned
    assert all("looks unlike those that the network learned from" in line for line in found)


def test_a_feature_that_never_changed_does_not_decide_alone():
    """Its spread is that of the others, shrunk: a tenth of their mean variance, (5 + 0) / 2."""
    scans = [ScanFacts(False, ABDOMEN, (float(n), 7.0)) for n in (0, 2, 4, 6)]
    likeness = Likeness.of(scans)
    assert likeness.spread == pytest.approx((np.sqrt(0.9 * 5 + 0.1 * 2.5), np.sqrt(0.1 * 2.5)))
    assert not likeness.warnings(ScanFacts(False, ABDOMEN, (3.0, 7.5)))


def test_three_scans_are_too_few_to_compare_features():
    assert Likeness.of([facts(n) for n in (0, 1, 2)]).warnings(facts(1000)) == []


def patient(seed: int) -> Volume:
    return draw_patient(seed, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))[0]


@pytest.fixture(scope="module")
def segmenter() -> LearnedSegmenter:
    return LearnedSegmenter(learned_from([patient(n) for n in range(1, 6)]), CPU)


@pytest.mark.parametrize("seed", range(6, 12))
def test_other_phantoms_are_like_those_learned_from(segmenter, seed):
    assert segmenter.examine(patient(seed)).notes == ()


def test_noise_is_not_like_a_patient(segmenter):
    image = patient(6)
    noise = np.random.default_rng(0).normal(400, 100, image.array_zyx.shape).astype(np.float32)
    (line,) = segmenter.examine(image.with_array(noise)).notes
    assert line.startswith("warning: the scan looks unlike those that the network learned from (the network's features")


def test_a_part_of_a_scan_is_noticed(segmenter):
    whole = patient(6)
    part = Volume(np.ascontiguousarray(whole.array_zyx[:3]), whole.spacing_mm, whole.origin_mm)
    notes = segmenter.examine(part).notes
    assert any("the scan is 36 mm long, in the scans that the network learned from 144 mm;" in note for note in notes)


def test_ct_is_noticed(segmenter):
    image = patient(6)
    ct = image.with_array(np.where(image.array_zyx < 20, -1000, image.array_zyx / 3 - 100).astype(np.int16))
    notes = segmenter.examine(ct).notes
    assert "the scan is CT, but the network learned from other scans; results are probably wrong" in notes[0]
    assert notes[-1].startswith("taken as CT: ")
