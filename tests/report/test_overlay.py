from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from psmnet.catalog import DATASETS
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import InputError
from psmnet.report.overlay import DIM, MARGIN_PX, PALETTE, SHADES, WHITE, colour_of, draw_overlay
from psmnet.volume.volume import Volume


def scan(shape_zyx: tuple[int, int, int] = (1, 60, 60), **lattice: Any) -> Volume:
    """Dark on the left and above, so that no grey is white; every value is unlike its neighbours'."""
    rows, columns = np.indices(shape_zyx[1:])
    return Volume(np.broadcast_to((rows + columns).astype(np.float32), shape_zyx), **lattice)


def drawn(path: Path, image: Volume, labels: np.ndarray, **options: Any) -> np.ndarray:
    draw_overlay(image, labels, options.pop("names", {}), path, **options)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def slice_of(picture: np.ndarray, height: int = 300, width: int = 300) -> np.ndarray:
    """The only slice of a picture without title: below the margin, in the middle."""
    left = (picture.shape[1] - width) // 2
    return picture[MARGIN_PX : MARGIN_PX + height, left : left + width]


def is_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.abs(picture - colour) <= 2).all(axis=-1)


# ---- colours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_no_two_organs_of_a_data_set_share_a_colour(name):
    values = DATASETS[name].labels.values()
    assert len({colour_of(value) for value in values}) == len(values)


def test_colours_repeat_after_their_shades_and_none_is_grey_as_the_scan_or_the_reference():
    colours = [colour_of(value) for value in range(1, 2 * len(PALETTE) * len(SHADES))]
    different = len(PALETTE) * len(SHADES)
    assert colours[: len(PALETTE)] == list(PALETTE)
    assert len(set(colours)) == different
    assert colours[different:] == colours[: different - 1]
    assert all(max(colour) - min(colour) > 35 for colour in colours)


@pytest.mark.parametrize("value", [0, -1])
def test_background_has_no_colour(value):
    with pytest.raises(InputError, match=f"label value {value}"):
        colour_of(value)


# ---- contours --------------------------------------------------------------------------------------------------


def test_contour_runs_along_the_inside_of_the_border_and_nowhere_else(tmp_path):
    # 60 voxels over 300 px: voxels 20 to 39 are pixels 100 to 199.
    labels = np.zeros((1, 60, 60), np.uint8)
    labels[0, 20:40, 20:40] = 2
    on = is_colour(slice_of(drawn(tmp_path / "a.png", scan(), labels)), colour_of(2))
    assert on[100, 120:180].all()
    assert on[199, 120:180].all()
    assert on[120:180, 100].all()
    assert on[120:180, 199].all()
    assert not on[:100].any()
    assert not on[200:].any()
    assert not on[:, :100].any()
    assert not on[:, 200:].any()
    assert not on[103:197, 103:197].any()


def test_inside_is_tinted_and_outside_is_grey(tmp_path):
    labels = np.zeros((1, 60, 60), np.uint8)
    labels[0, 20:40, 20:40] = 2
    tinted = slice_of(drawn(tmp_path / "a.png", scan(), labels))
    plain = slice_of(drawn(tmp_path / "b.png", scan(), np.zeros_like(labels)))
    expected = plain[150, 150] + 0.2 * (np.array(colour_of(2)) - plain[150, 150])
    np.testing.assert_allclose(tinted[150, 150], expected, atol=1)
    outside = np.ones((300, 300), bool)
    outside[100:200, 100:200] = False
    np.testing.assert_array_equal(tinted[outside], plain[outside])


def test_neighbours_keep_both_their_lines(tmp_path):
    labels = np.zeros((1, 60, 60), np.uint8)
    labels[0, 20:40, 20:30], labels[0, 20:40, 30:40] = 1, 2
    panel = slice_of(drawn(tmp_path / "a.png", scan(), labels))
    assert is_colour(panel[120:180, 149], colour_of(1)).all()
    assert is_colour(panel[120:180, 150], colour_of(2)).all()


def test_a_contour_closes_at_the_edge_of_the_scan(tmp_path):
    panel = slice_of(drawn(tmp_path / "a.png", scan(), np.ones((1, 60, 60), np.uint8)))
    assert is_colour(panel[100:140, 0], colour_of(1)).all()
    assert is_colour(panel[299, 100:140], colour_of(1)).all()


def test_a_single_voxel_of_a_large_slice_is_seen(tmp_path):
    labels = np.zeros((1, 900, 900), np.uint8)  # three voxels to a pixel
    labels[0, 451, 451] = 3
    panel = slice_of(drawn(tmp_path / "a.png", scan((1, 900, 900)), labels))
    plain = slice_of(drawn(tmp_path / "b.png", scan((1, 900, 900)), np.zeros_like(labels)))
    changed = np.argwhere((panel != plain).any(axis=-1))
    np.testing.assert_array_equal(changed, [[150, 150]])


def test_reference_is_a_dashed_white_line_over_the_prediction(tmp_path):
    predicted, reference = np.zeros((2, 1, 60, 60), np.uint8)
    predicted[0, 10:20, 10:20] = 1
    reference[0, 20:40, 20:40] = 1
    panel = slice_of(drawn(tmp_path / "a.png", scan(), predicted, reference_zyx=reference))
    for side in (panel[100, 110:190], panel[199, 110:190], panel[110:190, 100], panel[110:190, 199]):
        share = is_colour(side, WHITE).mean()
        assert 0.4 <= share <= 0.6  # half dashes, half gaps
    assert not is_colour(panel[103:197, 103:197], WHITE).any()
    assert is_colour(panel, colour_of(1))[50:100, 50:100].any()


# ---- borders of many labels ------------------------------------------------------------------------------------


def bordered(tmp_path: Path, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slice with the labels' borders, and where it differs from one without any border."""
    panel, bare = (
        slice_of(drawn(tmp_path / name, scan(labels.shape), array, borders_only=True))
        for name, array in (("a.png", labels), ("b.png", np.ones_like(labels)))
    )
    return panel, (panel != bare).any(axis=-1)


def test_the_line_lies_between_two_labels_and_nowhere_else(tmp_path):
    # 60 voxels over 300 px: voxel 30 begins at pixel 150, and half a pixel on each side makes two half covered.
    labels = np.ones((1, 60, 60), np.uint8)
    labels[0, :, 30:] = 2
    panel, changed = bordered(tmp_path, labels)
    assert np.flatnonzero(changed.any(axis=0)).tolist() == [149, 150]
    assert changed[30:, 149:151].all()  # letters stand above
    # The grey of the scan is 0 at the upper left and 255 at the lower right, save for half a percent at each end.
    low, high = np.percentile(scan().array_zyx, (0.5, 99.5))
    grey = 255 * (40 + 29.5 - low) / (high - low)  # voxel 40, between columns 29 and 30
    np.testing.assert_allclose(panel[202, 149:151].mean(axis=0), (grey + np.array(PALETTE[0])) / 2, atol=2)


def test_a_border_that_ends_at_an_edge_does_not_come_in_at_the_other(tmp_path):
    labels = np.ones((1, 60, 60), np.uint8)
    labels[0, 40:, 40:] = 2  # from pixel 200 to the lower and right edge
    _, changed = bordered(tmp_path, labels)
    expected = np.zeros_like(changed)
    expected[199:201, 200:] = expected[200:, 199:201] = True
    np.testing.assert_array_equal(changed, expected)


def test_borders_are_those_of_the_turned_slice(tmp_path):
    labels = np.ones((1, 60, 60), np.uint8)
    labels[0, :, 20:] = 2
    image = scan(direction=np.diag([-1, -1, 1]))
    panel, bare = (
        slice_of(drawn(tmp_path / name, image, array, borders_only=True))
        for name, array in (("a.png", labels), ("b.png", np.ones_like(labels)))
    )
    # 20 voxels of 5 pixels from the right.
    assert np.flatnonzero((panel != bare).any(axis=(0, 2))).tolist() == [199, 200]


def test_all_borders_have_one_colour_and_there_is_no_legend(tmp_path):
    labels = np.repeat(np.arange(1, 61, dtype=np.uint16)[None], 60, axis=0)[None]  # a label a column
    names = {1: "liver", 2: "spleen"}
    plain = drawn(tmp_path / "a.png", scan(), labels, names=names, borders_only=True)
    halves = np.minimum(labels, 2)
    with_legend = drawn(tmp_path / "b.png", scan(), halves, names=names)
    assert with_legend.shape[0] - plain.shape[0] == 24
    assert plain.shape[1] == with_legend.shape[1]
    panel = slice_of(plain)
    line = panel[100:, 149]
    assert (np.ptp(line, axis=-1) > 60).all()
    assert (np.argsort(line, axis=-1) == np.argsort(PALETTE[0])).all()
    assert not (np.ptp(plain[MARGIN_PX + 300 :], axis=-1) > 60).any()  # nothing coloured below the slice


def test_background_and_labels_have_a_border_too(tmp_path):
    labels = np.zeros((1, 60, 60), np.int32)
    labels[0, 20:40, 20:40] = 7
    _, changed = bordered(tmp_path, labels)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (99, 200, 99, 200)
    assert not changed[101:199, 101:199].any()


# ---- which slices, and how they lie ----------------------------------------------------------------------------


def count_slices(tmp_path: Path, labels: np.ndarray) -> int:
    """Slices in the picture, from its size: each is 300 x 300 with gaps of 8, at most four to a row."""
    picture = drawn(tmp_path / "count.png", scan(labels.shape), labels)
    rows = 2 if picture.shape[0] > 500 else 1
    columns = (picture.shape[1] - 2 * MARGIN_PX + 8) // 308
    return rows * columns


@pytest.mark.parametrize(("labelled", "expected"), [(2, 2), (4, 4), (8, 8), (20, 8)])
def test_up_to_eight_labelled_slices(tmp_path, labelled, expected):
    labels = np.zeros((30, 60, 60), np.uint8)
    labels[5 : 5 + labelled, 20:40, 20:40] = 1
    assert count_slices(tmp_path, labels) == expected


@pytest.mark.parametrize("place", [0, -1])
def test_the_scans_ends_are_shown_if_they_hold_a_label(tmp_path, place):
    labels = np.zeros((30, 60, 60), np.uint8)
    labels[10:20, 20:40, 20:40] = 1
    labels[::29, 20:40, 20:40] = 1
    labels[place, 20:40, 20:40] = 2
    assert is_colour(drawn(tmp_path / "ends.png", scan(labels.shape), labels), colour_of(2)).sum() > 100


def test_chosen_slices_are_drawn_as_slices_of_the_whole_scan(tmp_path):
    """Each has its own number, and fewer slices make a narrower picture."""
    labels = np.zeros((30, 60, 60), np.uint8)
    image = Volume(labels.astype(np.float32), (1, 1, 1))
    pictures = []
    for slices in ([4], [5], [4, 5]):
        draw_overlay(image, labels, {}, tmp_path / "some.png", slices=slices)
        pictures.append(np.asarray(Image.open(tmp_path / "some.png")))
    assert not np.array_equal(pictures[0], pictures[1])
    assert pictures[2].shape[1] > pictures[0].shape[1]


def test_without_labels_slices_are_spread_over_the_scan(tmp_path):
    assert count_slices(tmp_path, np.zeros((30, 60, 60), np.uint8)) == 8


def test_an_organ_of_the_reference_alone_is_shown(tmp_path):
    labels = np.zeros((5, 60, 60), np.uint8)
    reference = labels.copy()
    reference[3, 20:40, 20:40] = 1
    image = scan(labels.shape)
    assert is_colour(slice_of(drawn(tmp_path / "a.png", image, labels, reference_zyx=reference)), WHITE).sum() > 100


@pytest.mark.parametrize(
    ("shape_zyx", "spacing_mm", "width", "height"),
    [
        ((1, 40, 80), (1.0, 2.0, 5.0), 300, 300),  # 80 x 80 mm
        ((1, 60, 60), (1.0, 2.0, 5.0), 150, 300),  # 60 x 120 mm
        ((1, 10, 100), (1.0, 5.0, 1.0), 480, 240),  # 100 x 50 mm: the width bounds it
    ],
)
def test_slices_have_the_proportions_of_their_millimetres(tmp_path, shape_zyx, spacing_mm, width, height):
    # The whole slice is labelled, so that its contour frames it.
    image = scan(shape_zyx, spacing_mm=spacing_mm)
    assert framed_size(drawn(tmp_path / "a.png", image, np.ones(shape_zyx, np.uint8))) == (width, height)


def framed_size(picture: np.ndarray) -> tuple[int, int]:
    """Width and height of what label 1 frames, the legend aside."""
    rows, columns = np.nonzero(is_colour(picture[:-45], colour_of(1)))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


EYE = np.eye(3)


@pytest.mark.parametrize(
    ("direction", "corner"),
    [
        # Where the labelled first stored corner (low x, low y) is seen: (bottom, right).
        (EYE, (False, False)),
        (np.diag([-1, -1, 1]), (True, True)),  # RAS, as many NIfTI files
        (np.diag([-1, 1, -1]), (False, True)),
        (np.diag([1, 1, -1]), (False, False)),  # from head to feet: slices themselves are not mirrored
        (EYE[:, [1, 0, 2]], (False, False)),  # transposed
        (np.column_stack([-EYE[:, 1], EYE[:, 0], EYE[:, 2]]), (True, False)),  # x runs to the front
        (np.column_stack([EYE[:, 0], EYE[:, 2], EYE[:, 1]]), (True, False)),  # coronal: y runs to the head
        (np.column_stack([EYE[:, 1], EYE[:, 2], EYE[:, 0]]), (True, False)),  # sagittal
    ],
)
def test_right_is_left_and_front_or_head_is_up(tmp_path, direction, corner):
    labels = np.zeros((1, 60, 60), np.uint8)
    labels[0, :10, :10] = 1
    panel = slice_of(drawn(tmp_path / "a.png", scan(direction=direction), labels))
    rows, columns = np.nonzero(is_colour(panel, colour_of(1)))
    assert (rows.mean() > 150, columns.mean() > 150) == corner


def test_transposed_slices_keep_their_proportions(tmp_path):
    # 120 mm along stored y, which runs to the patient's left: 120 wide, 60 high.
    image = scan((1, 60, 60), spacing_mm=(1, 2, 5), direction=EYE[:, [1, 0, 2]])
    assert framed_size(drawn(tmp_path / "a.png", image, np.ones((1, 60, 60), int))) == (480, 240)


@pytest.mark.parametrize(("degrees", "lettered"), [(0, True), (30, True), (45, False)])
def test_very_oblique_slices_have_no_letters(tmp_path, degrees, lettered):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    direction = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])  # turned about the patient's y
    panel = slice_of(drawn(tmp_path / "a.png", scan(direction=direction), np.zeros((1, 60, 60), int)))
    assert is_colour(panel, DIM).any() == lettered


# ---- awkward input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan])
def test_a_scan_of_one_value_is_black(tmp_path, value):
    labels = np.zeros((2, 60, 60), np.uint8)
    picture = drawn(tmp_path / "a.png", Volume(np.full(labels.shape, value, np.float32)), labels)
    assert (picture[MARGIN_PX + 40 : MARGIN_PX + 100, MARGIN_PX + 40 : MARGIN_PX + 100] == 0).all()


def test_values_that_are_no_numbers_do_not_spoil_the_window(tmp_path):
    image = scan()
    spoilt = np.array(image.array_zyx)
    spoilt[0, 0, :3] = np.nan, np.inf, -np.inf
    plain = slice_of(drawn(tmp_path / "a.png", image, np.zeros((1, 60, 60), int)))
    panel = slice_of(drawn(tmp_path / "b.png", image.with_array(spoilt), np.zeros((1, 60, 60), int)))
    np.testing.assert_allclose(panel[100:, 100:], plain[100:, 100:], atol=2)


@pytest.mark.parametrize("text", ["печень", "Leber für Ärzte", "肝臓", "a\nb\tc\0", "\udcff", "x" * 500, ""])
def test_any_name_and_title_can_be_drawn(tmp_path, text):
    labels = np.ones((1, 60, 60), np.uint8)
    picture = drawn(tmp_path / "a.png", scan(), labels, names={1: text, 2: text}, title=text)
    assert picture.shape[1] == 520  # a long text is shortened, not the canvas widened


def test_legend_marks_every_organ_with_its_colour(tmp_path):
    labels = np.zeros((1, 60, 60), np.uint8)
    names = {1: "liver", 2: "right_kidney", 300: "aorta"}
    picture = drawn(tmp_path / "a.png", scan(), labels, names=names)
    legend = picture[MARGIN_PX + 300 :]
    for value in names:
        assert is_colour(legend, colour_of(value)).sum() > 50
    assert not is_colour(legend, WHITE).any()


def test_a_label_without_name_has_a_legend_too(tmp_path):
    picture = drawn(tmp_path / "a.png", scan(), np.full((1, 60, 60), 7, np.int32))
    assert is_colour(picture[MARGIN_PX + 310 :], colour_of(7)).sum() == 15 * 15


def test_boolean_masks_count_as_label_1(tmp_path):
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 20:40, 20:40] = True
    as_mask = drawn(tmp_path / "a.png", scan(), mask)
    np.testing.assert_array_equal(as_mask, drawn(tmp_path / "b.png", scan(), mask.astype(np.int16)))


def test_input_stays_as_it_was_and_the_same_input_gives_the_same_bytes(tmp_path):
    image, labels = draw_patient(1, shape_zyx=(16, 64, 64), spacing_mm=(5, 5, 12))
    before = image.array_zyx.copy(), labels.array_zyx.copy()
    for name in ("a.png", "b.png"):
        drawn(tmp_path / name, image, labels.array_zyx, reference_zyx=labels.array_zyx, names={1: "liver"}, title="one")
    np.testing.assert_array_equal(image.array_zyx, before[0])
    np.testing.assert_array_equal(labels.array_zyx, before[1])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((1, 60, 61), int), r"\(1, 60, 61\)"),
        (np.zeros((1, 60, 60)), "float64"),
        (np.full((1, 60, 60), -1), "holds -1"),
    ],
)
def test_labels_that_cannot_be_drawn_are_refused_and_nothing_is_written(tmp_path, labels, message):
    good = np.zeros((1, 60, 60), int)
    with pytest.raises(InputError, match=message):
        draw_overlay(scan(), labels, {}, tmp_path / "a.png")
    with pytest.raises(InputError, match=f"reference.*{message}"):
        draw_overlay(scan(), good, {}, tmp_path / "a.png", reference_zyx=labels)
    assert list(tmp_path.iterdir()) == []
