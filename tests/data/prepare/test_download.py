"""Downloads against a server on this machine; nothing here asks any other host."""

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.web_server import CONTENT, FIRST, NAME, Page, Site, closed_port, remote, serve
from psmnet.catalog import DATASETS
from psmnet.data.prepare import download
from psmnet.data.prepare.download import Fetched, fetch
from psmnet.data.prepare.zenodo import RemoteFile, find_files
from psmnet.errors import InputError
from psmnet.system.locks import LOCK_NAME, locked
from psmnet.system.web import BLOCK


@pytest.fixture(autouse=True)
def site(monkeypatch) -> Iterator[Site]:
    with serve(monkeypatch) as site:
        yield site


def begun(folder: Path, file: RemoteFile, content: bytes, **other: Any) -> None:
    """Leave a part as a download that was cut short does."""
    folder.mkdir(exist_ok=True)
    (folder / f"{file.name}.part").write_bytes(content)
    sidecar = {"checksum": file.checksum, "size": file.size, **other}
    (folder / f"{file.name}.part.json").write_text(json.dumps(sidecar))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_comes_whole_and_leaves_nothing_beside_it(site, tmp_path):
    heard = []
    fetched = fetch([remote(site)], tmp_path / "raw", lambda done, note: heard.append(done))
    assert fetched == [Fetched(tmp_path / "raw" / NAME, 10_240, kept=False)]
    assert (tmp_path / "raw" / NAME).read_bytes() == CONTENT
    assert names(tmp_path / "raw") == {NAME}
    assert site.ranges() == [None]
    assert heard == sorted(heard)
    assert heard[-1] == 10_240


def test_several_files_come_in_order_and_are_counted_together(site, tmp_path):
    heard = []
    files = [remote(site, "b.bin", b"12345"), remote(site, "a.bin", b"678"), remote(site, "empty", b"")]
    fetched = fetch(files, tmp_path, lambda done, note: heard.append(done))
    assert [file.path.read_bytes() for file in fetched] == [b"12345", b"678", b""]
    assert names(tmp_path) == {"b.bin", "a.bin", "empty"}
    assert heard == sorted(heard)
    assert set(heard) == {5, 8}


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_checksums_of_three_kinds(site, tmp_path, algorithm):
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    site.record(FIRST, site.entry(checksum=checksum.upper()))
    (file,) = find_files("chaos-t2")
    assert file.checksum == checksum
    fetch([file], tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_redirects_are_followed_with_the_range(site, tmp_path):
    file = remote(site)
    site.pages["/store"] = site.pages[f"/files/{NAME}"]
    site.pages[f"/files/{NAME}"] = Page(b"", 302, location="/store")
    begun(tmp_path, file, CONTENT[:100])
    fetch([file], tmp_path)
    assert site.asked == [(f"/files/{NAME}", "bytes=100-"), ("/store", "bytes=100-")]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_part_is_gone_on_with(site, tmp_path):
    file = remote(site)
    begun(tmp_path, file, CONTENT[:4000])
    fetch([file], tmp_path)
    assert site.ranges() == ["bytes=4000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert names(tmp_path) == {NAME}


def test_a_server_without_ranges_starts_over(site, tmp_path):
    file = remote(site)
    site.pages[f"/files/{NAME}"].ranges = False
    begun(tmp_path, file, b"x" * 4000)
    fetch([file], tmp_path)
    assert site.ranges() == ["bytes=4000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_complete_part_is_verified_without_asking(site, tmp_path):
    file = remote(site)
    begun(tmp_path, file, CONTENT)
    fetch([file], tmp_path)
    assert site.asked == []
    assert names(tmp_path) == {NAME}


def test_a_complete_part_that_is_wrong_is_deleted(site, tmp_path):
    file = remote(site)
    begun(tmp_path, file, CONTENT[::-1])
    with pytest.raises(InputError, match="it was deleted"):
        fetch([file], tmp_path)
    assert names(tmp_path) == set()


def test_a_server_that_can_not_go_on_is_asked_for_all(site, tmp_path):
    """It says 416 to a part that is not complete; all of the file is the next try."""
    file = remote(site)
    site.pages[f"/files/{NAME}"] = Page(b"", 416, ranges=False)
    begun(tmp_path, file, CONTENT[:4000])
    with pytest.raises(InputError, match=re.escape("HTTP 416 (Requested Range Not Satisfiable)")):
        fetch([file], tmp_path)
    assert site.ranges() == ["bytes=4000-", None]


def test_an_answer_with_other_bytes_than_asked_for_is_not_appended(site, tmp_path):
    file = remote(site)
    site.pages[f"/files/{NAME}"].headers = {"Content-Range": "bytes 0-10239/10240"}
    begun(tmp_path, file, CONTENT[:4000])
    fetch([file], tmp_path)
    assert site.ranges() == ["bytes=4000-", None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("other", [{"checksum": f"md5:{'0' * 32}"}, {"size": 10_241}, {"size": "x"}])
def test_a_part_of_another_version_is_begun_anew(site, tmp_path, other):
    file = remote(site)
    begun(tmp_path, file, CONTENT[:4000], **other)
    fetch([file], tmp_path)
    assert site.ranges() == [None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("sidecar", [None, "{"])
def test_a_part_of_unknown_version_is_begun_anew(site, tmp_path, sidecar):
    file = remote(site)
    begun(tmp_path, file, CONTENT[:4000])
    path = tmp_path / f"{NAME}.part.json"
    path.unlink() if sidecar is None else path.write_text(sidecar)
    fetch([file], tmp_path)
    assert site.ranges() == [None]
    assert names(tmp_path) == {NAME}


def test_a_part_that_is_too_long_is_begun_anew(site, tmp_path):
    file = remote(site)
    begun(tmp_path, file, CONTENT + b"x")
    fetch([file], tmp_path)
    assert site.ranges() == [None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_finished_file_is_kept(site, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    before = (tmp_path / NAME).stat()
    assert fetch([remote(site)], tmp_path) == [Fetched(tmp_path / NAME, 10_240, kept=True)]
    assert site.asked == []
    assert (tmp_path / NAME).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("content", [b"mine", CONTENT[::-1]])
def test_a_file_of_that_name_with_other_content_is_not_touched(site, tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(InputError, match="move it away"):
        fetch([remote(site, "first.zip"), remote(site)], tmp_path)
    assert (tmp_path / NAME).read_bytes() == content
    assert site.asked == []


def test_a_folder_of_that_name_is_not_touched(site, tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(InputError, match="move it away"):
        fetch([remote(site)], tmp_path)


def test_a_wrong_checksum_deletes_the_part_and_says_both(site, tmp_path):
    wrong = CONTENT[::-1]
    site.pages[f"/files/{NAME}"] = Page(wrong)
    with pytest.raises(InputError) as caught:
        fetch([remote(site)], tmp_path)
    assert f"md5:{hashlib.md5(wrong).hexdigest()}" in str(caught.value)
    assert f"md5:{hashlib.md5(CONTENT).hexdigest()}" in str(caught.value)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("body", [CONTENT + b"x", CONTENT[:-1], b""])
def test_another_size_than_the_records_is_refused_before_a_byte_is_written(site, tmp_path, body):
    file = remote(site)
    site.pages[f"/files/{NAME}"] = Page(body, ranges=False)
    begun(tmp_path, file, CONTENT[:4000])
    with pytest.raises(InputError, match=f"has {len(body):,} bytes .* 10,240"):
        fetch([file], tmp_path)
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:4000]
    assert len(site.ranges()) == 1


@pytest.mark.parametrize("span", ["bytes 4000-10240/10241", "bytes 4000-10240/*"])
def test_a_rest_of_another_file_is_not_appended(site, tmp_path, span):
    file = remote(site)
    site.pages[f"/files/{NAME}"] = Page(CONTENT + b"x", headers={"Content-Range": span})
    begun(tmp_path, file, CONTENT[:4000])
    with pytest.raises(InputError, match=r"the record gives .* 10,240"):
        fetch([file], tmp_path)
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:4000]


def test_more_bytes_than_the_record_says_are_stopped_at_once(site, tmp_path):
    """A server that doesn't announce the length, and would send 64 blocks: one byte too many is the last."""
    site.pages[f"/files/{NAME}"] = Page(bytes(64 * BLOCK), announce=False)
    heard, sizes = [], []

    def report(done, note):
        heard.append(done)
        sizes.append((tmp_path / f"{NAME}.part").stat().st_size)

    with pytest.raises(InputError, match="sends more than the 10,240 bytes"):
        fetch([remote(site)], tmp_path, report)
    assert max(heard) == 10_240
    assert max(sizes) <= 10_241
    assert names(tmp_path) == set()


def test_a_length_that_is_not_announced_is_fine(site, tmp_path):
    site.pages[f"/files/{NAME}"] = Page(announce=False)
    fetch([remote(site)], tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_lost_connection_is_taken_up_where_it_broke(site, tmp_path):
    site.pages[f"/files/{NAME}"] = Page(cuts=[1000, 2000, 0])
    notes = []
    fetch([remote(site)], tmp_path, lambda done, note: notes.append((done, note)))
    assert site.ranges() == [None, "bytes=1000-", "bytes=3000-", "bytes=3000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert (3000, "connection lost, trying again") in notes


def test_a_lost_connection_without_ranges_starts_over(site, tmp_path):
    site.pages[f"/files/{NAME}"] = Page(cuts=[1000, 2000], ranges=False)
    fetch([remote(site)], tmp_path)
    assert site.ranges() == [None, "bytes=1000-", "bytes=2000-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_after_three_retries_the_part_is_kept_for_the_next_run(site, tmp_path):
    site.pages[f"/files/{NAME}"] = Page(cuts=[1000, 100, 10, 1])
    file = remote(site)
    with pytest.raises(InputError, match=r"broke; 1,111 of 10,240 bytes of .* kept; .* run the command again"):
        fetch([file], tmp_path)
    assert len(site.ranges()) == 4
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:1111]
    assert LOCK_NAME not in names(tmp_path)
    fetch([file], tmp_path)
    assert site.ranges()[4:] == ["bytes=1111-"]
    assert names(tmp_path) == {NAME}


def test_the_pauses_grow_and_are_three(monkeypatch, site, tmp_path):
    monkeypatch.undo()
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    with pytest.raises(InputError, match="0 of 10,240 bytes"):
        fetch([remote(site, url=f"http://127.0.0.1:{closed_port()}/a")], tmp_path / "raw")
    assert slept == sorted(slept)
    assert len(slept) == 3
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("status", "phrase", "remedy"),
    [
        (403, "Forbidden", "mirror"),
        (404, "Not Found", "mirror"),
        (429, "Too Many Requests", "wait"),
        (500, "Internal Server Error", "wait"),
        (503, "Service Unavailable", "wait"),
    ],
)
def test_a_refused_file_is_one_line_and_no_retry(site, tmp_path, status, phrase, remedy):
    site.pages[f"/files/{NAME}"] = Page(b"", status)
    with pytest.raises(InputError) as caught:
        fetch([remote(site)], tmp_path / "raw")
    assert caught.value.what == f"HTTP {status} ({phrase}) from {site.url}/files/{NAME}"
    assert remedy in caught.value.remedy
    assert len(site.ranges()) == 1
    assert not (tmp_path / "raw").exists()


def test_a_refusal_leaves_the_part(site, tmp_path):
    file = remote(site)
    site.pages[f"/files/{NAME}"] = Page(b"", 503)
    begun(tmp_path, file, CONTENT[:4000])
    with pytest.raises(InputError, match=r"503 .* 4,000 bytes of .* kept"):
        fetch([file], tmp_path)
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:4000]


def test_too_little_space_is_said_before_anything_is_asked(site, tmp_path, monkeypatch):
    """5 MiB are missing, of which 1 already exists."""
    file = remote(site, content=bytes(5 * 2**20))
    begun(tmp_path, file, bytes(2**20))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=4 * 2**20 - 1))
    with pytest.raises(InputError, match=r"has 4.0 MiB free, but 4.0 MiB are missing"):
        fetch([file], tmp_path)
    assert site.asked == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=4 * 2**20))
    fetch([file], tmp_path)
    assert site.ranges() == [f"bytes={2**20}-"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on a file's size")
def test_a_full_disk_is_one_line_and_the_part_is_kept(site, tmp_path):
    """The system refuses to let a file grow beyond 1.5 MiB; once it may, the download goes on there."""
    import resource

    limit = 3 * 2**19
    content = os.urandom(2**20) * 2
    file = remote(site, content=content)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(InputError, match=r"can't write .*\.part .* 1,572,864 of 2,097,152 bytes are kept"):
            fetch([file], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / f"{NAME}.part").read_bytes() == content[:limit]
    fetch([file], tmp_path)
    assert site.ranges() == [None, f"bytes={limit}-"]
    assert (tmp_path / NAME).read_bytes() == content


def test_a_folder_in_use_is_refused(site, tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="is being written by process"):
        fetch([remote(site)], tmp_path)
    assert site.asked == []


def test_the_folder_is_locked_meanwhile(site, tmp_path):
    seen = []
    fetch([remote(site)], tmp_path, lambda done, note: seen.append(LOCK_NAME in names(tmp_path)))
    assert all(seen)
    assert names(tmp_path) == {NAME}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_serves_the_file_and_zenodo_its_checksum(site, tmp_path, slash):
    (record,) = DATASETS["pelvic"].zenodo_records
    site.record(record, site.entry("my data.zip", links={}))
    site.pages["/mirror/my%20data.zip"] = Page()
    (file,) = find_files("pelvic", f"{site.url}/mirror{slash}")
    fetch([file], tmp_path)
    assert [path for path, _ in site.asked] == [f"/api/{record}", "/mirror/my%20data.zip"]
    assert (tmp_path / "my data.zip").read_bytes() == CONTENT


def test_a_mirrors_file_must_match(site, tmp_path):
    site.record(FIRST, site.entry())
    site.pages[f"/mirror/{NAME}"] = Page(CONTENT[::-1])
    with pytest.raises(InputError, match="its record says"):
        fetch(find_files("chaos-t2", f"{site.url}/mirror"), tmp_path)
    assert names(tmp_path) == set()
