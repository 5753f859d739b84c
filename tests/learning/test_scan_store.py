"""Arrays of stages, kept under the checksum of their inputs."""

import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.learning.scan_store import ScanStore


@pytest.fixture
def store(tmp_path) -> ScanStore:
    made = ScanStore(tmp_path, "scan")
    made.save("vote", "k", probabilities=np.arange(6, dtype=np.uint8), name=np.array("a"))
    return made


def test_what_was_saved_is_loaded(store):
    loaded = store.load("vote", "k")
    assert set(loaded) == {"probabilities", "name"}
    assert loaded["probabilities"].tolist() == [0, 1, 2, 3, 4, 5]
    assert str(loaded["name"]) == "a"


def test_arrays_of_other_inputs_are_none(store):
    assert store.load("vote", "other") is None
    assert store.load("first", "k") is None
    store.save("vote", "other", probabilities=np.zeros(1))
    assert store.load("vote", "k") is None


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_damaged_arrays_are_none(store, kept):
    path = store.folder / "vote.npz"
    path.write_bytes(path.read_bytes()[:kept])
    assert store.load("vote", "k") is None


def test_arrays_with_other_content_than_was_written_are_none(store):
    path = store.folder / "vote.npz"
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(bytes(content))
    assert store.load("vote", "k") is None


def test_what_is_required_and_gone_is_said(store):
    (store.folder / "vote.npz").unlink()
    with pytest.raises(InputError, match=r"scan/vote.npz was removed or changed; run again; it is made again"):
        store.require("vote", "k")


def test_mapped_arrays_are_read_in_parts(store):
    store.save_mapped("images", np.arange(12, dtype=np.float16).reshape(3, 4))
    mapped = store.mapped("images")
    assert isinstance(mapped, np.memmap)
    assert mapped[1].tolist() == [4, 5, 6, 7]


def test_whether_a_mapped_array_is_whole(store):
    assert not store.has_mapped("images")
    store.save_mapped("images", np.zeros((3, 4)))
    assert store.has_mapped("images")
    path = store.folder / "images.npy"
    path.write_bytes(path.read_bytes()[:150])
    assert not store.has_mapped("images")


def test_scans_are_apart_and_can_be_removed(store, tmp_path):
    other = ScanStore(tmp_path, "other")
    assert other.load("vote", "k") is None
    store.remove()
    assert not store.folder.exists()
    store.remove()
