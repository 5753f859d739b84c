"""A viewer with a labelled phantom patient in it, shared by the tests that change nothing of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.serving import listening, upload, upload_labels


@dataclass(frozen=True)
class Room:
    """A running viewer: its client, its folder, and two patients, the first one labelled."""

    client: httpx.Client
    root: Path
    support: Any
    labels: Any
    query: Any


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path, phantoms: Path) -> Iterator[Room]:
    root = tmp_path_factory.mktemp("viewer")
    with listening(root, str(tiny_weights)) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        query = upload(client, phantoms / "image_2.nii.gz")
        yield Room(client, root, support, labels, query)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Servers that end while somebody listens leave sockets to the collector, whose warnings blame any later test."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
