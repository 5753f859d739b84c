"""`report.pseudolabels` (the name test_pseudolabels is that of the data floor's)."""

import shutil

import numpy as np
import pytest
from PIL import Image

from psmnet.data.pseudolabels.rule import KINDS, PseudolabelRule
from psmnet.data.pseudolabels.store import PseudolabelStore
from psmnet.data.store import find_cases
from psmnet.errors import InputError
from psmnet.report.overlay import PALETTE, draw_overlay
from psmnet.report.pseudolabels import PREVIEW_FOLDER, draw_previews


@pytest.fixture
def cases(phantoms, tmp_path):
    (tmp_path / "data").mkdir()
    for number in (1, 2):
        shutil.copy(phantoms / f"image_{number}.nii.gz", tmp_path / "data")
    return find_cases(tmp_path / "data")


def store_of(folder, cases, kind="superpixels"):
    store = PseudolabelStore(folder, PseudolabelRule(kind, 50.0))
    assert store.write(cases, jobs=1) == (len(cases), {})
    return store


def pixels(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_each_case_with_the_borders_of_its_own_ids(kind, cases, tmp_path):
    store = store_of(tmp_path / "ids", cases, kind)
    told = []
    folder = draw_previews(cases, store, jobs=1, report=lambda *what: told.append(what))
    assert folder == tmp_path / "ids" / PREVIEW_FOLDER
    assert told == [(1, "1"), (2, "2")]
    assert sorted(path.name for path in folder.iterdir()) == ["1.png", "2.png"]
    for case in cases:
        expected = tmp_path / "expected.png"
        title = f"case {case.id}: {kind}"
        draw_overlay(case.image(), store.rule.make(case.image()), {}, expected, title=title, borders_only=True)
        assert (folder / f"{case.id}.png").read_bytes() == expected.read_bytes()


def test_one_colour_however_many_ids(cases, tmp_path):
    store = store_of(tmp_path / "ids", cases[:1])
    assert store.read(cases[0]).max() > len(PALETTE)
    picture = pixels(draw_previews(cases[:1], store, jobs=1) / "1.png")
    coloured = picture[np.ptp(picture, axis=2) > 60]
    assert len(coloured) > 1000
    red, green, blue = coloured.T
    assert (red > green).all()  # orange, over any grey
    assert (green > blue).all()


def test_pictures_are_drawn_anew(cases, tmp_path):
    store = store_of(tmp_path / "ids", cases[:1])
    path = draw_previews(cases[:1], store, jobs=1) / "1.png"
    before = path.read_bytes()
    path.write_bytes(b"old")
    draw_previews(cases[:1], store, jobs=1)
    assert path.read_bytes() == before


def test_a_case_whose_ids_can_not_be_read(cases, tmp_path):
    store = store_of(tmp_path / "ids", cases)
    store.path_of("2").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"superpix-MIDDLE_2\.nii\.gz"):
        draw_previews(cases, store, jobs=1)
    assert [path.name for path in (store.folder / PREVIEW_FOLDER).iterdir()] == ["1.png"]
