"""From organs' probabilities in a student's pixels to the segmentation of a scan on its own grid."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from psmnet.errors import InputError
from psmnet.segmentation.checks import require_contrast
from psmnet.segmentation.cleanup import keep_largest_parts
from psmnet.segmentation.inference import BATCH
from psmnet.segmentation.modality import taken_as_ct
from psmnet.segmentation.result import EVEN, LEVELS, Segmentation, levels_of, mean_confidence
from psmnet.segmentation.student_view import StudentView
from psmnet.volume import Array, PixelGrid, Reorientation, Volume

MOST_PIXELS = BATCH * 256**2  # of the network, in a batch
MOST_PROBABILITIES = 2**24  # of all organs at the scan's own voxels, in a batch


def decided(
    query: Volume,
    turn: Reorientation,
    grid: PixelGrid,
    batches: Iterable[tuple[slice, Tensor]],
    parts: Mapping[int, int],
    *,
    values: Sequence[int] | None = None,
    probabilities: bool = False,
    notes: Callable[[], Sequence[str]] = tuple,
    report: Callable[[float], None] = lambda done: None,
) -> Segmentation:
    """Let organs and background compete for each voxel; the background's probability is what is left to 1.

    Args:
        query: the scan as stored.
        turn: that brings it to the view's axes.
        grid: the view's pixels on it.
        batches: slices and their probabilities (n, K, h, w), in order.
        parts: label value to the number of connected parts that are kept, in the order of the K organs.
        values: label values that the result has (default: all); the others compete, and become background.
        probabilities: also keep the probabilities of each label.
        notes: called at the end, for the result.
        report: called with the share of the slices that are done, 0..1.
    """
    organs = list(parts)
    kept = list(organs if values is None else values)
    wanted = torch.tensor([organs.index(value) for value in kept])
    rank_of = torch.zeros(1 + len(organs), dtype=torch.int64)
    rank_of[1 + wanted] = torch.arange(1, 1 + len(kept))
    ranks = np.zeros(turn.apply_array(query.array_zyx).shape, dtype=np.min_scalar_type(len(kept)))
    foreground = np.zeros(ranks.shape, dtype=np.uint8)
    each = {value: np.zeros_like(foreground) for value in kept if probabilities}
    for batch, p in batches:
        stored = grid.to_stored(p).cpu()
        best, organ = stored.max(dim=1)
        organ = torch.where(best > 1 - stored.sum(dim=1), 1 + organ, 0)
        ranks[batch] = rank_of[organ].numpy()
        shown = stored if len(wanted) == len(organs) else stored[:, wanted]
        foreground[batch] = levels_of(best if shown is stored else shown.amax(dim=1))
        for number, value in enumerate(each):
            each[value][batch] = levels_of(shown[:, number])
        report(batch.stop / len(ranks))
    keep_largest_parts(ranks, {rank: parts[value] for rank, value in enumerate(kept, 1)})
    confidence = dict(zip(kept, mean_confidence(ranks, foreground, len(kept)), strict=True))
    np.minimum(foreground, EVEN, out=foreground, where=ranks == 0)
    names = np.array([0, *kept], dtype=np.min_scalar_type(max(kept)))
    return Segmentation(
        query.with_array(turn.undo(names[ranks])),
        confidence,
        turn,
        tuple(notes()),
        turn.undo(foreground),
        {value: turn.undo(levels) for value, levels in each.items()},
    )


def decided_from(
    query: Volume, view: StudentView, stored: Array, parts: Mapping[int, int], *, probabilities: bool = False
) -> Segmentation:
    """The segmentation of a scan whose probabilities were computed before.

    Args:
        query: the scan.
        view: whose pixels the probabilities have.
        stored: (K, Z, h, w) uint8, 0..LEVELS, which may be mapped from a file.
        parts: label value to the number of connected parts that are kept, in the order of the K organs.
        probabilities: also keep the probabilities of each label.

    Raises:
        InputError: all voxels of the scan have one value, or the probabilities are of another shape.
    """
    require_contrast(query, "the scan")
    turn, notes = view.turn(query)
    seen = turn.apply(query)
    grid = view.grid(seen)
    if stored.shape != (expected := (len(parts), len(seen.array_zyx), *grid.padded_yx)):
        raise InputError(f"probabilities of shape {stored.shape} for a scan of {expected}", "compute them again")

    def batches() -> Iterable[tuple[slice, Tensor]]:
        step = slices_at_once(grid, 1 + len(parts))
        for start in range(0, len(seen.array_zyx), step):
            batch = slice(start, min(start + step, len(seen.array_zyx)))
            yield batch, torch.from_numpy(np.array(stored[:, batch])).float().movedim(0, 1) / LEVELS

    said = (*notes, *taken_as_ct(query.array_zyx))
    return decided(query, turn, grid, batches(), parts, probabilities=probabilities, notes=lambda: said)


def slices_at_once(grid: PixelGrid, classes: int) -> int:
    """Slices in a batch: fewer where they are wider or have more classes, so that memory does not grow with these."""
    height, width = grid.padded_yx
    rows, columns = grid.stored_yx
    return max(1, min(BATCH, MOST_PIXELS // (height * width), MOST_PROBABILITIES // (classes * rows * columns)))
