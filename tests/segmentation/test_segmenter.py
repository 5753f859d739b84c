import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.models.weights import load_weights
from psmnet.segmentation.scan_encoder import PRECISIONS
from psmnet.segmentation.segmenter import Segmenter
from psmnet.volume.geometry import Reorientation, reorient
from psmnet.volume.volume import Volume

ALL_48 = [
    Reorientation(axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def oblique() -> np.ndarray:
    """A right-handed frame turned by 20 degrees about x and then 30 degrees about z."""
    a, b = np.deg2rad(20), np.deg2rad(30)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def scan(
    values: tuple[int, ...] = (1, 4), *, seed: int = 0, direction: np.ndarray | None = None, shift: int = 0
) -> tuple[Volume, Volume]:
    """A bright and a dark block in noise (9 slices of 28 x 36, 3 x 3 x 8 mm), and their labels."""
    random = np.random.default_rng(seed)
    array = random.normal(100, 5, (9, 28, 36)).astype(np.float32)
    labels = np.zeros(array.shape, dtype=np.uint16 if max(values) > 255 else np.uint8)
    boxes = [
        (slice(2, 7), slice(4, 14), slice(4 + shift, 14 + shift)),
        (slice(1, 6), slice(15, 25), slice(20, 32)),
        (slice(3, 8), slice(3, 12), slice(22, 33)),
    ]
    for value, box, grey in zip(values, boxes, (300, 10, 190), strict=False):
        array[box] += grey - 100
        labels[box] = value
    lattice = Volume(array, (3.0, 3.0, 8.0), (-40.0, 12.5, 7.0), direction)
    return lattice, lattice.with_array(labels)


@pytest.fixture(scope="module")
def segmenter(tiny_weights: Path) -> Segmenter:
    ready = Segmenter.from_checkpoint(tiny_weights, "cpu")
    ready.set_support([scan()])
    return ready


@pytest.fixture
def fresh(tiny_weights: Path) -> Segmenter:
    return Segmenter.from_checkpoint(tiny_weights, "cpu")


# ---- space -----------------------------------------------------------------------------------------------------


def test_something_is_found_even_untrained(segmenter):
    """Else what follows would compare empty masks."""
    image, labels = scan()
    found = segmenter.segment(image).array_zyx
    for value in (1, 4):
        assert 2 * ((found == value) & (labels.array_zyx == value)).sum() > (labels.array_zyx == value).sum()


@pytest.mark.parametrize("turn", ALL_48, ids=str)
def test_mask_lies_on_the_querys_own_grid_and_is_the_same_in_space(segmenter, turn):
    image, _ = scan(seed=1)
    straight = segmenter.segment(image)
    query = turn.apply(image)
    mask = segmenter.segment(query)
    assert mask.array_zyx.shape == query.array_zyx.shape
    assert np.array_equal(mask.affine, query.affine)
    assert np.array_equal(turn.undo(mask.array_zyx), straight.array_zyx)


@pytest.mark.parametrize("turn", [ALL_48[0], ALL_48[13], ALL_48[46]], ids=str)
def test_written_masks_have_the_geometry_of_oblique_queries(segmenter, turn, tmp_path):
    straight, _ = scan(seed=1, direction=oblique())
    write_volume(turn.apply(straight), tmp_path / "query.nii.gz")
    query = read_volume(tmp_path / "query.nii.gz")
    write_volume(segmenter.segment(query), tmp_path / "mask.nii.gz")
    mask = read_labels(tmp_path / "mask.nii.gz")
    assert mask.array_zyx.shape == query.array_zyx.shape
    assert np.allclose(mask.affine, query.affine, atol=1e-4)
    assert mask.array_zyx.any()


@pytest.mark.parametrize("turn", [ALL_48[9], ALL_48[31]], ids=str)
def test_how_the_support_is_stored_does_not_matter(fresh, segmenter, turn):
    """Slices are cut across the coarsest axis. Turned supports may show them mirrored, so here it is permuted alone."""
    kept = Reorientation(turn.axes)
    image, labels = (kept.apply(volume) for volume in scan())
    assert kept.axes != (0, 1, 2)
    fresh.set_support([(image, labels)])
    query, _ = scan(seed=1)
    found = fresh.segment(query)
    assert np.array_equal(found.affine, query.affine)
    assert set(np.unique(found.array_zyx)) == set(np.unique(segmenter.segment(query).array_zyx))


def test_a_query_in_another_plane_is_segmented_with_a_warning(segmenter):
    image, _ = scan()
    coronal = Volume(image.array_zyx, (3.0, 8.0, 3.0), image.origin_mm)
    result = segmenter.examine(coronal)
    assert result.labels.array_zyx.shape == coronal.array_zyx.shape
    (note,) = result.notes
    assert "another plane" in note
    assert "3 x 3 x 8 mm" in note
    assert "3 x 8 x 3 mm" in note
    assert segmenter.examine(image).notes == ()


def test_pixels_that_are_not_square_are_not_squeezed(segmenter):
    """A query stored at 6 x 3 mm is the same scan: the found volumes are about those at 3 x 3 mm."""
    image, _ = scan()
    pairs = image.array_zyx.reshape(9, 28, 18, 2).mean(axis=3)
    x, y, z = image.origin_mm
    coarse = Volume(pairs, (6.0, 3.0, 8.0), (x + 1.5, y, z))
    fine_ml, coarse_ml = segmenter.examine(image).volumes_ml(), segmenter.examine(coarse).volumes_ml()
    for value, volume in fine_ml.items():
        assert coarse_ml[value] == pytest.approx(volume, rel=0.35)


# ---- labels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"), [((1, 4), np.uint8), ((200, 500, 600), np.uint16), ((7, 70_000), np.uint32)]
)
def test_label_values_of_the_support_are_kept(fresh, values, kind):
    image, labels = scan()
    if len(values) == 3:
        image, labels = scan(values)
    else:
        names = np.zeros(5, dtype=np.int64)
        names[[1, 4]] = values
        labels = labels.with_array(names[labels.array_zyx])
    fresh.set_support([(image, labels)])
    assert fresh.label_values == values
    result = fresh.examine(image)
    assert result.labels.array_zyx.dtype == kind
    assert set(np.unique(result.labels.array_zyx)) == {0, *values}
    assert set(result.confidence) == set(values)
    for value, confidence in result.confidence.items():
        assert 0.5 < confidence <= 1
        voxels = (result.labels.array_zyx == value).sum()
        assert result.volumes_ml()[value] == pytest.approx(voxels * 3 * 3 * 8 / 1000)


def test_only_the_labels_asked_for(fresh):
    image, labels = scan()
    fresh.set_support([(image, labels)], [4])
    assert fresh.label_values == (4,)
    assert set(np.unique(fresh.segment(image).array_zyx)) == {0, 4}


def test_a_label_that_is_not_found_has_no_confidence(fresh):
    """A query that ends before the organ's place along the slice axis."""
    image, labels = scan()
    labels.array_zyx[1:5][labels.array_zyx[1:5] == 4] = 0  # label 4 on slice 5 of 9 alone
    fresh.set_support([(image, labels)], [4])
    thin = Volume(image.array_zyx[:1], image.spacing_mm, image.origin_mm)  # one slice, at 0.5 of the query's length
    assert fresh.segment(thin).array_zyx.shape == (1, 28, 36)
    flat = np.full((9, 28, 36), 5, dtype=np.int16)
    flat[0, 0, 0] = 6  # a constant scan is refused
    result = fresh.examine(Volume(flat, image.spacing_mm))
    assert np.isfinite(result.confidence[4])
    if not result.labels.array_zyx.any():
        assert result.confidence == {4: 0.0}


@pytest.mark.parametrize("value", [3, 0, -1])
def test_a_label_that_the_support_has_not_is_refused(fresh, value):
    with pytest.raises(InputError, match=rf"label {value} is not in the support; choose from 1, 4"):
        fresh.set_support([scan()], [1, value])


def test_an_empty_support_mask_is_refused(fresh):
    image, labels = scan()
    with pytest.raises(InputError, match="the support mask is empty"):
        fresh.set_support([(image, labels.with_array(np.zeros_like(labels.array_zyx)))])


def test_a_support_mask_without_background_is_refused(fresh):
    image, labels = scan()
    with pytest.raises(
        InputError, match="the support mask has no background: every voxel is labelled; label voxels outside organs 0"
    ):
        fresh.set_support([scan(), (image, labels.with_array(np.maximum(labels.array_zyx, 1)))])


@pytest.mark.parametrize("grey", [0, -1024.5])
def test_constant_scans_are_refused(segmenter, fresh, grey):
    image, labels = scan()
    constant = image.with_array(np.full_like(image.array_zyx, grey))
    with pytest.raises(InputError, match=f"the support is constant: every voxel is {grey}; give a scan with"):
        fresh.set_support([(constant, labels)])
    with pytest.raises(InputError, match=f"the scan is constant: every voxel is {grey}; give a scan with"):
        segmenter.examine(constant)


def test_what_is_no_scan_is_refused(segmenter, fresh):
    image, labels = scan()
    with pytest.raises(InputError, match="the scan is a str, not a Volume; read it with"):
        segmenter.segment("scan.nii.gz")
    with pytest.raises(InputError, match="the support mask is a ndarray, not a Volume"):
        fresh.set_support([(image, labels.array_zyx)])


def test_support_grids_that_differ_are_refused(fresh):
    image, labels = scan()
    cropped = Volume(labels.array_zyx[:4], labels.spacing_mm)
    with pytest.raises(InputError, match=r"support labels \(4, 28, 36\) on an image of \(9, 28, 36\)"):
        fresh.set_support([(image, cropped)])


def test_support_is_needed(fresh):
    with pytest.raises(ConfigError, match="no support scan"):
        fresh.set_support([])
    with pytest.raises(ConfigError, match="no support has been set; call set_support first"):
        fresh.segment(scan()[0])


# ---- several supports ------------------------------------------------------------------------------------------


def test_the_order_of_supports_does_not_matter(fresh):
    pairs = [scan(seed=seed, shift=seed) for seed in range(3)]
    query, _ = scan(seed=7, shift=1)
    found = []
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        fresh.set_support([pairs[i] for i in order])
        found.append(fresh.segment(query).array_zyx)
    for other in found[1:]:
        assert (other != found[0]).mean() < 1e-3  # sums in another order may differ in the last bit


def test_the_order_of_supports_of_different_width_does_not_matter(fresh):
    """Pixels are as large as the widest support asks for, not the first."""
    image, labels = scan(seed=1)
    wide = [np.pad(volume.array_zyx, ((0, 0), (10, 10), (6, 20)), mode="edge") for volume in (image, labels)]
    pairs = [scan(), tuple(Volume(array, image.spacing_mm) for array in wide)]
    query, _ = scan(seed=7, shift=1)
    found = []
    for order in (pairs, pairs[::-1]):
        fresh.set_support(order)
        found.append(fresh.segment(query).array_zyx)
    assert (found[0] != found[1]).mean() < 1e-3


def test_each_support_may_have_other_labels(fresh):
    image, labels = scan()
    first, second = (labels.with_array(np.where(labels.array_zyx == v, v, 0).astype(np.uint8)) for v in (1, 4))
    fresh.set_support([(image, first), (image, second)])
    assert fresh.label_values == (1, 4)
    assert set(np.unique(fresh.segment(image).array_zyx)) == {0, 1, 4}


def test_a_new_support_replaces_the_old_one(fresh):
    fresh.set_support([scan((1, 4))])
    fresh.set_support([scan((2, 3))])
    assert fresh.label_values == (2, 3)


def test_a_support_that_is_refused_leaves_the_old_one(fresh):
    fresh.set_support([scan()])
    with pytest.raises(InputError):
        fresh.set_support([scan()], [9])
    assert fresh.label_values == (1, 4)


# ---- probabilities ---------------------------------------------------------------------------------------------


def test_probabilities_are_those_that_decided(segmenter):
    query, _ = scan(seed=5)
    result = segmenter.examine(query, probabilities=True)
    labels = result.labels.array_zyx
    found = {value: result.probability(value).array_zyx for value in segmenter.label_values}
    highest = np.maximum.reduce(list(found.values()))
    assert labels.any()
    for value, probability in found.items():
        assert probability.dtype == np.float32
        inside = labels == value
        assert np.array_equal(probability[inside], highest[inside])
        assert (probability[inside] >= 0.5).all()
        assert result.confidence[value] == pytest.approx(probability[inside].mean(), abs=1e-6)
    assert highest.max() <= 1
    uncertainty = result.uncertainty().array_zyx
    decided = labels > 0
    assert np.allclose(uncertainty[decided], 1 - np.abs(2 * highest[decided] - 1), atol=1e-6)
    overruled = (labels == 0) & (highest > 0.51)  # by clean-up
    assert (uncertainty[overruled] > 0.99).all()
    kept = (labels == 0) & (highest < 0.49)
    assert np.allclose(uncertainty[kept], 2 * highest[kept], atol=1e-6)


def test_probabilities_are_laid_as_the_query_is(fresh):
    image, labels = scan()
    fresh.set_support([(image, labels)])
    turned = reorient(image, (2, 0, 1), (True, False, True))
    straight = fresh.examine(image, probabilities=True)
    there = fresh.examine(turned, probabilities=True)
    back = Reorientation((2, 0, 1), (True, False, True)).undo(there.probability(1).array_zyx)
    assert np.array_equal(back, straight.probability(1).array_zyx)
    assert there.uncertainty().array_zyx.shape == turned.array_zyx.shape


def test_each_labels_probabilities_cost_memory_and_are_there_if_asked_for(segmenter):
    assert segmenter.examine(scan(seed=5)[0]).probabilities == {}


# ---- intensities -----------------------------------------------------------------------------------------------


def test_a_scan_in_hounsfield_units_is_said_to_be_taken_as_ct(segmenter):
    image, _ = scan()
    array = image.array_zyx.copy()
    array[:, :2] = -1024
    warning, note = segmenter.examine(image.with_array(array)).notes
    assert warning == "this scan is CT, unlike the labelled ones: look closely at what was found"
    assert "taken as CT" in note
    assert "-1024" in note
    assert "-125..275 HU" in note


def in_hounsfield_units(volume: Volume, padding: float) -> Volume:
    array = volume.array_zyx.astype(np.int16)
    array[:, :2] = padding
    return volume.with_array(array)


def test_ct_by_ct_is_no_surprise_and_what_lies_outside_the_tube_does_not_count(fresh):
    image, labels = scan()
    fresh.set_support([(in_hounsfield_units(image, -1000), labels)])
    query, _ = scan(seed=5)
    found = [fresh.examine(in_hounsfield_units(query, padding)) for padding in (-1024, -3024)]
    assert [len(one.notes) for one in found] == [1, 1]  # taken as CT
    assert np.array_equal(found[0].labels.array_zyx, found[1].labels.array_zyx)
    (note,) = fresh.examine(query).notes
    assert note == "this scan is no CT, unlike the labelled ones: look closely at what was found"


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_types_of_voxels(segmenter, kind):
    image, _ = scan()
    found = segmenter.segment(image.with_array(np.clip(image.array_zyx, 0, 255).astype(kind)))
    assert found.array_zyx.any()


def test_segmenting_twice_gives_the_same(segmenter):
    query, _ = scan(seed=5)
    assert np.array_equal(segmenter.segment(query).array_zyx, segmenter.segment(query).array_zyx)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_half_precision_gives_the_mask_of_single():
    """The bundled weights on drawn patients: in CHAOS it costs less than a tenth of a point of Dice."""
    weights, cpu = load_weights("bundled"), torch.device("cpu")
    pairs = [draw_patient(seed, shape_zyx=(12, 96, 96), spacing_mm=(3.5, 3.5, 16)) for seed in (1, 2)]
    masks = []
    for precision in PRECISIONS:
        segmenter = Segmenter(weights, cpu, precision)
        segmenter.set_support(pairs[:1])
        masks.append(segmenter.segment(pairs[1][0]).array_zyx)
    single, half = masks
    assert (single > 0).any()
    for value in range(1, 5):
        assert 2 * ((single == value) & (half == value)).sum() >= 0.99 * (
            (single == value).sum() + (half == value).sum()
        )


def test_another_precision_is_refused():
    with pytest.raises(ConfigError, match="precision 'float64'; give one of float32, bfloat16"):
        Segmenter(load_weights("bundled"), torch.device("cpu"), "float64")


def test_bundled_weights_load():
    assert Segmenter.from_pretrained("cpu").label_values == ()


# ---- smoothing across slices -----------------------------------------------------------------------------------


def test_logits_are_smoothed_across_slices_of_whole_scans_too(tiny_weights):
    """Under a Gaussian far wider than the scan every slice in which an organ is looked for has the same logits."""
    image, _ = scan(seed=1)
    sharp, smooth = (
        Segmenter(load_weights(tiny_weights, None, [f"smooth_mm={mm}"]), torch.device("cpu")) for mm in ("0", "1e6")
    )
    for one in (sharp, smooth):
        one.set_support([scan()])
    for value in (1, 4):
        apart, alike = (one.examine(image, probabilities=True).probabilities[value] for one in (sharp, smooth))
        searched = apart.any(axis=(1, 2))
        assert searched.sum() > 1
        assert np.array_equal(alike.any(axis=(1, 2)), searched)
        assert np.ptp(apart[searched].astype(int), axis=0).max() > 10
        assert np.ptp(alike[searched].astype(int), axis=0).max() == 0
