import random
import stat
import struct
import zipfile

import pytest

from helpers.permissions import binding
from psmnet.data.prepare import raw_files
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError

CONTENT = {"b.txt": b"b", "a/a.txt": b"one" * 1000, "a/deep/c.bin": bytes(range(256)) * 8}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "raw"
    for name, content in CONTENT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def archive(tmp_path):
    return pack(tmp_path / "raw.zip", CONTENT)


def pack(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as target:
        for name, content in members.items() if isinstance(members, dict) else members:
            target.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        RawFiles.open(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# ---- what is there ---------------------------------------------------------------------------------------------


def test_a_folder_and_its_zip_list_and_give_the_same(folder, archive, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for root in (folder, archive):
        files = RawFiles.open(root)
        assert files.names == ("a/a.txt", "a/deep/c.bin", "b.txt")
        with files.local(["a/deep/c.bin", "b.txt"], scratch) as local:
            assert {name: path.read_bytes() for name, path in local.items()} == {
                name: CONTENT[name] for name in ("a/deep/c.bin", "b.txt")
            }
            assert local["b.txt"].name == "b.txt"
            assert bool(list(scratch.iterdir())) == (root is archive)
        assert list(scratch.iterdir()) == []


def test_what_is_unpacked_goes_when_the_work_fails(archive, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(RuntimeError, match="work"), RawFiles.open(archive).local(["b.txt"], scratch):
        raise RuntimeError("work")
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("packed", [False, True])
def test_hidden_files_are_left_out(folder, tmp_path, packed):
    for name in (".DS_Store", "a/._a.txt", "__MACOSX/a/a.txt", ".git/config"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    root = folder
    if packed:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        root = pack(tmp_path / "raw.zip", dict.fromkeys(names, b""))
    assert RawFiles.open(root).names == tuple(sorted(CONTENT))


def test_a_folder_inside_may_be_left_out(folder):
    assert RawFiles.open(folder, leave_out=folder / "a" / "deep").names == ("a/a.txt", "b.txt")
    assert RawFiles.open(folder, leave_out=folder.parent).names == tuple(sorted(CONTENT))
    assert RawFiles.open(folder, leave_out=folder / "not there").names == tuple(sorted(CONTENT))


def test_links_are_followed_but_not_round_and_round(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.txt").write_bytes(b"d")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "up").symlink_to(folder)
    (folder / "a" / "round").symlink_to(folder / "a")
    assert RawFiles.open(folder).names == ("a/a.txt", "a/deep/c.bin", "b.txt", "link/d.txt")


def test_entries_for_folders_are_no_files(tmp_path):
    path = pack(tmp_path / "raw.zip", {"a/": b"", "a/b/": b"", "a/b/c.txt": b"c"})
    assert RawFiles.open(path).names == ("a/b/c.txt",)


def test_neither_folder_nor_zip(tmp_path):
    assert "no folder or zip" in refusal(tmp_path / "missing")
    other = tmp_path / "raw.tar.gz"
    other.write_bytes(b"")
    assert "is neither a folder nor a .zip" in refusal(other)


# ---- archives that can't be trusted ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.txt", "a/../../b.txt", "..", "a\\b.txt", "C:/a.txt"])
def test_members_that_lead_out(tmp_path, name):
    message = refusal(pack(tmp_path / "raw.zip", {"a.txt": b"", name: b""}))
    assert f"member {name!r} leads out of it; do not trust" in message


def test_members_that_are_links(tmp_path):
    link = zipfile.ZipInfo("a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "member 'a/link' is a link" in refusal(pack(tmp_path / "raw.zip", [(link, b"/etc")]))


def test_members_that_are_there_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = pack(tmp_path / "raw.zip", [("a.txt", b"1"), ("a.txt", b"2")])
    assert "member 'a.txt' is there twice" in refusal(path)


def test_encrypted_archives(tmp_path):
    path = pack(tmp_path / "raw.zip", {"a.txt": b"a"})
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    path.write_bytes(content)
    assert "is encrypted (a.txt); unpack it by hand" in refusal(path)


def test_too_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "LARGEST_ENTRIES", 2)
    path = pack(tmp_path / "raw.zip", {"a": b"", "b": b""})
    assert RawFiles.open(path).names == ("a", "b")
    assert "holds 3 files, more than 2" in refusal(pack(tmp_path / "more.zip", {"a": b"", "b": b"", "c": b""}))


def test_archives_that_unpack_to_too_much(tmp_path, monkeypatch):
    bomb = pack(tmp_path / "bomb.zip", {"zeros": bytes(10**6)})  # about 1 : 1000
    assert RawFiles.open(bomb).names == ("zeros",)  # a small one does no harm
    monkeypatch.setattr(raw_files, "UNCHECKED_BYTES", 1000)
    assert "unpacks to 1000000 bytes, more than" in refusal(bomb)
    scans = pack(tmp_path / "scans.zip", {"noise": random.Random(0).randbytes(10**5)})
    assert RawFiles.open(scans).names == ("noise",)
    monkeypatch.setattr(raw_files, "LARGEST_TOTAL_BYTES", 10**5 - 1)
    assert "unpacks to 100000 bytes" in refusal(scans)


def test_a_member_gives_no_more_than_it_promised(tmp_path):
    """The size that the limits go by is what the archive says of itself."""
    path = pack(tmp_path / "raw.zip", {"zeros": bytes(10**6)})
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + place, 10)
    path.write_bytes(content)
    files = RawFiles.open(path)
    with pytest.raises(InputError, match="zeros is damaged"), files.local(["zeros"], tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["raw.zip"]


# ---- archives that are damaged ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 30, 0.5, 0.95, -1])
def test_a_truncated_zip(archive, kept):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert "is truncated or damaged" in refusal(archive)
    assert "download it again" in refusal(archive)


def test_a_member_with_a_bad_checksum_spoils_itself_alone(tmp_path):
    path = pack(tmp_path / "raw.zip", {"a.txt": b"A" * 100, "b.txt": b"B" * 100}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"BBBB") + 20] ^= 1
    path.write_bytes(content)
    files = RawFiles.open(path)
    with files.local(["a.txt"], tmp_path) as local:
        assert local["a.txt"].read_bytes() == b"A" * 100
    with pytest.raises(InputError, match=rf"{path}: member b.txt is damaged .*CRC.*; copy or download"):
        files.local(["a.txt", "b.txt"], tmp_path).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["raw.zip"]


def test_any_damage_is_told(tmp_path):
    """Bytes changed all over: whatever still opens gives its members whole, or says which one is damaged."""
    good = pack(tmp_path / "raw.zip", CONTENT).read_bytes()
    generator, told = random.Random(0), 0
    path = tmp_path / "bad.zip"
    for _ in range(100):
        content = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(content)
        try:
            files = RawFiles.open(path)
            with files.local(files.names, tmp_path) as local:
                assert all(path.exists() for path in local.values())
        except InputError:
            told += 1
    assert told > 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.zip", "raw.zip"]


def test_a_zip_for_a_newer_program(tmp_path):
    path = pack(tmp_path / "raw.zip", {"a.txt": b"a"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # version needed to extract: 9.9
    path.write_bytes(content)
    assert "is truncated or damaged (zip file version 9.9)" in refusal(path)


def test_a_member_whose_name_is_damaged(tmp_path):
    path = pack(tmp_path / "raw.zip", {"a.txt": b"a"})
    content = bytearray(path.read_bytes())
    content[7] |= 8  # its own header says that its name is UTF-8, the list of members doesn't
    content[30] = 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"member a.txt is damaged .*decode"):
        RawFiles.open(path).local(["a.txt"], tmp_path).__enter__()


def test_an_unreadable_zip(archive):
    archive.chmod(0)
    with binding():
        assert "can't read" in refusal(archive)
