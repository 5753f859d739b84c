from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from skimage.segmentation import felzenszwalb

from psmnet.catalog import DATASETS
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.rule import (
    PseudolabelRule,
    faulty_renumber,
    renumber,
    superpixel_volume,
    to_thousand,
)
from psmnet.errors import ConfigError
from psmnet.volume.body import body_mask
from psmnet.volume.volume import Volume

THRESHOLD = 50.0
RULE = PseudolabelRule("superpixels", THRESHOLD)
UNKNOWN = PseudolabelRule("superpixels", None)


@pytest.fixture(scope="module")
def image() -> Volume:
    return draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))[0]


# ---- superpixels -----------------------------------------------------------------------------------------------


def test_ids_are_contiguous_from_one_in_every_slice_and_fill_the_body(image: Volume):
    ids = RULE.make(image)
    assert ids.dtype == np.int32
    assert ids.shape == image.array_zyx.shape
    np.testing.assert_array_equal(ids > 0, body_mask(image.array_zyx, THRESHOLD, image.spacing_mm))
    for slice_ids in ids:
        present = np.unique(slice_ids[slice_ids > 0])
        np.testing.assert_array_equal(present, np.arange(1, len(present) + 1))
        assert len(present) > 3


def test_superpixels_follow_edges():
    scan = np.full((1, 256, 256), 100.0)
    scan[:, :, 128:] = 900
    (ids,) = superpixel_volume(scan, np.ones(scan.shape, bool))
    for half in (ids[:, :120], ids[:, 136:]):
        assert len(np.unique(half)) == 1
    assert ids[0, 0] != ids[0, 255]


def test_the_smallest_superpixel_is_in_proportion_to_the_slice(image: Volume):
    # 400 pixels of 256 x 256 are 25 of 64 x 64.
    ids = superpixel_volume(image.array_zyx, np.ones(image.array_zyx.shape, bool))[6]
    assert np.bincount(ids.ravel())[1:].min() >= 25


@pytest.mark.parametrize("rule", [RULE, UNKNOWN, replace(RULE, kind="supervoxels")])
@pytest.mark.parametrize("value", [0.0, -3.0])
def test_an_empty_volume_gives_zeros(rule: PseudolabelRule, value: float):
    assert (rule.make(Volume(np.full((2, 16, 16), value, np.float32))) == 0).all()


def test_an_empty_slice_among_others_gives_zeros(image: Volume):
    array = image.array_zyx.copy()
    array[3] = 0
    for rule in (RULE, UNKNOWN, replace(RULE, kind="supervoxels")):
        ids = rule.make(image.with_array(array))
        assert (ids[3] == 0).all()
        assert (ids[4] > 0).any()


@pytest.mark.parametrize("rule", [RULE, UNKNOWN, replace(RULE, kind="supervoxels")])
def test_pseudolabels_are_deterministic(rule: PseudolabelRule, image: Volume):
    np.testing.assert_array_equal(rule.make(image), rule.make(image.with_array(image.array_zyx.copy())))


def test_a_slices_superpixels_depend_on_that_slice_alone(image: Volume):
    body = np.ones(image.array_zyx.shape, bool)
    np.testing.assert_array_equal(
        superpixel_volume(image.array_zyx, body)[5:6], superpixel_volume(image.array_zyx[5:6], body[5:6])
    )


def test_intensities_of_unknown_scale_give_the_same_partition_whatever_their_scale(image: Volume):
    unit = (image.array_zyx / image.array_zyx.max()).astype(np.float64)

    def ids(array: np.ndarray) -> np.ndarray:
        return UNKNOWN.make(image.with_array(array))

    expected = ids(unit)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(ids(unit * 1024), expected)  # exact in binary
    assert (ids(unit * 1000) == expected).mean() > 0.99  # ties may fall otherwise
    assert (ids(unit * 1000 - 1024) == expected).mean() > 0.99  # as CT has it


def test_unknown_intensities_are_brought_to_a_thousand():
    scaled = to_thousand(np.linspace(-5, 5, 1001))
    assert scaled[[0, 500, 1000]].tolist() == pytest.approx([0, 500, 1000])
    assert scaled[[10, 990]].tolist() == pytest.approx([(0.1 - 0.05) / 9.9 * 1000, 1000 - (0.1 - 0.05) / 9.9 * 1000])


@pytest.mark.parametrize("make", [lambda rule: replace(rule, kind="voxels"), lambda rule: PseudolabelRule("voxels")])  # type: ignore[arg-type]
def test_no_other_kind(make: Callable[[PseudolabelRule], PseudolabelRule]):
    with pytest.raises(ConfigError, match="no pseudo-labels 'voxels'; give one of superpixels, supervoxels"):
        make(RULE)


# ---- supervoxels -----------------------------------------------------------------------------------------------


def test_supervoxels_keep_their_id_from_slice_to_slice():
    array = np.zeros((6, 40, 40), np.float32)
    array[:, 4:36, 4:20], array[:, 4:36, 20:36] = 100, 220
    ids = PseudolabelRule("supervoxels", 10.0, min_voxels=50).make(Volume(array, (1, 1, 4)))
    assert ids[0, 10, 10] == ids[5, 10, 10] != 0
    assert ids[0, 10, 30] == ids[5, 10, 30] != 0
    assert ids[0, 10, 10] != ids[0, 10, 30]
    assert (ids[:, 0] == 0).all()


def test_the_smallest_supervoxel_is_the_catalogs_or_60_ml(image: Volume):
    assert PseudolabelRule.of(DATASETS["cmr"], "supervoxels").parameters()["min_size"] == 1000
    assert PseudolabelRule.of(DATASETS["phantom"], "supervoxels").parameters()["min_size_mm3"] == 60_000
    ids = PseudolabelRule.of(DATASETS["phantom"], "supervoxels").make(image)
    # 60,000 mm3 are 150 voxels of 5 x 5 x 16 mm.
    assert np.bincount(ids.ravel())[1:].min() >= 150


# ---- the field's renumbering fault -------------------------------------------------------------------------------


def test_fault_1_raw_ids_0_to_5_come_out_as_1_2_3_4_and_6():
    raw = np.arange(6)[None].repeat(2, axis=0)
    body = np.ones((2, 6), bool)
    body[1, 2] = False
    assert faulty_renumber(raw, body).tolist() == [[0, 1, 2, 3, 4, 6], [0, 1, 0, 3, 4, 6]]
    assert renumber(np.where(body, raw + 1, 0)).tolist() == [[1, 2, 3, 4, 5, 6], [1, 2, 0, 4, 5, 6]]


def test_the_rule_makes_the_fault_where_it_is_asked_for(image: Volume):
    body = body_mask(image.array_zyx, THRESHOLD, image.spacing_mm)
    for slice_yx, body_yx, ids in zip(image.array_zyx, body, replace(RULE, faulty_ids=True).make(image), strict=True):
        # 400 pixels of 256 x 256 are 25 of 64 x 64.
        raw = felzenszwalb(slice_yx.astype(np.float64), scale=1, sigma=1, min_size=25)
        np.testing.assert_array_equal(ids, faulty_renumber(raw, body_yx))
    with pytest.raises(ConfigError, match="superpixel-ids with supervoxels"):
        replace(RULE, kind="supervoxels", faulty_ids=True)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([[0, 7], [3, 7]], [[0, 2], [1, 2]]),
        ([[5, 7], [3, 7]], [[2, 3], [1, 3]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
        ([[4, 4], [4, 4]], [[1, 1], [1, 1]]),
        ([[0, 1], [2, 3]], [[0, 1], [2, 3]]),
    ],
)
def test_renumber(ids: list[list[int]], expected: list[list[int]]):
    assert renumber(np.array(ids)).tolist() == expected
