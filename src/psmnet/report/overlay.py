"""One picture per scan: slices with the organs' contours, for a reader who wants to see and not only count."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from psmnet.errors import InputError
from psmnet.files import atomic_path
from psmnet.geometry import Reorientation, signed_permutation
from psmnet.volume import Array, Volume

Colour = tuple[int, int, int]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

# Led by Okabe and Ito's colours (https://jfly.uni-koeln.de/color), lightened where they would drown on grey; white is
# the reference's. Thirteen, because then no two organs of any data set in the catalogue share one (values modulo 13).
PALETTE: tuple[Colour, ...] = (
    (240, 165, 20),  # orange
    (86, 190, 245),  # sky blue
    (245, 232, 80),  # yellow
    (232, 120, 190),  # pink
    (30, 190, 140),  # bluish green
    (230, 95, 20),  # vermilion
    (105, 120, 255),  # indigo
    (170, 225, 90),  # lime
    (255, 165, 160),  # coral
    (150, 230, 230),  # pale cyan
    (200, 160, 255),  # lavender
    (185, 130, 80),  # brown
    (180, 180, 60),  # olive
)

MAX_SLICES = 8
PER_ROW = 4
MAX_HEIGHT_PX, MAX_WIDTH_PX = 300, 480  # of one slice
MIN_CANVAS_PX = 520  # room for a legend under a single narrow slice
SUPERSAMPLE = 2  # lines are drawn this much finer and averaged, which smooths their edges
MARGIN_PX, GAP_PX = 18, 8
FILL_OPACITY = 0.2
LINE_STEPS, REFERENCE_STEPS, DASH_PX = 3, 2, 5  # line widths in supersampled pixels; length of a dash

GAP_OPACITY = 0.6

BLACK, WHITE, INK, DIM, PAPER = (0, 0, 0), (255, 255, 255), (226, 230, 235), (142, 150, 160), (17, 20, 24)


def colour_of(value: int) -> Colour:
    """The colour (red, green, blue; 0 to 255) of a label value: the same in every picture.

    Raises:
        InputError: the value is 0 (background) or negative.
    """
    if value < 1:
        raise InputError(f"label value {value} has no colour", "give a value from 1 on; 0 is background")
    return PALETTE[(value - 1) % len(PALETTE)]


def draw_overlay(
    image: Volume,
    labels_zyx: Array,
    names: dict[int, str],
    path: Path,
    *,
    reference_zyx: Array | None = None,
    title: str = "",
    borders_only: bool = False,
) -> None:
    """Draw up to eight slices of a scan with its labels as a PNG.

    Slices are cut along array axis 0 and spread evenly over those that hold a label (predicted or reference), or over
    the scan when none does. They are shown in true proportions and as radiologists see them: the patient's right at
    the picture's left, front or head at the top; letters say so unless the scan is very oblique. Slice numbers count
    from 1 in stored order.

    Args:
        image: the scan; grey values from its 0.5 to its 99.5 percentile.
        labels_zyx: predicted label values on the image's lattice, 0 for background; integer or boolean.
        names: label value to organ name, for the legend; organs that were not predicted are marked there.
        path: the PNG to write; it appears complete or not at all.
        reference_zyx: label values drawn as dashed white contours; of the same shape.
        borders_only: draw the lines between labels in one colour and no legend: for many labels, as superpixels are.
        title: a line above the picture. Letters outside ASCII lose their accents or become "?".

    Raises:
        InputError: a label map of another shape, not of integers or with negative values, or the file can't be
            written.
    """
    labels_zyx = _checked(labels_zyx, image, "the label map")
    reference_zyx = None if reference_zyx is None else _checked(reference_zyx, image, "the reference label map")
    chosen = _choose_slices(labels_zyx, reference_zyx)

    low, high = _grey_window(image.array_zyx)
    view = _view(image)
    size = view.size_px(image)
    panels = []
    for index in chosen:
        labels_yx = view.apply(labels_zyx[index])
        reference_yx = None if reference_zyx is None else view.apply(reference_zyx[index])
        grey = _grey(view.apply(image.array_zyx[index]), low, high, size)
        drawn = _with_borders(grey, labels_yx) if borders_only else _with_contours(grey, labels_yx, reference_yx)
        panel = Image.fromarray(drawn)
        _write_on(panel, f"{index + 1}/{len(labels_zyx)}", view.letters)
        panels.append(panel)

    entries = []
    if not borders_only:
        entries = _legend(names, _values(labels_zyx), None if reference_zyx is None else _values(reference_zyx))
    picture = _montage(panels, _printable(title), entries)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _checked(labels_zyx: Array, image: Volume, what: str) -> Array:
    labels_zyx = np.asarray(labels_zyx)
    if labels_zyx.shape != image.array_zyx.shape:
        raise InputError(
            f"{what} has shape {labels_zyx.shape}, the scan {image.array_zyx.shape}", "give labels on the scan's grid"
        )
    if labels_zyx.dtype.kind not in "biu":
        raise InputError(f"{what} has type {labels_zyx.dtype}", "give integer label values")
    if labels_zyx.dtype.kind == "i" and labels_zyx.min() < 0:
        raise InputError(f"{what} holds {labels_zyx.min()}", "give label values from 0 on")
    return labels_zyx.astype(np.uint8) if labels_zyx.dtype.kind == "b" else labels_zyx


def _values(labels: Array) -> set[int]:
    return set(np.unique(labels).tolist()) - {0}


def _choose_slices(labels_zyx: Array, reference_zyx: Array | None) -> list[int]:
    labelled = labels_zyx.any(axis=(1, 2))
    if reference_zyx is not None:
        labelled |= reference_zyx.any(axis=(1, 2))
    candidates = np.flatnonzero(labelled) if labelled.any() else np.arange(len(labels_zyx))
    count = min(MAX_SLICES, len(candidates))
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

    def size_px(self, image: Volume) -> tuple[int, int]:
        """Width and height of a slice in the picture, in the proportions of its millimetres."""
        first, second = self.reorientation.axes[:2]
        width_mm = image.size_xyz[first] * image.spacing_mm[first]
        height_mm = image.size_xyz[second] * image.spacing_mm[second]
        scale = min(MAX_HEIGHT_PX / height_mm, MAX_WIDTH_PX / width_mm)
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
    # The third axis is wanted as it is: slices keep their order, and only rows and columns are turned.
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


def _grey(slice_yx: Array, low: float, high: float, size: tuple[int, int]) -> Floats:
    """Grey values 0 to 255, (height, width); a scan of one value is black."""
    values = np.nan_to_num(slice_yx.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled = np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)
    picture = Image.fromarray((scaled * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


# ---- contours --------------------------------------------------------------------------------------------------


def _with_contours(grey: Floats, labels_yx: Array, reference_yx: Array | None) -> npt.NDArray[np.uint8]:
    """Grey (height, width) to red, green, blue (height, width, 3) with fills and contours."""
    height, width = grey.shape
    picture = np.repeat(grey[..., None], 3, axis=2)
    for value in sorted(_values(labels_yx)):
        inside = _enlarge(labels_yx == value, height, width)
        line = _inner_line(inside, LINE_STEPS)
        _blend(picture, colour_of(value), np.maximum(_average(line), FILL_OPACITY * _average(inside)))
    if reference_yx is not None:
        for value in sorted(_values(reference_yx)):
            inside = _enlarge(reference_yx == value, height, width)
            line, dashes = _inner_line(inside, REFERENCE_STEPS), _dashes(inside)
            _blend(picture, BLACK, GAP_OPACITY * _average(line & ~dashes))  # or dashes would be lost on bright tissue
            _blend(picture, WHITE, _average(line & dashes))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _with_borders(grey: Floats, ids_yx: Array) -> npt.NDArray[np.uint8]:
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
    _blend(picture, PALETTE[0], _average(line))
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


def _average(mask: Mask) -> Floats:
    """Coverage 0 to 1 of the picture's pixels by a supersampled mask."""
    height, width = mask.shape[0] // SUPERSAMPLE, mask.shape[1] // SUPERSAMPLE
    blocks = mask.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE)
    coverage: Floats = blocks.mean(axis=(1, 3), dtype=np.float32)
    return coverage


def _blend(picture: Floats, colour: Colour, opacity: Floats) -> None:
    picture += opacity[..., None] * (np.asarray(colour, dtype=np.float32) - picture)


# ---- words and layout ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A legend entry: its text, its colour, and whether it is drawn as `area`, `none` (hollow) or `dashes`."""

    text: str
    colour: Colour
    kind: str


def _legend(names: dict[int, str], predicted: set[int], reference: set[int] | None) -> list[_Entry]:
    in_reference = reference or set()
    entries = []
    for value in sorted((set(names) | predicted | in_reference) - {0}):
        text = _printable(names.get(value, f"label {value}").replace("_", " "))
        if value in predicted:
            entries.append(_Entry(text, colour_of(value), "area"))
        else:
            where = "reference only" if value in in_reference else "none"
            entries.append(_Entry(f"{text} ({where})", colour_of(value), "none"))
    if reference is not None:
        entries.append(_Entry("reference", WHITE, "dashes"))
    return entries


def _printable(text: str) -> str:
    """ASCII without control characters: Pillow's built-in font has hardly any other letter."""
    base = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in base)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)


def _shortened(text: str, size_px: int, width_px: int) -> str:
    font = _font(size_px)
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "...") > width_px:
        text = text[:-1]
    return text + "..."


def _write_on(panel: Image.Image, number: str, letters: tuple[str, str]) -> None:
    draw, font = ImageDraw.Draw(panel), _font(13)
    left, top = letters
    width, height = panel.size
    for place, text, anchor, colour in (
        ((6, height - 6), number, "ls", INK),
        ((6, height // 2), left, "lm", DIM),
        ((width // 2, 5), top, "mt", DIM),
    ):
        draw.text(place, text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill=BLACK)


def _montage(panels: list[Image.Image], title: str, entries: list[_Entry]) -> Image.Image:
    """Title, slices in rows, legend."""
    width, height = panels[0].size
    columns = min(PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    slices_width = columns * (width + GAP_PX) - GAP_PX
    inner = max(slices_width, MIN_CANVAS_PX - 2 * MARGIN_PX)
    slices_top = MARGIN_PX + (36 if title else 0)
    legend_top = slices_top + rows * (height + GAP_PX) - GAP_PX + 14
    placed, legend_height = _place_legend(entries, inner)
    picture = Image.new("RGB", (inner + 2 * MARGIN_PX, legend_top + legend_height + MARGIN_PX - 4), PAPER)
    draw = ImageDraw.Draw(picture)
    if title:
        text = _shortened(title, 20, inner)
        draw.text((MARGIN_PX, MARGIN_PX + 20), text, fill=INK, font=_font(20), anchor="ls")
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        left = MARGIN_PX + (inner - slices_width) // 2 + column * (width + GAP_PX)
        picture.paste(panel, (left, slices_top + row * (height + GAP_PX)))
    for entry, left, top in placed:
        _draw_entry(draw, entry, MARGIN_PX + left, legend_top + top)
    return picture


def _place_legend(entries: list[_Entry], width_px: int) -> tuple[list[tuple[_Entry, int, int]], int]:
    """Left and top of each entry, filled row by row, and the height of all."""
    placed, left, top = [], 0, 0
    for entry in entries:
        entry = _Entry(_shortened(entry.text, 15, width_px - 26), entry.colour, entry.kind)
        entry_width = 24 + round(_font(15).getlength(entry.text))
        if left and left + entry_width > width_px:
            left, top = 0, top + 26
        placed.append((entry, left, top))
        left += entry_width + 22
    return placed, top + 24 if entries else 0


def _draw_entry(draw: ImageDraw.ImageDraw, entry: _Entry, left: int, top: int) -> None:
    middle = top + 12
    if entry.kind == "dashes":
        for start in (0, 7, 14):
            draw.rectangle((left + start - 1, middle - 1, left + start + 3, middle), fill=entry.colour)
    elif entry.kind == "area":
        draw.rectangle((left, middle - 7, left + 14, middle + 7), fill=entry.colour)
    else:
        draw.rectangle((left, middle - 7, left + 14, middle + 7), outline=entry.colour, width=2)
    ink = DIM if entry.kind == "none" else INK
    draw.text((left + 23, middle + 5), entry.text, fill=ink, font=_font(15), anchor="ls")
