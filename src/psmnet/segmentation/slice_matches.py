"""Which labelled slices served which slice of a query, to explain a mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psmnet.segmentation.search import Search
from psmnet.segmentation.slice_positions import SlicePosition, organ_positions
from psmnet.volume import Array, Reorientation, Volume


@dataclass(frozen=True)
class SliceMatch:
    """A query slice in which an organ was searched, and the labelled slices that served it.

    Attributes:
        query: the slice.
        served: number of the labelled scan (from 0, in the order given) and slice, the nearest first.
    """

    query: SlicePosition
    served: tuple[tuple[int, SlicePosition], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.query.as_json() | {"served": [{"support": n, **position.as_json()} for n, position in self.served]}


def slice_matches_of(
    searches: Mapping[int, Search], seen: Volume, turn: Reorientation, ranks: Array, values: Sequence[int]
) -> dict[int, tuple[SliceMatch, ...]]:
    """By label value, the query slices in which it was searched.

    Args:
        searches: by label value.
        seen, turn: the query, as in `organ_positions`.
        ranks: result in `seen`: 1 + the label's index in `values`, 0 for background.
        values: label values.
    """
    found = {}
    for value, search in searches.items():
        positions = organ_positions(seen, turn, search.slices, ranks == 1 + values.index(value))
        found[value] = tuple(SliceMatch(position, _served(search, row)) for row, position in enumerate(positions))
    return found


def _served(search: Search, row: int) -> tuple[tuple[int, SlicePosition], ...]:
    return tuple((organ.scan, organ.positions[slot]) for organ, slots in search.served for slot in slots[row].tolist())
