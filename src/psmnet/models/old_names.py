"""Settings that had other names in earlier versions: files with the old names are still read."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TypeVar

Kept = TypeVar("Kept")

NEW_NAMES = {
    "grid_in_use": "grid_at_inference",
    "weigh_area_in_use": "weigh_area_at_inference",
    "refine_in_use": "refine_at_inference",
    "position_in_use": "position_at_inference",
}


def current_names(record: Mapping[str, Kept]) -> dict[str, Kept]:
    """A record of settings that an earlier version may have written, with today's names."""
    return {NEW_NAMES.get(name, name): value for name, value in record.items()}


def current_texts(texts: Sequence[str], *, warn: bool = True) -> tuple[str, ...]:
    """`NAME=VALUE` texts with today's names.

    Args:
        texts: as a user or an earlier version wrote them.
        warn: whether old names give a FutureWarning; a user can change a recipe, but not a file that psmnet wrote.
    """
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        new = NEW_NAMES.get(name, name)
        if warn and new != name:
            warnings.warn(f"the setting {name} is now called {new}", FutureWarning, stacklevel=2)
        found.append(f"{new}{equals}{value}")
    return tuple(found)
