"""Episodes from two sources in one batch."""

from dataclasses import fields

import torch

from psmnet.data.episodes import EpisodeSource
from psmnet.types import Episode


class Mixture:
    """Every batch holds a batch of each source, one after the other.

    Args:
        sources: of episodes with equal shots, targets and image size.
    """

    def __init__(self, *sources: EpisodeSource) -> None:
        self.sources = sources

    def batch(self, step: int) -> Episode:
        """Batch `step` of each source, joined along the batch axis."""
        parts = [source.batch(step) for source in self.sources]
        return Episode(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Episode)))
