"""One picture per scan: slices with the contours of the organs."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from psmnet.errors import InputError
from psmnet.io import unnamed
from psmnet.report.slices import DIM, INK, WHITE, Colour, SlicePainter, builtin_font, spread_slices
from psmnet.system import atomic_path
from psmnet.volume import Array, Mask, Volume

# Led by Okabe and Ito's colours (https://jfly.uni-koeln.de/color), lightened where they would drown on grey; white is
# the reference's. Thirteen, because then no two organs of any data set in the catalogue share one; the next thirteen
# values have them darker, the next paler, and then they come again.
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
SHADES = ((0, 0.0), (0, 0.45), (255, 0.5))  # how far towards black or white

MAX_SLICES = 8
PER_ROW = 4
MIN_CANVAS_PX = 520  # room for a legend under a single narrow slice
MARGIN_PX, GAP_PX = 18, 8
PAPER = (17, 20, 24)


def colour_of(value: int) -> Colour:
    """The colour (red, green, blue; 0 to 255) of a label value: the same in every picture.

    Raises:
        InputError: the value is 0 (background) or negative.
    """
    if value < 1:
        raise InputError(f"label value {value} has no colour", "give a value from 1 on; 0 is background")
    turn, place = divmod(value - 1, len(PALETTE))
    towards, share = SHADES[turn % len(SHADES)]
    red, green, blue = (round(part + share * (towards - part)) for part in PALETTE[place])
    return red, green, blue


def css_colour(value: int) -> str:
    """The same as style sheets have it, #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour_of(value))


def draw_overlay(
    image: Volume,
    labels_zyx: Array,
    names: dict[int, str],
    path: Path,
    *,
    reference_zyx: Array | None = None,
    title: str = "",
    borders_only: bool = False,
    slices: Sequence[int] | None = None,
) -> None:
    """Draw up to eight slices of a scan, or those chosen, with its labels as a PNG.

    Slices are cut along array axis 0 and spread evenly over those that hold a label (predicted or reference), or over
    the scan when none does; the scan's first and last are among them if they hold one. They are shown in true
    proportions and as radiologists see them: the patient's right at the picture's left, front or head at the top;
    letters say so unless the scan is very oblique. Slice numbers count from 1 in stored order.

    Args:
        image: the scan; grey values from its 0.5 to its 99.5 percentile.
        labels_zyx: predicted label values on the image's lattice, 0 for background; integer or boolean.
        names: label value to organ name, for the legend; organs that were not predicted are marked there.
        path: the PNG to write; it appears complete or not at all.
        reference_zyx: label values drawn as dashed white contours; of the same shape.
        borders_only: draw the lines between labels in one colour and no legend: for many labels, as superpixels are.
        slices: indices of the slices to draw, counted from 0.
        title: a line above the picture. Letters outside ASCII lose their accents or become "?".

    Raises:
        InputError: a label map of another shape, not of integers or with negative values, or the file can't be
            written.
    """
    labels_zyx = _checked(labels_zyx, image, "the label map")
    reference_zyx = None if reference_zyx is None else _checked(reference_zyx, image, "the reference label map")
    chosen = _choose_slices(labels_zyx, reference_zyx) if slices is None else slices

    painter = SlicePainter(image)
    panels = []
    for index in chosen:
        if borders_only:
            panels.append(painter.borders(index, labels_zyx[index], PALETTE[0]))
            continue
        masks = [(mask, colour_of(value)) for value, mask in _masks(labels_zyx[index])]
        references = [] if reference_zyx is None else [mask for _, mask in _masks(reference_zyx[index])]
        panels.append(painter.contours(index, masks, references))

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


def _masks(labels_yx: Array) -> list[tuple[int, Mask]]:
    return [(value, labels_yx == value) for value in sorted(_values(labels_yx))]


def _choose_slices(labels_zyx: Array, reference_zyx: Array | None) -> list[int]:
    marked = labels_zyx != 0 if reference_zyx is None else (labels_zyx != 0) | (reference_zyx != 0)
    labelled: Mask = marked.reshape(len(marked), -1).any(axis=1)
    chosen = spread_slices(labelled, MAX_SLICES)
    if labelled[-1]:  # an organ may go on beyond the scan: that is worth a look
        chosen[-1] = len(labels_zyx) - 1
    if labelled[0] and len(chosen) > 1:
        chosen[0] = 0
    return chosen


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
        text = _printable(names.get(value, unnamed(value).name))
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


def _shortened(text: str, size_px: int, width_px: int) -> str:
    font = builtin_font(size_px)
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "...") > width_px:
        text = text[:-1]
    return text + "..."


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
        draw.text((MARGIN_PX, MARGIN_PX + 20), text, fill=INK, font=builtin_font(20), anchor="ls")
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
        entry_width = 24 + round(builtin_font(15).getlength(entry.text))
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
    draw.text((left + 23, middle + 5), entry.text, fill=ink, font=builtin_font(15), anchor="ls")
