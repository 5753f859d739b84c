"""BodyPoints are known here: queries are the support itself, moved."""

import pytest
import torch
from torch import Tensor

from psmnet.segmentation.localise import CELL_MM, CoarseScan, locate

C, STRIDE = 40, 4
PIXEL_MM = CELL_MM / (2 * STRIDE)  # cells of 2 x 2 feature positions
CELL_PX = 2 * STRIDE
SLICE_MM = 8.0


def tissue(slices: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Features (n, C, H, W), each cell another."""
    cells = torch.randn(slices, C, height, width, generator=torch.Generator().manual_seed(seed))
    return cells.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def scan(maps: Tensor, slice_mm: float = SLICE_MM) -> CoarseScan:
    return CoarseScan.of(maps, STRIDE, slice_mm, PIXEL_MM)


def masks(support: CoarseScan, *boxes: tuple[slice, slice, slice]) -> Tensor:
    """Organs as boxes of cells (slices, rows, columns)."""
    shares = torch.zeros(len(support.cells), len(boxes), *support.cells.shape[2:])
    for organ, box in enumerate(boxes):
        shares[box[0], organ, box[1], box[2]] = 1
    return shares


LIVER = (slice(4, 8), slice(3, 6), slice(2, 5))
SPLEEN = (slice(5, 9), slice(4, 6), slice(7, 9))


def test_cells_are_averages_of_features():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    coarse = CoarseScan.of(maps, STRIDE, 3.0, PIXEL_MM)
    assert coarse.cells.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert (coarse.cell_px, coarse.slice_mm, coarse.pixel_mm) == (CELL_PX, 3.0, PIXEL_MM)


def test_masks_become_shares_of_cells():
    coarse = scan(tissue(1, 2, 2))
    pixels = torch.zeros(1, 1, 2 * CELL_PX, 2 * CELL_PX)
    pixels[..., : CELL_PX // 2, :CELL_PX] = 1
    assert coarse.masks(pixels).tolist() == [[[[0.5, 0.0], [0.0, 0.0]]]]


def test_a_scan_lies_where_it_lies():
    support = scan(tissue(12, 10, 12))
    for place in locate(support, masks(support, LIVER, SPLEEN), support):
        assert (place.shift_mm, place.shift_yx_px) == (0, (0, 0))
        assert place.score == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("slices", [-3, 2])
@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, -2)])
def test_a_moved_scan_is_followed(slices, rows, columns):
    whole = tissue(20, 18, 20)
    support = scan(whole[4:16, :, 8:28, 8:32])
    query = scan(whole[4 - slices : 16 - slices, :, 8 - 2 * rows : 28 - 2 * rows, 8 - 2 * columns : 32 - 2 * columns])
    for place in locate(support, masks(support, LIVER, SPLEEN), query):
        assert place.shift_mm == slices * SLICE_MM
        assert place.shift_yx_px == (rows * CELL_PX, columns * CELL_PX)


def test_a_query_of_twice_the_body_is_searched_from_end_to_end():
    whole = tissue(40, 10, 12)
    support = scan(whole[25:37])
    (place,) = locate(support, masks(support, LIVER), scan(whole))
    assert place.shift_mm == 25 * SLICE_MM


def test_wider_slices_are_laid_middle_on_middle():
    whole = tissue(12, 16, 20)
    support = scan(whole[..., 6:26, 8:32])  # 3 cells off above and below, 4 at both sides
    (place,) = locate(support, masks(support, LIVER), scan(whole))
    assert (place.shift_mm, place.shift_yx_px) == (0, (0, 0))


@pytest.mark.parametrize("thinner", ["support", "query"])
def test_slices_of_different_thickness_are_compared(thinner):
    thick = tissue(12, 10, 12)
    thin = thick.repeat_interleave(2, dim=0)
    if thinner == "query":
        support, query, shift_mm = scan(thick), scan(thin[4:], SLICE_MM / 2), -2 * SLICE_MM
        shares = masks(support, LIVER)
    else:
        support, query, shift_mm = scan(thin, SLICE_MM / 2), scan(thick[2:]), -2 * SLICE_MM
        shares = masks(scan(thick), LIVER).repeat_interleave(2, dim=0)
    (place,) = locate(support, shares, query)
    assert place.shift_mm == shift_mm


def test_an_organ_that_lost_its_likeness_goes_with_the_others():
    whole = tissue(30, 10, 12)
    support = scan(whole[:12])
    query = whole[:24].clone()
    query[4:10, :, 6:14, 12:20] = tissue(24, 10, 12, seed=1)[4:10, :, 6:14, 12:20]  # where the spleen was
    query[14:20, :, 6:14, 12:20] += 0.44 * whole[4:10, :, 6:14, 12:20]  # a little like it, far off
    liver, spleen = locate(support, masks(support, LIVER, SPLEEN), scan(query))
    assert liver.shift_mm == 0
    assert abs(spleen.shift_mm) <= 2 * SLICE_MM


def test_one_organ_goes_with_its_slices():
    whole = tissue(40, 10, 12)
    support = scan(whole[:12])
    query = whole[:24].clone()
    query[4:10, :, 6:14, 12:20] = tissue(24, 10, 12, seed=1)[4:10, :, 6:14, 12:20]
    query[14:20, :, 6:14, 12:20] += 0.44 * whole[4:10, :, 6:14, 12:20]
    (spleen,) = locate(support, masks(support, SPLEEN), scan(query))
    assert abs(spleen.shift_mm) <= 2 * SLICE_MM


def test_a_single_cell_is_an_organ():
    support = scan(tissue(12, 10, 12))
    shares = torch.zeros(12, 1, 10, 12)
    shares[3, 0, 4, 5] = 0.1  # fills a tenth of it
    (place,) = locate(support, shares, support)
    assert (place.shift_mm, place.shift_yx_px) == (0, (0, 0))


def test_scans_without_contrast_are_no_trouble():
    flat = scan(torch.ones(12, C, 20, 24))
    (place,) = locate(flat, masks(flat, LIVER), flat)
    assert place.score == pytest.approx(0, abs=1e-4)


def test_few_channels_are_compared_as_they_are():
    maps = tissue(12, 10, 12)[:, :8]
    support, query = scan(maps[:10]), scan(maps[2:])
    (place,) = locate(support, masks(support, LIVER), query)
    assert place.shift_mm == -2 * SLICE_MM
