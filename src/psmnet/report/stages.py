"""Masks of several stages side by side: a row for each slice, a column for each stage."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from psmnet.report.overlay import GAP_PX, PAPER, colour_of
from psmnet.report.slices import INK, SlicePainter, builtin_font, spread_slices
from psmnet.system import atomic_path
from psmnet.volume import Array, Volume

SLICES = 3
HEADING_PX = 24
QUALITY = 78  # of JPEG


def draw_stages(
    image: Volume, stages: Mapping[str, Array], path: Path, *, height_px: int, slices: int = SLICES
) -> None:
    """Draw some slices of a scan with each stage's masks, in the colours of overlays.

    Args:
        image: the scan.
        stages: name to label values (Z, Y, X) on the image's lattice, 0 for background.
        path: the JPEG to write; it appears complete or not at all.
        height_px: of a slice.
        slices: how many, spread over those that hold a label in any stage.

    Raises:
        InputError: the file can't be written.
    """
    marked = np.any([(labels != 0).any(axis=(1, 2)) for labels in stages.values()], axis=0)
    painter = SlicePainter(image, height_px)
    rows = [
        [
            painter.contours(z, [(labels[z] == v, colour_of(v)) for v in _values(labels[z])])
            for labels in stages.values()
        ]
        for z in spread_slices(marked, slices)
    ]
    width, height = rows[0][0].size
    size = (len(stages) * (width + GAP_PX) - GAP_PX, HEADING_PX + len(rows) * (height + GAP_PX) - GAP_PX)
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for column, name in enumerate(stages):
        left = column * (width + GAP_PX)
        draw.text((left + 2, HEADING_PX // 2), name, fill=INK, font=builtin_font(14), anchor="lm")
        for row, panels in enumerate(rows):
            picture.paste(panels[column], (left, HEADING_PX + row * (height + GAP_PX)))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="JPEG", quality=QUALITY, optimize=True)


def _values(labels_yx: Array) -> list[int]:
    found: list[int] = np.unique(labels_yx[labels_yx > 0]).tolist()
    return found
