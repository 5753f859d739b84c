import numpy as np
import pytest
import torch

from psmnet.models.tensors import Prototypes, Support
from psmnet.segmentation import search
from psmnet.segmentation.localise import CoarseScan, OrganLocation
from psmnet.segmentation.search import NEIGHBOURS, DescribedScan, Organ, plan_searches

SIZE = (64, 80)
CELL_PX = 8


def coarse(slices: int, slice_mm: float = 5.0, pixel_mm: float = 2.0) -> CoarseScan:
    return CoarseScan(torch.zeros(slices, 1, 8, 10), slice_mm, CELL_PX, pixel_mm)


def organ(first: int, last: int, *, rows: slice = slice(20, 30), columns: slice = slice(40, 60)) -> Organ:
    """Labelled in slices first..last; slice n's only prototype is n."""
    slices = np.arange(first, last + 1)
    numbers = torch.from_numpy(slices).float().reshape(-1, 1, 1, 1)
    prototypes = Prototypes(numbers, torch.ones_like(numbers)[..., 0])
    outline = np.zeros(SIZE, dtype=bool)
    outline[rows, columns] = True
    return Organ(Support((prototypes,), (prototypes,)), slices, outline, torch.ones(20, 8, 10), 1, 0, ())


def place(slices: int, yx: tuple[int, int] = (0, 0)) -> OrganLocation:
    return OrganLocation(slices * 5.0, yx, 0.9)


@pytest.fixture
def placed(monkeypatch):
    """Sets what `locate` finds, scan by scan."""
    answers: list[list[OrganLocation]] = []
    monkeypatch.setattr(search, "locate", lambda *_: answers.pop(0))
    return answers


def test_slices_are_those_of_the_moved_organ(placed):
    placed.append([place(3)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), SIZE, 16)
    assert list(found) == [7]
    assert found[7].slices.tolist() == [7, 8, 9, 10, 11, 12]


def test_slices_outside_the_query_are_left_out(placed):
    placed.append([place(-6)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), SIZE, 16)
    assert found[7].slices.tolist() == [0, 1, 2, 3]


def test_thin_slices_of_the_query_fill_the_same_millimetres(placed):
    placed.append([place(1)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 5)})], coarse(100, 1.0), SIZE, 16)
    assert found[7].slices.tolist() == list(range(25, 35))  # slices 4 and 5 are 20 to 30 mm, moved by 5


def test_an_organ_thinner_than_the_querys_slices_has_the_nearest(placed):
    placed.append([place(0)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 4)})], coarse(5, 20.0), SIZE, 16)
    assert found[7].slices.tolist() == [1]  # 20 to 25 mm; centres are 10, 30, 50 ...


def test_a_query_slice_is_served_by_the_labelled_slices_of_its_height(placed):
    placed.append([place(3)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), SIZE, 16)
    serving = found[7].support(np.array([0, 2]))
    assert serving.foreground[0].vectors.shape == (2, 1, NEIGHBOURS, 1)
    assert sorted(serving.foreground[0].vectors[0, 0, :, 0].tolist()) == [4, 5, 6]  # the organ's end
    assert sorted(serving.foreground[0].vectors[1, 0, :, 0].tolist()) == [5, 6, 7]  # query slice 9 is slice 6


def test_an_organ_of_two_slices_is_served_by_both(placed):
    placed.append([place(0)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 5)})], coarse(30), SIZE, 16)
    assert sorted(found[7].support(np.array([1])).foreground[0].vectors.flatten().tolist()) == [4, 5]


def test_several_scans_serve_together_and_agree_on_the_ends(placed):
    placed += [[place(0)], [place(2)], [place(10)]]
    scans = [DescribedScan(coarse(20), {7: organ(4, 7)}) for _ in range(3)]
    found = plan_searches(scans, coarse(30), SIZE, 16)
    assert found[7].slices.tolist() == [6, 7, 8, 9]  # the median
    assert found[7].support(np.array([0])).foreground[0].vectors.shape[2] == 3 * NEIGHBOURS


def test_a_label_is_served_by_the_scans_that_show_it(placed):
    placed += [[place(0), place(1)], [place(2)]]
    scans = [DescribedScan(coarse(20), {7: organ(4, 7), 3: organ(1, 2)}), DescribedScan(coarse(20), {3: organ(1, 2)})]
    found = plan_searches(scans, coarse(30), SIZE, 16)
    assert {value: len(s.served) for value, s in found.items()} == {3: 2, 7: 1}
    assert list(found) == [3, 7]


def test_the_window_is_what_lies_near_the_moved_outline(placed):
    placed.append([place(0, (10, -20))])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), SIZE, 16)[7]
    distance_px = search.WINDOW_MM / 2.0  # pixels of 2 mm
    ys, xs = np.nonzero(found.window)
    assert ys.min() == np.ceil(30 - distance_px)
    assert ys.max() == np.floor(39 + distance_px)
    assert xs.min() == np.ceil(20 - distance_px)
    assert xs.max() == np.floor(39 + distance_px)
    assert (found.rows, found.columns) == (slice(16, 64), slice(0, 64))  # on multiples of 16


def test_outlines_on_slices_of_another_size_are_laid_middle_on_middle(placed):
    placed.append([place(0)])
    found = plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), (96, 112), 16)[7]
    ys, xs = np.nonzero(found.window)
    assert (ys.min() + ys.max()) / 2 == 24.5 + 16
    assert (xs.min() + xs.max()) / 2 == 49.5 + 16


def test_an_organ_moved_out_of_the_slices_is_not_looked_for(placed):
    placed.append([place(0, (200, 0))])
    assert plan_searches([DescribedScan(coarse(20), {7: organ(4, 9)})], coarse(30), SIZE, 16) == {}
