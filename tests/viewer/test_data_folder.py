"""A viewer's folder: private, its own, and emptied when asked."""

import pytest

from psmnet.errors import InputError
from psmnet.viewer.folder import DataFolder, new_id, size_of


def test_it_is_the_users_alone(tmp_path):
    folder = DataFolder(tmp_path / "data")
    assert folder.root.stat().st_mode & 0o777 == 0o700
    for name in ("scans", "jobs", "incoming"):
        assert (folder.root / name).stat().st_mode & 0o777 == 0o700
    folder.root.chmod(0o755)
    assert DataFolder(tmp_path / "data").root.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds other files"):
        DataFolder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "", "a" * 17, "0123456789abcdeF", "0123456789abcde\x00", "0123456789abcdef\n"]
)
def test_only_ids_become_paths(tmp_path, name):
    folder = DataFolder(tmp_path / "data")
    for place in (folder.scan, folder.job, lambda n: folder.labels(new_id(), n)):
        with pytest.raises(InputError, match="not an id"):
            place(name)


def test_purge_leaves_nothing(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.scan(new_id()).mkdir()
    (folder.incoming()).write_bytes(bytes(1000))
    assert folder.purge() >= 1000
    assert [p.name for p in folder.root.iterdir()] == ["psmnet-viewer"]
    assert size_of(folder.root) == 0
