"""Multi-level Cross Attention Module (MCAM): the support's foreground guides the query's features.

Source: Teng et al., Neurocomputing 597 (2024) 127990. [published] three blocks in series (global prototype, local
prototypes, single pixels), each with 1x1 convolutions theta, phi, g and a W that starts at zero, no softmax.

[ours] Without softmax a block is linear in the query: F_q + W(A theta(F_q)), with
A = sum over support foreground positions of g(y) phi(y)^T / total foreground weight. The three A are computed once per
support slice, and no matrix of positions x positions is ever built.
"""

from typing import Literal

import torch
from einops import einsum
from torch import Tensor, nn

from psmnet.models.scoring import similarities
from psmnet.models.tensors import Guidance, Prototypes

Form = Literal["text", "release"]
LEVELS = 3  # global, local, pixel


class MultiLevelCrossAttention(nn.Module):
    """Three cross-attention blocks over one channel width.

    Args:
        channels: C.
        form: `text` (theta on the query, phi and g on the guide: what the paper's text says) or `release` (theta on
            the guide, phi and g on the query, rows added at the position of the same index: what the released
            code does; one shot, support and query of equal size).
    """

    def __init__(self, channels: int, form: Form = "text") -> None:
        super().__init__()
        self.form = form
        self.theta = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(LEVELS))
        self.phi = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(LEVELS))
        self.g = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(LEVELS))
        self.w = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(LEVELS))
        for block in self.w:  # [published] a block starts as identity
            nn.init.zeros_(block.weight)  # type: ignore[arg-type]  # ModuleList forgets its members' type
            nn.init.zeros_(block.bias)  # type: ignore[arg-type]

    def describe(self, features: Tensor, weights: Tensor, whole: Tensor, local: Prototypes) -> Guidance:
        """Compute what the three blocks need of support slices.

        Args:
            features: (N, C, h, w).
            weights: (N, K, h, w), the foreground's soft mask over its own positions, 0 elsewhere.
            whole: (N, K, C), the global foreground prototypes.
            local: the local foreground prototypes.
        """
        flat = features.flatten(2)
        total = weights.sum(dim=(-2, -1))
        share = weights.flatten(2) / total.clamp(min=1e-6)[..., None]
        nearest = _nearest(flat, local)
        present = (total > 0).to(features.dtype)
        if self.form == "release":
            maps = torch.stack(
                [
                    whole[..., None].expand(-1, -1, -1, flat.shape[-1]),
                    einsum(local.vectors, nearest, "n k p c, n k p s -> n k c s"),
                    flat[:, None].expand(-1, weights.shape[1], -1, -1),
                ],
                dim=2,
            ).reshape(*present.shape, LEVELS, *features.shape[1:])
            return Guidance(maps * (weights > 0)[:, :, None, None], present)
        by_prototype = einsum(nearest, share, "n k p s, n k s -> n k p")
        maps = torch.stack(
            [
                self._outer(0, whole[:, :, None], present[..., None]),
                self._outer(1, local.vectors, by_prototype),
                self._outer_shared(2, flat, share),
            ],
            dim=2,
        )
        return Guidance(maps, present)

    def enhance(self, features: Tensor, guidance: Guidance) -> Tensor:
        """Query features (N, C, h, w) under guidance of N or 1 supports: (N, K, C, s)."""
        flat = features.flatten(2)[:, None]
        if self.form == "release":
            return self._enhance_released(flat, guidance.maps.flatten(-2), guidance.present)
        # The blocks are affine in the query: the three C x C matrices are multiplied first, the large tensor only once.
        channels = flat.shape[2]
        matrix = torch.eye(channels, device=flat.device, dtype=flat.dtype).expand(*guidance.present.shape, -1, -1)
        offset = torch.zeros_like(matrix[..., :1])
        for level in range(LEVELS):
            theta, theta_bias = _kernel(self.theta[level])
            w, w_bias = _kernel(self.w[level])
            inner = w @ guidance.maps[:, :, level]
            step = torch.eye(channels, device=flat.device, dtype=flat.dtype) + inner @ theta
            constant = inner @ theta_bias + w_bias * guidance.present[..., None, None]
            matrix = step @ matrix
            offset = step @ offset + constant
        return matrix @ flat + offset

    def _outer(self, level: int, guide: Tensor, share: Tensor) -> Tensor:
        """Weighted sum of g(y) phi(y)^T over guides (N, K, P, C) with shares (N, K, P): (N, K, C, C)."""
        g, g_bias = _kernel(self.g[level])
        phi, phi_bias = _kernel(self.phi[level])
        left = (guide @ g.T + g_bias[:, 0]) * share[..., None]
        return left.transpose(-2, -1) @ (guide @ phi.T + phi_bias[:, 0])

    def _outer_shared(self, level: int, flat: Tensor, share: Tensor) -> Tensor:
        """The same over positions (N, C, s) that the targets share, with shares (N, K, s)."""
        g, g_bias = _kernel(self.g[level])
        phi, phi_bias = _kernel(self.phi[level])
        left = (g @ flat + g_bias)[:, None] * share[:, :, None]
        return left @ (phi @ flat + phi_bias)[:, None].transpose(-2, -1)

    def _enhance_released(self, flat: Tensor, guides: Tensor, present: Tensor) -> Tensor:
        """[published, odd] row i = theta(guide_i) . phi(query) g(query) / positions, added at query position i."""
        enhanced = flat
        positions = flat.shape[-1]
        for level in range(LEVELS):
            theta, theta_bias = _kernel(self.theta[level])
            phi, phi_bias = _kernel(self.phi[level])
            g, g_bias = _kernel(self.g[level])
            w, w_bias = _kernel(self.w[level])
            guide = guides[:, :, level]
            inside = (guide.abs().sum(dim=2, keepdim=True) > 0).to(flat.dtype) * present[..., None, None]
            mixing = (g @ enhanced + g_bias) @ (phi @ enhanced + phi_bias).transpose(-2, -1) / positions
            row = w @ (mixing @ (theta @ guide + theta_bias)) + w_bias
            enhanced = enhanced + row * inside
        return enhanced


def _kernel(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """A 1x1 convolution as a matrix (C, C) and a column (C, 1)."""
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return convolution.weight[:, :, 0, 0], convolution.bias[:, None]


@torch.no_grad()
def _nearest(flat: Tensor, local: Prototypes) -> Tensor:
    """One-hot (N, K, P, s): the existing local prototype most similar to the feature at each position."""
    score = similarities(flat[:, None], local.vectors).masked_fill(~local.valid[..., None], float("-inf"))
    one_hot = torch.zeros_like(score).scatter_(2, score.argmax(dim=2, keepdim=True), 1.0)
    return one_hot * local.valid[..., None]
