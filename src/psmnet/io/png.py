"""Reading grey PNG files: label maps of single slices."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from psmnet.errors import InputError
from psmnet.io.nifti_header import require_readable_name
from psmnet.volume import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BIT_DEPTH = 24  # the header's byte that holds it


def read_grey_png(path: Path) -> Array:
    """Read a grey picture.

    Args:
        path: a PNG file: grey, or palette or colour whose pixels are all grey and opaque. 16-bit grey is accepted up
            to the value 255; fewer than 8 bits are spread over 0..255, as the PNG standard has it (1 bit: 0 and 255).

    Returns:
        Grey values, (H, W), uint8, first row on top.

    Raises:
        InputError: the file is missing, not a PNG, damaged, very large, coloured, transparent, or has values above 255.
    """
    path = Path(path)
    require_readable_name(path)
    try:
        with path.open("rb") as file:
            header = file.read(BIT_DEPTH + 1)
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "name one PNG file") from error
    if not header:
        raise InputError(f"{path} is empty (0 bytes)", "copy or export it again")
    if not header.startswith(SIGNATURE):
        raise InputError(f"{path} is not a PNG file", "convert it to PNG")
    picture = _load(path)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        if values.max() > 255:
            raise InputError(f"{path} has a grey value of {values.max()}", "save it with 8 bits, values up to 255")
        return values.astype(np.uint8)
    if picture.mode in ("1", "L") and "transparency" not in picture.info:
        return np.array(picture.convert("L"))
    if header[BIT_DEPTH] > 8:  # Pillow would drop the lower 8 bits
        raise InputError(f"{path} has colours of {header[BIT_DEPTH]} bits", "save it grey, with 8 bits")
    return _grey_of_colours(path, np.asarray(picture.convert("RGBA")))


def _load(path: Path) -> "Image":
    """The decoded picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as image:
                image.verify()  # checks all checksums: decoding stops at the last pixel, damaged or not
            with Image.open(path, formats=["PNG"]) as image:
                image.load()
                return image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is too large ({error})", "give a picture of one slice") from error
    except UnidentifiedImageError as error:  # its text only repeats the path
        raise InputError(f"{path} is truncated or damaged in its header", "copy or export it again") from error
    except Exception as error:  # OSError, SyntaxError, ValueError, struct.error, ...: whatever Pillow's parser met
        raise InputError(f"{path} is truncated or damaged ({error})", "copy or export it again") from error


def _grey_of_colours(path: Path, rgba: Array) -> Array:
    """Grey values of (H, W, 4) pixels that are grey and opaque, every one."""
    red = rgba[..., 0]
    coloured = (red != rgba[..., 1]) | (red != rgba[..., 2])
    for offending, what in ((coloured, "coloured"), (rgba[..., 3] != 255, "transparent")):
        if offending.any():
            row, column = np.argwhere(offending)[0].tolist()
            raise InputError(
                f"{path} has {np.count_nonzero(offending)} {what} pixels, the first in row {row}, column {column} "
                f"(RGBA {tuple(rgba[row, column].tolist())})",
                "give a grey picture",
            )
    return red.copy()
