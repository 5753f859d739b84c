"""Voting of several labelled scans that were registered to a query."""

from collections.abc import Sequence

import numpy as np

from psmnet.volume import Array

THRESHOLD = 0.5  # share of the votes


def vote(carried: Sequence[Array], held: Sequence[frozenset[int]], labels: int) -> tuple[Array, Array]:
    """Let the supports vote for each voxel.

    Supports that have a label and reach the voxel vote on that label. The label with the largest share of its votes
    wins if that share is at least a half; of equal shares the lower label.

    Args:
        carried: for each support, its label map on the query's grid (Z, Y, X): 0 outside the support, 1 for
            background, else 1 + the label's rank.
        held: for each support, the ranks (from 1) of the labels that it has.
        labels: number of labels.

    Returns:
        rank of the winning label (0 for background) and, in float32, its share of the votes, each (Z, Y, X).
    """
    winner = np.zeros(carried[0].shape, dtype=np.min_scalar_type(labels))
    best = np.zeros(winner.shape, dtype=np.float32)
    for rank in range(1, labels + 1):
        voting = [ranks for ranks, known in zip(carried, held, strict=True) if rank in known]
        voters = sum((ranks > 0).astype(np.float32) for ranks in voting)
        votes = sum((ranks == rank + 1).astype(np.float32) for ranks in voting)
        share = votes / np.maximum(voters, 1)
        wins = (share >= THRESHOLD) & (share > best)
        winner[wins] = rank
        best[wins] = share[wins]
    return winner, best
