"""One slice of a scan as a picture: laid as radiologists see it, in grey, with contours over it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from psmnet.volume import Array, Mask, Reorientation, Volume, signed_permutation

Colour = tuple[int, int, int]
GreyValues = npt.NDArray[np.float32]

MAX_HEIGHT_PX = 300
WIDEST = 1.6  # width of a picture over the largest height
SUPERSAMPLE = 2  # lines are drawn this much finer and averaged, which smooths their edges
FILL_OPACITY = 0.2
LINE_STEPS, REFERENCE_STEPS, DASH_PX = 3, 2, 5  # line widths in supersampled pixels; length of a dash
GAP_OPACITY = 0.6

BLACK, WHITE, INK, DIM = (0, 0, 0), (255, 255, 255), (226, 230, 235), (142, 150, 160)


class SlicePainter:
    """Draws slices of one scan, cut along array axis 0, all in the same grey window.

    They are shown in true proportions and as radiologists see them: the patient's right at the picture's left, front
    or head at the top; letters say so unless the scan is very oblique. Slice numbers count from 1 in stored order.

    Args:
        image: the scan; grey values from its 0.5 to its 99.5 percentile.
        height_px: largest height of a picture; the largest width is 1.6 times as much.
    """

    def __init__(self, image: Volume, height_px: int = MAX_HEIGHT_PX) -> None:
        self._image = image
        self._low, self._high = _grey_window(image.array_zyx)
        self._view = _view(image)
        self._size = self._view.size_px(image, height_px)

    def contours(
        self, index: int, masks: Iterable[tuple[Mask, Colour]], references: Iterable[Mask] = ()
    ) -> Image.Image:
        """Slice `index` with filled contours of masks and dashed white ones of references, each (Y, X) as stored."""
        turned = [(self._view.apply(mask), colour) for mask, colour in masks]
        drawn = _with_contours(self._grey(index), turned, [self._view.apply(mask) for mask in references])
        return self._finished(index, drawn)

    def borders(self, index: int, ids_yx: Array, colour: Colour) -> Image.Image:
        """Slice `index` with the lines between ids, (Y, X) as stored."""
        return self._finished(index, _with_borders(self._grey(index), self._view.apply(ids_yx), colour))

    def _grey(self, index: int) -> GreyValues:
        return _grey(self._view.apply(self._image.array_zyx[index]), self._low, self._high, self._size)

    def _finished(self, index: int, drawn: npt.NDArray[np.uint8]) -> Image.Image:
        panel = Image.fromarray(drawn)
        _write_on(panel, f"{index + 1}/{len(self._image.array_zyx)}", self._view.letters)
        return panel


def spread_slices(labelled: Mask, count: int) -> list[int]:
    """At most `count` slices, spread evenly over those (Z,) that hold a label, or over all when none does."""
    candidates = np.flatnonzero(labelled) if labelled.any() else np.arange(len(labelled))
    count = min(count, len(candidates))
    # Middles of equal parts: the outermost slices of an organ show little of it.
    positions = ((np.arange(count) + 0.5) * len(candidates) / count).astype(int)
    return [int(index) for index in candidates[positions]]


# ---- how a slice is laid before the reader ---------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """How stored slices are turned for the reader, and the letters at their left and top edge (or none)."""

    reorientation: Reorientation
    letters: tuple[str, str]

    def apply(self, array_yx: Array) -> Array:
        turned: Array = self.reorientation.apply_array(array_yx[None])[0]
        return turned

    def size_px(self, image: Volume, height_px: int) -> tuple[int, int]:
        """Width and height of a slice in the picture, in the proportions of its millimetres."""
        first, second = self.reorientation.axes[:2]
        width_mm = image.size_xyz[first] * image.spacing_mm[first]
        height_mm = image.size_xyz[second] * image.spacing_mm[second]
        scale = min(height_px / height_mm, WIDEST * height_px / width_mm)
        return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


# For slices across x, y and z (LPS): where the picture's columns and rows run to, and its left and top letters.
_READING: tuple[tuple[tuple[int, int, int], tuple[int, int, int], tuple[str, str]], ...] = (
    ((0, 1, 0), (0, 0, -1), ("A", "S")),  # sagittal: to the back, to the feet
    ((1, 0, 0), (0, 0, -1), ("R", "S")),  # coronal: to the patient's left, to the feet
    ((1, 0, 0), (0, 1, 0), ("R", "A")),  # axial: to the patient's left, to the back
)


def _view(image: Volume) -> _View:
    across = image.direction[:, 2]
    columns, rows, letters = _READING[int(np.abs(across).argmax())]
    # The third axis stays: slices keep their order, and only rows and columns are turned.
    wanted = np.column_stack([columns, rows, across])
    axes, flips = signed_permutation(image.direction, wanted)
    cosines = [abs(wanted[:, new] @ image.direction[:, axes[new]]) for new in (0, 1)]
    return _View(Reorientation(axes, (flips[0], flips[1], False)), letters if min(cosines) > 0.8 else ("", ""))


def _grey_window(array: Array) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(finite, (0.5, 99.5))
    return float(low), float(high)


def _grey(slice_yx: Array, low: float, high: float, size: tuple[int, int]) -> GreyValues:
    """Grey values 0 to 255, (height, width); a scan of one value is black."""
    values = np.nan_to_num(slice_yx.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled = np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)
    picture = Image.fromarray((scaled * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


# ---- contours --------------------------------------------------------------------------------------------------


def _with_contours(
    grey: GreyValues, masks: Iterable[tuple[Mask, Colour]], references: Iterable[Mask]
) -> npt.NDArray[np.uint8]:
    """Grey (height, width) to red, green, blue (height, width, 3) with fills and contours."""
    height, width = grey.shape
    picture = np.repeat(grey[..., None], 3, axis=2)
    for mask, colour in masks:
        inside = _enlarge(mask, height, width)
        line = _inner_line(inside, LINE_STEPS)
        _blend(picture, colour, np.maximum(_average(line), FILL_OPACITY * _average(inside)))
    for mask in references:
        inside = _enlarge(mask, height, width)
        line, dashes = _inner_line(inside, REFERENCE_STEPS), _dashes(inside)
        _blend(picture, BLACK, GAP_OPACITY * _average(line & ~dashes))  # or dashes would be lost on bright tissue
        _blend(picture, WHITE, _average(line & dashes))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _with_borders(grey: GreyValues, ids_yx: Array, colour: Colour) -> npt.NDArray[np.uint8]:
    """Grey (height, width) to red, green, blue (height, width, 3) with the lines between ids."""
    height, width = grey.shape
    rows = np.arange(height * SUPERSAMPLE) * ids_yx.shape[0] // (height * SUPERSAMPLE)
    columns = np.arange(width * SUPERSAMPLE) * ids_yx.shape[1] // (width * SUPERSAMPLE)
    ids = ids_yx[rows][:, columns]
    down, across = ids[:-1] != ids[1:], ids[:, :-1] != ids[:, 1:]
    line = np.zeros(ids.shape, bool)
    line[:-1] |= down  # on both sides of a border
    line[1:] |= down
    line[:, :-1] |= across
    line[:, 1:] |= across
    picture = np.repeat(grey[..., None], 3, axis=2)
    _blend(picture, colour, _average(line))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _enlarge(mask: Mask, height: int, width: int) -> Mask:
    """The mask at (SUPERSAMPLE * height, SUPERSAMPLE * width), with smooth borders where that is an enlargement."""
    rows, columns = height * SUPERSAMPLE, width * SUPERSAMPLE
    picture = Image.fromarray(mask.astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.BILINEAR)
    enlarged: Mask = np.asarray(picture) >= 128
    # Where pixels are fewer than voxels a thin structure would average away: each voxel keeps the pixel it falls into.
    row, column = np.nonzero(mask)
    row_px = ((row + 0.5) * rows / mask.shape[0]).astype(int)
    column_px = ((column + 0.5) * columns / mask.shape[1]).astype(int)
    enlarged[row_px, column_px] = True
    return enlarged


def _inner_line(mask: Mask, steps: int) -> Mask:
    """The mask's rim, `steps` pixels wide and inside it, so that neighbours' lines don't cover one another."""
    core = mask
    for step in range(steps):
        core = _erode(core, diagonally=step % 2 == 1)  # in turns: an octagon, so that all directions are as wide
    return mask & ~core


def _erode(mask: Mask, *, diagonally: bool) -> Mask:
    padded = np.pad(mask, 1)  # the picture's edge closes a contour
    shifts = [(0, 1), (2, 1), (1, 0), (1, 2)] + ([(0, 0), (0, 2), (2, 0), (2, 2)] if diagonally else [])
    core = mask.copy()
    for row, column in shifts:
        core &= padded[row : row + mask.shape[0], column : column + mask.shape[1]]
    return core


def _dashes(mask: Mask) -> Mask:
    """Where a dashed line along the mask's border is on: counted along rows or columns, as the border runs."""
    # Smoothed, because a staircase of pixels has only two directions.
    smooth = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(3))
    down, across = np.gradient(np.asarray(smooth, dtype=np.float32), axis=(0, 1))
    row, column = np.indices(mask.shape)
    along = np.where(np.abs(across) > np.abs(down), row, column)
    on: Mask = (along // (DASH_PX * SUPERSAMPLE)) % 2 == 0
    return on


def _average(mask: Mask) -> GreyValues:
    """Coverage 0 to 1 of the picture's pixels by a supersampled mask."""
    counts = np.zeros((mask.shape[0] // SUPERSAMPLE, mask.shape[1] // SUPERSAMPLE), np.uint8)
    for row in range(SUPERSAMPLE):  # seven times as fast as a mean over two short axes
        for column in range(SUPERSAMPLE):
            counts += mask[row::SUPERSAMPLE, column::SUPERSAMPLE]
    coverage: GreyValues = np.divide(counts, SUPERSAMPLE**2, dtype=np.float32)
    return coverage


def _blend(picture: GreyValues, colour: Colour, opacity: GreyValues) -> None:
    picture += opacity[..., None] * (np.asarray(colour, dtype=np.float32) - picture)


def builtin_font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, the only one available on every machine."""
    return ImageFont.load_default(size=size_px)


def _write_on(panel: Image.Image, number: str, letters: tuple[str, str]) -> None:
    draw, font = ImageDraw.Draw(panel), builtin_font(13)
    left, top = letters
    width, height = panel.size
    for place, text, anchor, colour in (
        ((6, height - 6), number, "ls", INK),
        ((6, height // 2), left, "lm", DIM),
        ((width // 2, 5), top, "mt", DIM),
    ):
        draw.text(place, text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill=BLACK)
