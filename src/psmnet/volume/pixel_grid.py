"""Slices resampled to a given mm per pixel and padded to a network's input size, and back. Proportions are kept."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from psmnet.errors import InputError

LARGEST_SIDE_PX = 1024  # five times the size networks are trained at: more is most likely a wrong spacing


@dataclass(frozen=True)
class PixelGrid:
    """Sizes of a scan's slices as stored and as the network gets them.

    Attributes:
        stored_yx: size as stored.
        scaled_yx: size at the network's mm per pixel.
        padded_yx: that, with a border around it.
    """

    stored_yx: tuple[int, int]
    scaled_yx: tuple[int, int]
    padded_yx: tuple[int, int]

    @staticmethod
    def of(
        stored_yx: tuple[int, int], spacing_yx_mm: tuple[float, float], pixel_mm: float, smallest: int, multiple: int
    ) -> "PixelGrid":
        """The grid of slices with this spacing, at least `smallest` pixels a side and divisible by `multiple`.

        Raises:
            InputError: a side of more than `LARGEST_SIDE_PX`.
        """
        scaled = [max(1, round(n * mm / pixel_mm)) for n, mm in zip(stored_yx, spacing_yx_mm, strict=True)]
        if max(scaled) > LARGEST_SIDE_PX:
            sides = " x ".join(f"{n * mm:g}" for n, mm in zip(stored_yx, spacing_yx_mm, strict=True))
            raise InputError(
                f"slices of {sides} mm need {max(scaled)} pixels a side at the support's {pixel_mm:g} mm per pixel",
                "check the spacing of scan and support",
            )
        padded = [-(-max(n, smallest) // multiple) * multiple for n in scaled]
        return PixelGrid(stored_yx, (scaled[0], scaled[1]), (padded[0], padded[1]))

    def to_pixels(self, slices: Tensor, fill: float) -> Tensor:
        """(N, C, Y, X) as stored to (N, C, h, w), resampled (antialiased when shrinking) and padded with `fill`."""
        if self.scaled_yx != self.stored_yx:
            slices = functional.interpolate(
                slices, size=self.scaled_yx, mode="bilinear", antialias=True, align_corners=False
            )
        top, left = self._corner()
        height, width = self.padded_yx
        bottom, right = height - top - self.scaled_yx[0], width - left - self.scaled_yx[1]
        return functional.pad(slices, (left, right, top, bottom), value=fill)

    def to_stored(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) back to (N, C, Y, X)."""
        top, left = self._corner()
        maps = maps[..., top : top + self.scaled_yx[0], left : left + self.scaled_yx[1]]
        if self.scaled_yx == self.stored_yx:
            return maps
        return functional.interpolate(maps, size=self.stored_yx, mode="bilinear", align_corners=False)

    def _corner(self) -> tuple[int, int]:
        return (self.padded_yx[0] - self.scaled_yx[0]) // 2, (self.padded_yx[1] - self.scaled_yx[1]) // 2
