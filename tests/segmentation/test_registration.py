import numpy as np
import pytest
import torch
from scipy import ndimage

from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.segmentation import scan_alignment
from psmnet.segmentation.methods import load_method, segmenter_of
from psmnet.segmentation.registration import Registration, RegistrationSettings
from psmnet.volume.geometry import Reorientation, slice_axis
from psmnet.volume.volume import Volume

SHAPE, SPACING = (16, 64, 64), (3.0, 3.0, 7.0)
SEED = 3


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small scans need few points; of the starts, one will do."""
    monkeypatch.setattr(scan_alignment, "AFFINE_POINTS", 5000)
    monkeypatch.setattr(scan_alignment, "SPLINE_POINTS", 3000)
    monkeypatch.setattr(scan_alignment, "STARTS", 1)


@pytest.fixture(scope="module")
def patient() -> tuple[Volume, Volume]:
    return draw_patient(SEED, shape_zyx=SHAPE, spacing_mm=SPACING)


def again(spacing_mm=SPACING, shape_zyx=SHAPE) -> tuple[Volume, Volume]:
    """The same patient on voxels of another size, and so with other noise."""
    return draw_patient(SEED, shape_zyx=shape_zyx, spacing_mm=spacing_mm)


def moved(volume: Volume, *, degrees: float = 0, scale: float = 1, shift_mm=(0.0, 0.0, 0.0)) -> Volume:
    """Turned about the slice axis, scaled and shifted about the patient's middle: by the header, so exactly."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle = (volume.affine @ (*((np.array(volume.size_xyz) - 1) / 2), 1))[:3]
    x, y, z = (middle + scale * turn @ (np.array(volume.origin_mm) - middle) + shift_mm).tolist()
    steps = [scale * step for step in volume.spacing_mm]
    return Volume(volume.array_zyx, (steps[0], steps[1], steps[2]), (x, y, z), turn @ volume.direction)


def bent(volume: Volume, order: int) -> Volume:
    """Pushed to and fro by up to 9 mm in waves of 130 to 190 mm, which no affine transform is."""
    z, y, x = (index * step for index, step in zip(np.indices(SHAPE), SPACING[::-1], strict=True))
    waves = (0 * z, 9 * np.sin(x / 25), 9 * np.sin(y / 25 + z / 30))
    places = [(mm + wave) / step for mm, wave, step in zip((z, y, x), waves, SPACING[::-1], strict=True)]
    return volume.with_array(ndimage.map_coordinates(volume.array_zyx, places, order=order, mode="nearest"))


def dice(found: Volume, truth: Volume) -> float:
    """Mean over the truth's labels."""
    values = set(np.unique(truth.array_zyx).tolist()) - {0}
    pairs = [(found.array_zyx == value, truth.array_zyx == value) for value in values]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def ready(*supports: tuple[Volume, Volume], spline: bool = False) -> Registration:
    made = Registration(RegistrationSettings(spline=spline))
    made.set_support(supports)
    return made


# ---- alignment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "motion",
    [
        {"shift_mm": (25.0, -18.0, 12.0)},
        {"degrees": 12.0},
        {"scale": 1.2},
        {"degrees": -8.0, "scale": 0.85, "shift_mm": (-20.0, 10.0, -9.0)},
    ],
    ids=str,
)
def test_a_known_motion_is_found(patient, motion):
    query, truth = (moved(volume, **motion) for volume in again((2.8, 2.8, 6.5), (17, 68, 68)))
    found = ready(patient).segment(query)
    assert np.array_equal(found.affine, query.affine)
    assert found.array_zyx.dtype == np.uint8
    assert dice(found, truth) > 0.85


def test_splines_mend_what_an_affine_transform_cannot(patient):
    image, labels = again()
    query, truth = bent(image, 1), bent(labels, 0)
    affine, spline = (dice(ready(patient, spline=way).segment(query), truth) for way in (False, True))
    assert spline > affine + 0.1


@pytest.mark.parametrize("spline", [False, True])
def test_two_runs_are_equal_bit_for_bit(patient, spline):
    query, _ = draw_patient(SEED + 1, shape_zyx=SHAPE, spacing_mm=SPACING)
    first, second = (ready(patient, spline=spline) for _ in range(2))
    found = first.segment(query).array_zyx
    assert found.any()
    if not spline:  # which takes seconds
        assert np.array_equal(first.segment(query).array_zyx, found)
    assert np.array_equal(second.segment(query).array_zyx, found)


TURNS = [
    Reorientation((0, 1, 2), (True, True, True)),
    Reorientation((2, 0, 1), (False, True, False)),
    Reorientation((1, 0, 2), (True, False, True)),
]


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_how_a_query_is_stored_does_not_matter(patient, turn):
    image, _ = (moved(volume, degrees=5, shift_mm=(8.0, 6.0, -5.0)) for volume in again())
    made = ready(patient)
    query = turn.apply(image)
    result = made.examine(query)
    assert np.array_equal(result.labels.affine, query.affine)
    assert np.array_equal(turn.undo(result.labels.array_zyx), made.segment(image).array_zyx)
    assert slice_axis(result.view.apply(query).spacing_mm) == 2


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_how_a_support_is_stored_does_not_matter(patient, turn):
    query, truth = (moved(volume, degrees=5, shift_mm=(8.0, 6.0, -5.0)) for volume in again())
    image, labels = patient
    assert dice(ready((turn.apply(image), turn.apply(labels))).segment(query), truth) > 0.85


@pytest.mark.parametrize(
    ("spacing_mm", "shape_zyx"), [((3.0, 3.0, 3.0), (37, 64, 64)), ((1.5, 2.0, 9.0), (12, 96, 128))]
)
def test_spacings_may_differ(patient, spacing_mm, shape_zyx):
    query, truth = (moved(volume, shift_mm=(-15.0, 9.0, 0.0)) for volume in again(spacing_mm, shape_zyx))
    assert dice(ready(patient).segment(query), truth) > 0.85


def test_three_supports_are_better_than_the_worst_and_give_shares(patient):
    """One of the three is labelled wrongly: its labels lie 6 voxels off."""
    query, truth = (moved(volume, degrees=6) for volume in again())
    image, labels = patient
    wrong = labels.with_array(np.roll(labels.array_zyx, 6, axis=2))
    supports = [patient, tuple(moved(volume, shift_mm=(30.0, 0.0, 0.0)) for volume in patient), (image, wrong)]
    result = ready(*supports).examine(query)
    assert dice(result.labels, truth) > 0.85
    assert set(result.confidence) == set(ready(patient).label_values)
    assert all(2 / 3 < share < 1 for share in result.confidence.values())


def test_one_support_is_unanimous_and_a_label_that_is_not_found_has_no_confidence(patient):
    image, labels = patient
    one = np.zeros_like(labels.array_zyx)
    one[labels.array_zyx == 1] = 9
    one[0, 0, 0] = 4  # in air at the corner, which the query, turned, doesn't have
    query = moved(image, degrees=15)
    query = Volume(query.array_zyx[2:], query.spacing_mm, query.affine[:3] @ (0, 0, 2, 1), query.direction)
    made = ready((image, labels.with_array(one)))
    result = made.examine(query)
    assert made.label_values == (4, 9)
    assert result.confidence == {4: 0.0, 9: 1.0}


def test_only_the_labels_asked_for_and_other_labels_in_each_support(patient):
    image, labels = patient
    made = Registration(RegistrationSettings(spline=False))
    parts = [labels.with_array(np.where(labels.array_zyx == value, 300 + value, 0)) for value in (1, 2, 3)]
    made.set_support([(image, part) for part in parts], [301, 303])
    assert made.label_values == (301, 303)
    found = made.segment(image)
    assert found.array_zyx.dtype == np.uint16
    assert set(np.unique(found.array_zyx)) == {0, 301, 303}


# ---- what can't be used ----------------------------------------------------------------------------------------


def test_constant_scans_are_refused(patient):
    image, labels = patient
    constant = image.with_array(np.zeros_like(image.array_zyx))
    with pytest.raises(InputError, match="the support is constant: every voxel is 0"):
        ready((constant, labels))
    with pytest.raises(InputError, match="the scan is constant: every voxel is 0"):
        ready(patient).segment(constant)


def test_supports_are_refused_as_the_segmenter_does(patient):
    image, labels = patient
    with pytest.raises(ConfigError, match="no support scan"):
        ready()
    with pytest.raises(ConfigError, match="no support has been set; call set_support first"):
        Registration().segment(image)
    with pytest.raises(InputError, match="the support mask is empty"):
        ready((image, labels.with_array(np.zeros_like(labels.array_zyx))))
    with pytest.raises(InputError, match="label 77 is not in the support"):
        Registration().set_support([patient], [77])


def test_a_support_that_is_refused_leaves_the_old_one(patient):
    made = ready(patient)
    known = made.label_values
    with pytest.raises(InputError):
        made.set_support([patient], [77])
    assert made.label_values == known


def test_a_spline_that_makes_it_worse_is_left_out(patient, monkeypatch):
    query, _ = (moved(volume, degrees=5) for volume in again())
    affine = ready(patient).segment(query)
    monkeypatch.setattr(
        scan_alignment, "_bend", lambda *_: scan_alignment.simpleitk().TranslationTransform(3, (60, 0, 0))
    )
    assert np.array_equal(ready(patient, spline=True).segment(query).array_zyx, affine.array_zyx)


def test_a_spline_that_fails_is_left_out(patient, monkeypatch):
    query, _ = (moved(volume, degrees=5) for volume in again())
    affine = ready(patient).segment(query)
    monkeypatch.setattr(scan_alignment, "CONTROL_MM", (-1.0, -1.0))
    monkeypatch.setattr(scan_alignment, "FOLDLESS", float("nan"))
    assert np.array_equal(ready(patient, spline=True).segment(query).array_zyx, affine.array_zyx)


def test_scans_that_cannot_be_compared_end_in_one_line(patient, monkeypatch):
    monkeypatch.setattr(
        scan_alignment, "_starts", lambda *_: [scan_alignment.simpleitk().TranslationTransform(3, (9e5,) * 3)]
    )
    with pytest.raises(InputError, match="support 1 can't be registered to the scan") as caught:
        ready(patient).segment(again()[0])
    assert "\n" not in str(caught.value)


def single_slice(volume: Volume) -> Volume:
    return Volume(volume.array_zyx[8:9], volume.spacing_mm, volume.origin_mm, volume.direction)


def speck(volume: Volume) -> Volume:
    array = np.full(SHAPE, 5, dtype=np.int16)
    array[0, 0, 0] = 6
    return volume.with_array(array)


@pytest.mark.parametrize("change", [single_slice, speck], ids=lambda change: change.__name__)
def test_poor_queries_end_in_a_mask_or_in_one_line(patient, change):
    query = change(patient[0])
    try:
        assert ready(patient, spline=True).segment(query).array_zyx.shape == query.array_zyx.shape
    except InputError as error:
        assert "can't be registered" in str(error)  # noqa: PT017


def test_a_support_of_one_slice_ends_in_one_line(patient):
    image, labels = patient
    with pytest.raises(InputError, match=r"support 1 can't be registered to the scan \(too little overlaps\)"):
        ready((single_slice(image), single_slice(labels))).segment(image)


def test_scans_in_hounsfield_units_are_windowed(patient):
    query = again()[0]
    query = query.with_array(np.where(query.array_zyx < 60, -1000, query.array_zyx / 4 - 100))
    warning, note = ready(patient).examine(query).notes
    assert "unlike the labelled ones" in warning
    assert "taken as CT" in note


def test_settings_by_name():
    usual, affine = load_method("registration", None), load_method("registration", None, ["spline=false"])
    assert (usual.settings, usual.variant) == (RegistrationSettings(spline=True), None)
    assert (affine.settings, affine.variant) == (RegistrationSettings(spline=False), "spline=false")
    assert not segmenter_of(affine, torch.device("cpu")).settings.spline
    with pytest.raises(ConfigError, match="unknown setting 'bend'; give NAME=VALUE with one of spline"):
        load_method("registration", None, ["bend=true"])
    with pytest.raises(ConfigError, match="weights bundled with registration, which is not trained"):
        load_method("registration", "bundled")
