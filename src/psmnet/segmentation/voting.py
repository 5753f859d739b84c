"""Several labelled scans laid over a query, each with its opinion of every voxel."""

from collections.abc import Sequence

import numpy as np

from psmnet.volume import Array

THRESHOLD = 0.5  # share of the votes


def vote(carried: Sequence[Array], held: Sequence[frozenset[int]], labels: int) -> tuple[Array, Array]:
    """Let the supports vote for each voxel.

    On a label vote the supports that have it and reach the voxel. The label with the largest share of its votes wins
    if that is at least half; of equal shares the lower label.

    Args:
        carried: of each support, laid over the query, 0 where it does not reach, 1 for background, then 1 more than a
            label's rank, (Z, Y, X).
        held: of each support the ranks of labels (from 1) that it has.
        labels: how many there are.

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
