"""The tensors that training, models and segmentation pass to each other.

Letters in shapes: B images in a batch, S support slices (shots), K targets that share an image (superpixels in
training, organs at inference), P prototypes, C channels, H x W image, h x w features. Classes are 0 background,
1 foreground: every target is binary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from psmnet.errors import ConfigError


@dataclass(frozen=True)
class Episode:
    """A batch of few-shot tasks.

    Attributes:
        support_images: (B, S, 1, H, W), normalised intensities.
        support_masks: (B, S, K, H, W), 0..1.
        query_images: (B, 1, H, W).
        query_masks: (B, K, H, W), 0 or 1; 255 is ignored.
        valid: (B, K) bool; targets that exist. The others are padding and are ignored everywhere.
    """

    support_images: Tensor
    support_masks: Tensor
    query_images: Tensor
    query_masks: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> "Episode":
        """The same episode on another device."""
        return Episode(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class Features:
    """The encoder's output for a batch of images; each method fills what it needs.

    Attributes:
        maps: one or more (B, C, h, w) maps, first the one that is matched.
        code: (B, D), one vector per image, where a method needs it.
        needed: (h, w) bool, positions of the first map whose scores are needed (default: all); a method may leave out
            the others.
    """

    maps: tuple[Tensor, ...]
    code: Tensor | None = None
    needed: Tensor | None = None

    def __getitem__(self, index: slice | Tensor) -> "Features":
        """The features of some of the images."""
        code = None if self.code is None else self.code[index]
        return Features(tuple(m[index] for m in self.maps), code, self.needed)

    def divided(self, first: int) -> tuple["Features", "Features"]:
        """The features of the first images and of the others (split: the gradient of an index is mostly zeros)."""
        pairs = [m.split([first, len(m) - first]) for m in self.maps]
        codes = (None, None) if self.code is None else self.code.split([first, len(self.code) - first])
        one, other = (Features(tuple(pair[half] for pair in pairs), codes[half], self.needed) for half in (0, 1))
        return one, other

    def window(self, rows: slice, columns: slice, size: tuple[int, int]) -> "Features":
        """The features of a window of the images.

        Args:
            rows, columns: in pixels; every map's stride divides both ends.
            size: (H, W) of the images.
        """

        def part(m: Tensor) -> Tensor:
            down, across = size[0] // m.shape[-2], size[1] // m.shape[-1]
            return m[..., rows.start // down : rows.stop // down, columns.start // across : columns.stop // across]

        return Features(tuple(part(m) for m in self.maps), self.code)

    def within(self, pixels: Tensor) -> "Features":
        """The same features, where scores are needed only at these pixels (H, W) bool."""
        height, width = self.maps[0].shape[-2:]
        side = (pixels.shape[0] // height, pixels.shape[1] // width)
        shown = functional.max_pool2d(pixels[None].to(self.maps[0].dtype), side)
        # Logits are enlarged bilinearly, so that a pixel also depends on the neighbouring positions.
        return replace(self, needed=functional.max_pool2d(shown, 3, stride=1, padding=1)[0] > 0)

    def room_for(self, images: int) -> "Features":
        """Uninitialised features of the same kind for a number of images."""

        def room(known: Tensor) -> Tensor:
            return known.new_empty(images, *known.shape[1:])

        return Features(tuple(room(m) for m in self.maps), None if self.code is None else room(self.code))

    def put(self, batch: slice, features: "Features") -> None:
        """Write the features of some images into this tensor, in its precision."""
        for mine, theirs in zip(self.maps, features.maps, strict=True):
            mine[batch] = theirs
        if self.code is not None and features.code is not None:
            self.code[batch] = features.code

    def float(self) -> "Features":
        """In single precision, which matching needs after an encoder in half precision."""
        return Features(tuple(m.float() for m in self.maps), None if self.code is None else self.code.float())

    def half(self) -> "Features":
        """In half precision, which saves memory for long scans."""
        return Features(tuple(m.half() for m in self.maps), None if self.code is None else self.code.half())


@dataclass(frozen=True)
class Prototypes:
    """The prototypes of one class.

    Attributes:
        vectors: (B, K, P, C), or (B, 1, P, C) where the targets share them.
        weights: (B, K, P), each prototype's area in feature positions; 0 where no prototype exists.
    """

    vectors: Tensor
    weights: Tensor

    @property
    def valid(self) -> Tensor:
        """(B, K, P) bool: prototypes that exist."""
        return self.weights > 0

    def select(self, index: Tensor) -> "Prototypes":
        """The prototypes of some slices."""
        return Prototypes(self.vectors[index], self.weights[index])

    def union(self, *others: "Prototypes") -> "Prototypes":
        """These prototypes and others of equal B and K."""
        sets = (self, *others)
        return Prototypes(torch.cat([s.vectors for s in sets], dim=2), torch.cat([s.weights for s in sets], dim=2))

    def join(self, shots: int) -> "Prototypes":
        """The union over groups of `shots` consecutive slices."""
        return Prototypes(
            rearrange(self.vectors, "(b s) k p c -> b k (s p) c", s=shots),
            rearrange(self.weights, "(b s) k p -> b k (s p)", s=shots),
        )


@dataclass(frozen=True)
class Guidance:
    """What cross attention needs of labelled slices.

    Attributes:
        maps: (B, K, L, C, C) matrices of L blocks, or (B, K, L, C, h, w) guide maps of the released form.
        present: (B, K), 1 where the slice has foreground, else 0.
    """

    maps: Tensor
    present: Tensor

    def select(self, index: Tensor) -> "Guidance":
        """The guidance of some slices."""
        return Guidance(self.maps[index], self.present[index])

    def join(self, shots: int) -> "Guidance":
        """The mean over the slices with foreground of each group of `shots` consecutive slices.

        Raises:
            ConfigError: guide maps of the released form, which takes one shot.
        """
        if shots == 1:
            return self
        if self.maps.ndim == 6:
            raise ConfigError(
                "the released form of cross attention takes one support slice", "use weights with attention=text or off"
            )
        share = rearrange(self.present, "(b s) k -> b s k 1 1 1", s=shots)
        maps = (rearrange(self.maps, "(b s) k l c d -> b s k l c d", s=shots) * share).sum(1)
        total = share.sum(1)[..., 0, 0, 0]
        return Guidance(maps / total.clamp(min=1)[..., None, None, None], (total > 0).to(total.dtype))


@dataclass(frozen=True)
class Support:
    """All that matching needs of labelled slices.

    The leading axes of every tensor are (B, K): slice (or query, after `select`) and target. Slices come first because
    each query slice of a batch may have its own support (EP1: three parts, three support slices); a support of B = 1
    serves every query.

    A class may have several sets of prototypes. They are not merged: a set whose vectors the targets share is compared
    with a query only once, and sets of different feature maps differ in width.

    Attributes:
        foreground, background: sets of prototypes of the two classes; no background for methods that do not model it.
        guidance: for cross attention.
    """

    foreground: tuple[Prototypes, ...]
    background: tuple[Prototypes, ...] = ()
    guidance: Guidance | None = None

    def select(self, index: Tensor) -> "Support":
        """The supports of some slices: `index` (Q,) long gives each query its support."""
        return Support(
            tuple(prototypes.select(index) for prototypes in self.foreground),
            tuple(prototypes.select(index) for prototypes in self.background),
            self.guidance and self.guidance.select(index),
        )

    def join(self, shots: int) -> "Support":
        """Merge each group of `shots` consecutive slices into one support; their order does not matter."""
        if shots == 1:
            return self
        return Support(
            tuple(prototypes.join(shots) for prototypes in self.foreground),
            tuple(prototypes.join(shots) for prototypes in self.background),
            self.guidance and self.guidance.join(shots),
        )


def concatenate(supports: Sequence[Support]) -> Support:
    """Merge supports of several scans with equal B and K: all their prototypes, and the mean of their guidance."""
    first, *others = supports
    foreground = tuple(mine.union(*(s.foreground[i] for s in others)) for i, mine in enumerate(first.foreground))
    background = tuple(mine.union(*(s.background[i] for s in others)) for i, mine in enumerate(first.background))
    parts = [s.guidance for s in supports if s.guidance is not None]
    if not parts:
        return Support(foreground, background)
    # Interleaved as (B S), as `join` expects it.
    maps = torch.stack([g.maps for g in parts], dim=1).flatten(0, 1)
    present = torch.stack([g.present for g in parts], dim=1).flatten(0, 1)
    return Support(foreground, background, Guidance(maps, present).join(len(parts)))


@dataclass(frozen=True)
class Prediction:
    """The result of matching a batch of queries.

    Attributes:
        logits: (B, K, 2, H, W) at the query images' size; index 1 is foreground.
        extra_losses: additional losses of the method by name, each a scalar.
    """

    logits: Tensor
    extra_losses: dict[str, Tensor]

    @property
    def foreground(self) -> Tensor:
        """Probability of foreground, (B, K, H, W)."""
        return (self.logits[:, :, 1] - self.logits[:, :, 0]).sigmoid()
