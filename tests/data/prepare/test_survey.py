import tracemalloc

import numpy as np
import pytest

from helpers.raw_layouts import zipped
from psmnet.data.prepare import survey
from psmnet.data.prepare.adapters import RawCase
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.data.prepare.survey import recipe_for
from psmnet.errors import InputError
from psmnet.io import write_volume
from psmnet.volume.volume import Volume


def scans(folder, **volumes):
    for name, volume in volumes.items():
        write_volume(volume, folder / f"{name}.nii")
    return RawFiles.open(folder), [RawCase(name, (f"{name}.nii",)) for name in volumes]


def scan(size_xyz, spacing_mm, direction=None):
    return Volume(np.zeros(size_xyz[::-1], np.uint8), spacing_mm, direction=direction)


def constants(folder, raw, cases, **options):
    return recipe_for(cases, raw, folder, jobs=1, **options)


def test_the_median_spacing_and_what_holds_the_largest(tmp_path):
    raw, cases = scans(
        tmp_path,
        a=scan((20, 10, 4), (1.0, 1.0, 5.0)),
        b=scan((12, 12, 4), (2.0, 2.0, 6.0)),
        c=scan((10, 11, 4), (4.0, 3.0, 20.0)),
    )
    recipe = constants(tmp_path, raw, cases)
    assert recipe.spacing_mm == (2, 2, 6)
    assert recipe.size_px == 20  # c has 10 * 4 / 2 columns; a 10, b 12
    assert recipe.direction == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert (recipe.window_hu, recipe.clip_percentile, recipe.border_px) == (None, None, 0)


def test_spacing_and_size_may_be_given(tmp_path):
    raw, cases = scans(tmp_path, a=scan((20, 10, 4), (1.0, 1.0, 5.0)), b=scan((12, 12, 4), (2.0, 2.0, 6.0)))
    given = constants(tmp_path, raw, cases, spacing_mm=(0.5, 1.0, None))
    assert given.spacing_mm == (0.5, 1, None)
    assert given.size_px == 48  # b: 12 * 2 / 0.5
    assert constants(tmp_path, raw, cases, size_px=8).size_px == 8
    assert constants(tmp_path, raw, cases, size_px=8).spacing_mm == (1.5, 1.5, 5.5)


def test_axes_are_those_of_the_first_case_with_its_slices_in_front(tmp_path):
    # Stored with its slices along the first axis: to the head, to the left, to the back.
    stored = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    flipped = np.diag([-1.0, -1.0, 1.0])
    raw, cases = scans(
        tmp_path,
        a=scan((4, 30, 20), (6.0, 1.0, 1.0), stored),
        b=scan((25, 40, 5), (1.0, 1.0, 8.0), flipped),
    )
    recipe = constants(tmp_path, raw, cases)
    assert np.array(recipe.direction).tolist() == np.eye(3).tolist()
    assert recipe.spacing_mm == (1, 1, 7)
    assert recipe.size_px == 40


def test_a_scan_that_can_not_be_read_is_left_to_be_told_of_later(tmp_path):
    raw, cases = scans(tmp_path, a=scan((20, 10, 4), (1.0, 1.0, 5.0)), b=scan((12, 12, 4), (2.0, 2.0, 6.0)))
    (tmp_path / "a.nii").write_bytes(b"nothing of the kind")
    recipe = constants(tmp_path, raw, cases)
    assert recipe.spacing_mm == (2, 2, 6)
    (tmp_path / "b.nii").write_bytes(b"")
    with pytest.raises(InputError, match=r"b\.nii"):
        constants(tmp_path, raw, cases)


def test_cases_without_a_scan_do_not_count(tmp_path):
    raw, cases = scans(tmp_path, a=scan((20, 10, 4), (1.0, 1.0, 5.0)))
    assert constants(tmp_path, raw, [RawCase("0", (), ("0.nii",)), *cases]).size_px == 20
    with pytest.raises(InputError, match="no scan in"):
        constants(tmp_path, raw, [RawCase("0", (), ("0.nii",))])


def test_a_zip_is_surveyed_the_same(tmp_path, tmp_path_factory):
    raw, cases = scans(tmp_path, a=scan((20, 10, 4), (1.0, 1.0, 5.0)), b=scan((12, 12, 4), (2.0, 2.0, 6.0)))
    folder = tmp_path_factory.mktemp("zip")
    packed = RawFiles.open(zipped(tmp_path, folder / "mine.zip"))
    assert constants(folder, packed, cases) == constants(tmp_path, raw, cases)
    assert [path.name for path in folder.iterdir()] == ["mine.zip"]


def test_memory_does_not_grow_with_the_number_of_scans(tmp_path, monkeypatch):
    size = (300, 300, 100)  # 9 MB each, if it had voxels
    monkeypatch.setattr(survey, "_grid", lambda case, raw, scratch: (size, (1.0, 1.0, 3.0), np.eye(3).tolist()))
    cases = [RawCase(str(number), ("a.nii",)) for number in range(20)]
    tracemalloc.start()
    recipe_for(cases, RawFiles(tmp_path, ()), tmp_path, jobs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * np.prod(size)
