import numpy as np
import pytest

from psmnet.errors import ConfigError
from psmnet.volume.normalisation import Normalisation, histogram


def test_zscore_by_hand():
    # Mean 2, variance (4 + 0 + 0 + 4) / 4.
    out = Normalisation("zscore").apply(np.array([[0, 2], [2, 4]], np.int16))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.array([[-2, 0], [0, 2]]) / np.sqrt(2), rtol=1e-6)


def test_clip_zscore_clips_to_the_percentiles_first():
    values = np.arange(1001.0)
    values[-1] = 1e6
    values[0] = -1e6
    # The 0.5th and 99.5th percentiles of 1001 sorted values are those of ranks 5 and 995.
    clipped = np.clip(np.arange(1001.0), 5, 995)
    expected = (clipped - clipped.mean()) / clipped.std()
    np.testing.assert_allclose(Normalisation("clip-zscore").apply(values), expected, atol=1e-5)


def test_ct_fold_uses_the_training_cases():
    cases = [np.array([[0, 0]]), np.array([2, 2, 2, 6])]
    rule = Normalisation.of_cases("ct-fold", cases)
    # Mean 12 / 6; mean of squares (4 + 4 + 4 + 36) / 6 less 2^2.
    assert rule.mean == 2
    assert rule.std == pytest.approx(np.sqrt(48 / 6 - 4))
    np.testing.assert_allclose(rule.apply(np.array([2.0, 6.0])), [0, 4 / np.sqrt(4)], rtol=1e-6)


def test_statistics_of_small_integer_types_do_not_overflow():
    rule = Normalisation.of_cases("ct-fold", [np.full(10, 250, np.uint8), np.full(10, 30000, np.int16)])
    assert rule.mean == pytest.approx((250 + 30000) / 2)
    assert rule.std == pytest.approx((30000 - 250) / 2)


@pytest.mark.parametrize("name", ["zscore", "clip-zscore"])
def test_other_rules_need_no_statistics(name: str):
    assert Normalisation.of_cases(name, []) == Normalisation(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rule", [Normalisation("zscore"), Normalisation("clip-zscore"), Normalisation("ct-fold", 7, 0)]
)
def test_a_constant_volume_becomes_zeros(rule: Normalisation):
    assert (rule.apply(np.full((2, 3, 4), 7)) == 0).all()


@pytest.mark.parametrize("rule", ["zscore", "clip-zscore"])
def test_scale_and_offset_do_not_matter(rule: str):
    values = np.random.default_rng(0).normal(size=(3, 8, 8))
    normalisation = Normalisation(rule)  # type: ignore[arg-type]
    np.testing.assert_allclose(normalisation.apply(40 * values + 300), normalisation.apply(values), atol=1e-4)


def test_the_input_is_left_alone():
    values = np.arange(10, dtype=np.float32)
    Normalisation("clip-zscore").apply(values)
    np.testing.assert_array_equal(values, np.arange(10))


def test_bad_rules():
    with pytest.raises(ConfigError, match=r"'minmax'.*clip-zscore"):
        Normalisation("minmax")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no mean and std"):
        Normalisation("ct-fold")


@pytest.mark.parametrize("rule", ["zscore", "clip-zscore", "ct-fold"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16])
def test_a_histogram_gives_the_same_scale_as_the_voxels(rule: str, kind):
    rng = np.random.default_rng(3)
    array = np.clip(rng.normal(60, 25, (5, 30, 31)), 0, 127).astype(kind)
    array[0, 0, 0] = np.iinfo(kind).max
    array[0, 0, 1] = np.iinfo(kind).min
    found = histogram(array)
    assert found is not None
    values, counts = found
    known, expected = np.unique(array, return_counts=True)
    assert np.array_equal(values, known)
    assert np.array_equal(counts, expected)
    normalisation = Normalisation(rule, 3.0, 4.0) if rule == "ct-fold" else Normalisation(rule)  # type: ignore[arg-type]
    whole, short = normalisation.scale(array), normalisation.scale(values, counts)
    assert short.mean == pytest.approx(whole.mean, rel=1e-6)
    assert short.std == pytest.approx(whole.std, rel=1e-6)
    assert (short.clip is None) == (whole.clip is None) == (rule != "clip-zscore")
    if whole.clip is not None:
        assert short.clip == pytest.approx(whole.clip, abs=1e-4)
    parts = np.concatenate([short.apply(part) for part in array])
    np.testing.assert_allclose(parts, normalisation.apply(array).reshape(parts.shape), atol=1e-5)


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.float64])
def test_no_histogram_of_what_may_have_any_number_of_values(kind):
    assert histogram(np.zeros((2, 2, 2), kind)) is None
