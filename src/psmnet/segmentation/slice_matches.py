"""Which labelled slices served which slice of a query: for whoever wants to see why a mask is as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psmnet.segmentation.search import Search
from psmnet.segmentation.slice_positions import SlicePlace, organ_places
from psmnet.volume import Array, Reorientation, Volume


@dataclass(frozen=True)
class Match:
    """A slice of a query in which an organ was looked for, and what served it there.

    Attributes:
        query: the slice.
        served: number of the labelled scan (from 0, in the order given) and its slice, the nearest first.
    """

    query: SlicePlace
    served: tuple[tuple[int, SlicePlace], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return self.query.as_json() | {"served": [{"support": n, **place.as_json()} for n, place in self.served]}


def matches_of(
    searches: Mapping[int, Search], seen: Volume, turn: Reorientation, ranks: Array, values: Sequence[int]
) -> dict[int, tuple[Match, ...]]:
    """Label value to the slices of a query where it was looked for.

    Args:
        searches: by label value.
        seen, turn: the query, as in `organ_places`.
        ranks: what was found in `seen`: 1 + the label's place in `values`.
        values: of labels.
    """
    found = {}
    for value, search in searches.items():
        places = organ_places(seen, turn, search.slices, ranks == 1 + values.index(value))
        found[value] = tuple(Match(place, _served(search, row)) for row, place in enumerate(places))
    return found


def _served(search: Search, row: int) -> tuple[tuple[int, SlicePlace], ...]:
    return tuple((organ.scan, organ.places[slot]) for organ, slots in search.served for slot in slots[row].tolist())
