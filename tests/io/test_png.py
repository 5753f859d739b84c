import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psmnet.errors import InputError
from psmnet.io import read_grey_png

GREY = np.array([[0, 63, 126], [189, 252, 255]], dtype=np.uint8)  # CHAOS's label values, and the largest


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *extra, data, chunk(b"IEND", b"")])


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, "PNG", **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_grey_png(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.remedy
    return message


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_grey_in_any_mode_reads_the_same(tmp_path, mode):
    image = Image.fromarray(GREY.astype(np.uint16)) if mode == "I;16" else Image.fromarray(GREY).convert(mode)
    values = read_grey_png(save(tmp_path / "Ground é.png", image))
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, GREY)
    values[0, 0] = 1  # the caller's own


def test_palette_reads_as_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), "P")
    image.putpalette([0, 0, 0, 63, 63, 63, 126, 126, 126])
    assert read_grey_png(save(tmp_path / "a.png", image)).tolist() == [[0, 63], [126, 63]]
    image.putpalette([0, 0, 0, 63, 63, 63, 255, 0, 0])
    message = refusal(save(tmp_path / "a.png", image))
    assert "1 coloured pixels, the first in row 1, column 0 (RGBA (255, 0, 0, 255))" in message


def test_fewer_bits_are_spread(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.array([[True, False]])))
    assert read_grey_png(path).tolist() == [[255, 0]]
    # 4 bits: 15 is white, so 1 is 255 / 15 = 17. One row: filter 0, then samples 1, 15.
    path.write_bytes(png(2, 1, 4, 0, b"\0\x1f"))
    assert read_grey_png(path).tolist() == [[17, 255]]


def test_transparent_pixels_are_refused(tmp_path):
    alpha = Image.fromarray(np.array([[255, 255, 254], [255, 255, 255]], dtype=np.uint8))
    image = Image.merge("LA", [Image.fromarray(GREY), alpha])
    assert "1 transparent pixels, the first in row 0, column 2" in refusal(save(tmp_path / "a.png", image))
    keyed = save(tmp_path / "b.png", Image.fromarray(GREY), transparency=252)
    assert "1 transparent pixels, the first in row 1, column 1" in refusal(keyed)


def test_more_than_8_bits_are_refused(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.array([[3, 256]], dtype=np.uint16)))
    assert "has a grey value of 256" in refusal(path)
    # Pillow reads 16-bit colours by dropping the lower byte: 0x0102 in all three would become 1.
    path.write_bytes(png(1, 1, 16, 2, b"\0" + b"\x01\x02" * 3))
    assert "has colours of 16 bits" in refusal(path)


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.png"
    assert "can't read" in refusal(path)
    assert "can't read" in refusal(tmp_path)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in refusal(path)
    Image.fromarray(GREY).save(path, "JPEG")
    assert "is not a PNG file" in refusal(path)
    noise = np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    content = stream.getvalue()
    for length in (8, 12, 20, 24, 25, 30, 45, 100, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        assert "truncated or damaged" in refusal(path), length
    for place in (20, 37, 60, len(content) - 18):  # in the header, the data's length, the data, and its checksum
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert "truncated or damaged" in refusal(path), place


@pytest.mark.parametrize("side", [10_000, 30_000])  # Pillow warns of the one and refuses the other
def test_decompression_bombs_are_refused(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, 0, bytes(1000)))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # whatever the caller makes of warnings
        assert "is too large" in refusal(path)


def test_text_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.png"
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 23)))
    path.write_bytes(png(2, 1, 8, 0, b"\0\x01\x02", text))
    assert "truncated or damaged" in refusal(path)
