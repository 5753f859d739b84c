"""Zips that mean no good, and those that do."""

import stat
import zipfile

import pytest

from psmnet.errors import InputError
from psmnet.viewer.refusals import TooLarge
from psmnet.viewer.unzip import unzip


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files:
            out.writestr(name, content)
    return path


def unpacked(tmp_path, files, most_files=10, most_bytes=1000):
    return unzip(zipped(tmp_path / "a.zip", files), tmp_path / "out", most_files, most_bytes)


def inside(tmp_path):
    return sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "name",
    ["../../evil.dcm", "/etc/evil.dcm", "C:\\evil.dcm", "a/../../b.dcm", "x" * 5000 + ".dcm", "a\n.dcm", "con"],
)
def test_names_never_become_paths(tmp_path, name):
    found = unpacked(tmp_path, [(name, b"12")])
    assert [path.relative_to(tmp_path).as_posix() for path, _ in found] == ["out/00001"]
    assert inside(tmp_path) == ["a.zip", "out", "out/00001"]
    assert found[0][0].read_bytes() == b"12"


def test_files_keep_their_order_and_their_format(tmp_path):
    found = unpacked(
        tmp_path, [("b/2.NII.GZ", b"2"), ("b/1.seg.nrrd", b"1"), ("__MACOSX/b", b"x"), (".DS_Store", b"x")]
    )
    assert [(path.name, str(name)) for path, name in found] == [
        ("00001.seg.nrrd", "b/1.seg.nrrd"),
        ("00002.nii.gz", "b/2.NII.GZ"),
    ]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="a link"):
        unzip(tmp_path / "a.zip", tmp_path / "out", 10, 1000)
    assert inside(tmp_path) == ["a.zip"]


def test_a_bomb_is_stopped_by_what_it_unpacks_to(tmp_path):
    bomb = zipped(tmp_path / "a.zip", [(str(n), bytes(400)) for n in range(3)])
    with pytest.raises(TooLarge, match="more than"):
        unzip(bomb, tmp_path / "out", 10, 1000)
    assert inside(tmp_path) == ["a.zip"]


def test_a_size_that_lies_is_not_believed(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a", bytes(5000))])
    content = path.read_bytes()
    lied = content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lied != content
    path.write_bytes(lied)
    with pytest.raises((TooLarge, InputError)):
        unzip(path, tmp_path / "out", 10, 1000)
    assert inside(tmp_path) == ["a.zip"]


def test_too_many_files_are_refused_before_the_first(tmp_path):
    with pytest.raises(TooLarge, match="holds 11 files"):
        unpacked(tmp_path, [(str(n), b"") for n in range(11)])
    assert inside(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_damaged_and_empty_zips(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="zip"):
        unzip(tmp_path / "a.zip", tmp_path / "out", 10, 1000)
    assert inside(tmp_path) == ["a.zip"]
