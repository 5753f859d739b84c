"""How scans are shown to a student: its axes, pixel size and normalisation, and which slices are neighbours."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.models import Student
from psmnet.segmentation.modality import normaliser
from psmnet.volume import Normalisation, PixelGrid, Reorientation, Volume, align_query, slice_first

SIDE_PX = 160  # of the longest side of the labelled scans' slices, as large as two cores train in minutes
FINEST = 0.5  # pixels are not smaller than this share of the scan's own: enlarging further adds nothing
NEIGHBOUR_PX = 3.5  # distance in mm of neighbouring slices, in pixels: 7 mm where a pixel has 2 mm


@dataclass(frozen=True)
class StudentView:
    """How scans of one kind are shown to a student.

    Attributes:
        direction: 3 x 3, the axes (slices last) along which scans are brought, as in `Volume`.
        spacing_mm: of the first labelled scan along these axes.
        pixel_mm: size of a pixel.
        neighbour_mm: distance of neighbouring slices, unless slices are further apart.
        normalisation: of intensities, by the statistics of the whole scan.
    """

    direction: tuple[tuple[float, ...], ...]
    spacing_mm: tuple[float, float, float]
    pixel_mm: float
    neighbour_mm: float
    normalisation: Normalisation

    @staticmethod
    def of(images: Sequence[Volume], normalisation: Normalisation) -> "StudentView":
        """The view of labelled scans, whose first one determines the axes."""
        frame = slice_first(images[0]).apply(images[0])
        longest, finest = 0.0, np.inf
        for image in images:
            seen = align_query(frame, image)[0].apply(image)
            sides = [seen.spacing_mm[axis] * seen.size_xyz[axis] for axis in (0, 1)]
            longest, finest = max(longest, *sides), min(finest, *seen.spacing_mm[:2])
        pixel_mm = max(longest / SIDE_PX, FINEST * finest)
        direction = tuple(tuple(row) for row in frame.direction.tolist())
        return StudentView(direction, frame.spacing_mm, pixel_mm, NEIGHBOUR_PX * pixel_mm, normalisation)

    def turn(self, scan: Volume) -> tuple[Reorientation, list[str]]:
        """How a scan is brought to the axes, and warnings for the user."""
        frame = Volume(np.zeros((1, 1, 1)), self.spacing_mm, direction=np.array(self.direction))
        return align_query(frame, scan)

    def grid(self, seen: Volume) -> PixelGrid:
        """The pixels of a scan that was brought to the axes."""
        x_mm, y_mm, _ = seen.spacing_mm
        return PixelGrid.of(seen.array_zyx.shape[1:], (y_mm, x_mm), self.pixel_mm, Student.multiple, Student.multiple)

    def images(self, seen: Volume) -> Tensor:
        """Slices (Z, h, w) of a scan that was brought to the axes, normalised and at the view's pixels."""
        shown = self._shown(seen)
        return torch.cat([shown(number, number + 1) for number in range(len(seen.array_zyx))])

    def stacks(self, seen: Volume, count: int) -> Iterator[tuple[slice, Tensor]]:
        """`images` with their neighbours, `count` slices at a time, so that memory does not grow with the scan.

        Yields:
            which slices these are, and their stacks (n, 3, h, w).
        """
        shown, slices = self._shown(seen), len(seen.array_zyx)
        numbers = self.neighbours(slices, seen.spacing_mm[2])
        first, kept = 0, shown(0, 1)
        for start in range(0, slices, count):
            batch = slice(start, min(start + count, slices))
            low, end = int(numbers[batch].min()), int(numbers[batch].max()) + 1
            known = first + len(kept)
            fresh = [shown(known, end)] if end > known else []
            first, kept = low, torch.cat([kept[low - first :], *fresh])
            yield batch, kept[torch.from_numpy(numbers[batch] - low)]

    def _shown(self, seen: Volume) -> Callable[[int, int], Tensor]:
        """A function that gives slices from one number to another (n, h, w)."""
        array, grid = seen.array_zyx, self.grid(seen)
        normalised = normaliser(array, self.normalisation)
        fill = float(normalised(array.min(keepdims=True)).item())
        return lambda start, stop: grid.to_pixels(torch.from_numpy(normalised(array[start:stop]))[:, None], fill)[:, 0]

    def neighbours(self, slices: int, slice_mm: float) -> npt.NDArray[np.int64]:
        """Numbers (Z, 3) of the slice before, the slice itself and the slice after; ends repeat."""
        step = max(1, round(self.neighbour_mm / slice_mm))
        numbers = np.arange(slices)[:, None] + step * np.array([-1, 0, 1])
        clipped: npt.NDArray[np.int64] = np.clip(numbers, 0, slices - 1)
        return clipped
