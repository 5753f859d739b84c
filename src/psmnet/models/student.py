"""`Student`: a network of its own for one kind of scan, which needs no support: slices in, organs out.

[ours] The compact encoder, widened to see the slices before and after, with a decoder to half resolution.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from psmnet.models.encoder import CompactEncoder, ConvBlock

SLICES = 3  # a slice with one neighbour on either side
HALF, QUARTER = 32, 64  # channels of the decoder at 1/2 and 1/4 of the resolution


class Student(nn.Module):
    """Segments slices, each with its neighbours, into background and organs.

    Args:
        organs: number K of organs.
        channels: of the encoder's features.
    """

    multiple = CompactEncoder.multiple  # height and width must divide by this

    def __init__(self, organs: int, channels: int) -> None:
        super().__init__()
        self.encoder = CompactEncoder(channels, inputs=SLICES)
        self.lateral4 = nn.Conv2d(channels, QUARTER, 1, bias=False)
        self.lateral2 = nn.Conv2d(self.encoder.stem_size, QUARTER, 1, bias=False)
        self.up2 = ConvBlock(QUARTER, HALF)
        self.head = nn.Conv2d(HALF, 1 + organs, 1)

    @classmethod
    def from_encoder(cls, encoder: CompactEncoder, organs: int, channels: int) -> Self:
        """A student that begins with a trained encoder; the weights of neighbouring slices begin at 0.

        The other weights are drawn from torch's global generator.
        """
        student = cls(organs, channels)
        tensors = {name: value.clone() for name, value in encoder.state_dict().items()}
        middle = tensors["stem.0.weight"]
        tensors["stem.0.weight"] = middle.new_zeros(middle.shape[0], SLICES, *middle.shape[2:])
        tensors["stem.0.weight"][:, SLICES // 2] = middle[:, 0]
        student.encoder.load_state_dict(tensors)
        return student

    def forward(self, stacks: Tensor) -> Tensor:
        """Stacks of slices (B, 3, H, W), the middle one to be segmented, to logits (B, 1 + K, H, W)."""
        return self.logits_and_code(stacks)[0]

    def logits_and_code(self, stacks: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` returns, and the pooled deepest features (B, D), by which scans are compared."""
        at2 = self.encoder.stem(stacks)
        at4, _, code = self.encoder.levels_of_stem(at2)
        at2 = self.lateral2(at2) + functional.interpolate(
            self.lateral4(at4), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        logits = self.head(self.up2(at2))
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False), code

    @torch.no_grad()
    def probabilities(self, stacks: Tensor) -> Tensor:
        """Probabilities (B, K, H, W) of the organs; background has what is left to 1."""
        found: Tensor = self(stacks).softmax(dim=1)[:, 1:]
        return found
