"""Records, as a server on this machine gives them."""

import json
import re
from collections.abc import Iterator

import pytest

from helpers.web_server import FIRST, INSECURE, NAME, SECOND, Page, Site, serve
from psmnet.catalog import DATASETS
from psmnet.data.prepare import zenodo
from psmnet.data.prepare.zenodo import ZENODO_API, RemoteFile, find_files
from psmnet.errors import ConfigError, InputError
from psmnet.system import web
from psmnet.system.web import checked


@pytest.fixture(autouse=True)
def site(monkeypatch) -> Iterator[Site]:
    with serve(monkeypatch) as site:
        yield site


def test_of_a_record_the_wanted_file_is_taken(site):
    entry = site.entry()
    site.record(FIRST, site.entry("CHAOS_Test_Sets.zip"), entry)
    assert find_files("chaos-t2") == [RemoteFile(NAME, 10_240, entry["checksum"], entry["links"]["self"])]
    assert site.asked == [(f"/api/{FIRST}", None)]


def test_the_second_record_is_asked_if_the_first_lacks_the_file(site):
    site.record(FIRST, site.entry("other.zip"))
    site.record(SECOND, site.entry())
    assert [file.name for file in find_files("chaos-t2")] == [NAME]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_the_second_record_is_asked_if_the_first_is_gone(site, status):
    site.pages[f"/api/{FIRST}"] = Page(b"", status)
    site.record(SECOND, site.entry())
    assert [file.name for file in find_files("chaos-t2")] == [NAME]


def test_no_record_with_the_file_is_refused_with_what_is_there(site):
    site.record(FIRST, site.entry("a.zip"), site.entry("b\x1b[2J.zip"))
    site.pages[f"/api/{SECOND}"] = Page(b'{"title": "closed"}')
    with pytest.raises(InputError, match=NAME) as caught:
        find_files("chaos-t2")
    assert rf"{site.url}/api/{FIRST} has 'a.zip', 'b\x1b[2J.zip'" in str(caught.value)
    assert f"{site.url}/api/{SECOND} has no files" in str(caught.value)
    assert DATASETS["chaos-t2"].source in str(caught.value)


def test_without_wanted_names_all_files_of_the_record_are_taken(site):
    (record,) = DATASETS["pelvic"].zenodo_records
    site.record(record, site.entry("data.zip"), site.entry("institution.txt", b"1"))
    assert [file.name for file in find_files("pelvic")] == ["data.zip", "institution.txt"]
    site.record(record)
    with pytest.raises(InputError, match=r"no record of pelvic lists any file: .* has no files"):
        find_files("pelvic")


def test_a_redirected_record_is_followed(site):
    site.pages[f"/api/{FIRST}"] = Page(b"", 301, location=f"/api/{SECOND}")
    site.record(SECOND, site.entry())
    assert [file.name for file in find_files("chaos-t2")] == [NAME]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda files: {"entries": {file["key"]: file for file in files}},
        lambda files: {"entries": {file["key"]: {k: v for k, v in file.items() if k != "key"} for file in files}},
        lambda files: {"entries": list(files)},
    ],
)
def test_entries_of_inveniordm_are_read_too(site, wrap):
    entry = site.entry(links={"self": f"{site.url}/about", "content": f"{site.url}/files/it"})
    site.record(FIRST, entry, wrap=wrap)
    assert find_files("chaos-t2") == [RemoteFile(NAME, 10_240, entry["checksum"], f"{site.url}/files/it")]


@pytest.mark.parametrize(
    ("links", "taken"),
    [
        (("self",), "self"),
        (("self", "download"), "download"),
        (("self", "download", "content"), "content"),
    ],
)
def test_which_link_is_taken(site, links, taken):
    site.record(FIRST, site.entry(links={link: f"{site.url}/{link}" for link in links}))
    (file,) = find_files("chaos-t2")
    assert file.url == f"{site.url}/{taken}"


def test_an_address_with_a_space_is_escaped(site):
    site.record(FIRST, site.entry(links={"self": f"{site.url}/files/a b%20c.zip"}))
    (file,) = find_files("chaos-t2")
    assert file.url == f"{site.url}/files/a%20b%20c.zip"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": None}, "size"),
        ({"size": "10240"}, "size"),
        ({"size": True}, "size"),
        ({"size": -1}, "size"),
        ({"checksum": None}, "checksum"),
        ({"checksum": "0" * 32}, "checksum"),
        ({"checksum": "crc32:00000000"}, "checksum"),
        ({"checksum": "md5:" + "0" * 31}, "checksum"),
        ({"checksum": "md5:" + "g" * 32}, "checksum"),
        ({"checksum": "unknown:"}, "checksum"),
        ({"links": {}}, "address"),
        ({"links": None}, "address"),
        ({"links": {"self": 7}}, "address"),
    ],
)
def test_a_file_without_what_is_needed_is_refused(site, changes, said):
    site.record(FIRST, site.entry(**changes))
    with pytest.raises(InputError, match=said):
        find_files("chaos-t2")


def test_what_is_missing_of_other_files_does_not_matter(site):
    site.record(FIRST, {"key": "../../notes"}, site.entry())
    assert [file.name for file in find_files("chaos-t2")] == [NAME]


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[" * 100_000, b"\xff", b""])
def test_an_answer_that_is_no_json_is_refused(site, body):
    site.pages[f"/api/{FIRST}"] = Page(body)
    with pytest.raises(InputError, match="no JSON"):
        find_files("chaos-t2")


@pytest.mark.parametrize("record", [[], "text", {"files": 3}, {"files": ["a.zip"]}, {"files": {"entries": {"a": 1}}}])
def test_json_that_is_no_record_is_refused(site, record):
    site.pages[f"/api/{FIRST}"] = Page(json.dumps(record).encode())
    with pytest.raises(InputError, match="no list of files"):
        find_files("chaos-t2")


def test_an_endless_record_is_not_read_to_its_end(site, monkeypatch):
    monkeypatch.setattr(zenodo, "RECORD_LIMIT", 1000)
    monkeypatch.setattr(web, "BLOCK", 100)
    site.pages[f"/api/{FIRST}"] = Page(b" " * 2000 + b'{"files": []}', announce=False)
    with pytest.raises(InputError, match="no JSON"):
        find_files("chaos-t2")


@pytest.mark.parametrize(
    "name",
    [
        "a/b.zip",
        "/etc/passwd",
        "..",
        "../b.zip",
        "a..zip",
        r"a\b.zip",
        r"..\b.zip",
        "C:b.zip",
        "b.zip:stream",
        "a\nb.zip",
        "a\x00.zip",
        "a\x1b[2J.zip",
        "piz.\u202ea",  # turns the line around
        "\ud800.zip",  # no text
        "",
        ".",
        ".psmnet.lock",
        " a.zip",
        "a.zip.",
        "NUL",
        "con.zip",
        "a.zip.part",
        "a.zip.part.json",
        "a" * 201,
    ],
)
def test_a_name_that_is_no_plain_file_name_is_refused(site, name):
    site.record(DATASETS["pelvic"].zenodo_records[0], site.entry("fine.zip"), {**site.entry("x"), "key": name})
    with pytest.raises(InputError, match="no plain file name"):
        find_files("pelvic")


@pytest.mark.parametrize("name", ["a.zip", "T2 images (2022).tar.gz", "größe.txt", "part", "console.zip", "a" * 200])
def test_a_plain_file_name_is_taken(site, name):
    site.record(DATASETS["pelvic"].zenodo_records[0], {**site.entry("x"), "key": name})
    assert [file.name for file in find_files("pelvic")] == [name]


def test_names_that_differ_in_case_alone_are_refused(site):
    site.record(DATASETS["pelvic"].zenodo_records[0], site.entry("Data.zip"), site.entry("data.zip"))
    with pytest.raises(InputError, match="lists a name twice"):
        find_files("pelvic")


@pytest.mark.parametrize("url", INSECURE)
def test_an_address_without_https_in_a_record_is_refused(site, url):
    site.record(FIRST, site.entry(links={"self": url}))
    with pytest.raises(InputError, match=re.escape(f"(named by {site.url}/api/{FIRST}) is not an https address")):
        find_files("chaos-t2")


def test_zenodo_is_asked_over_https():
    assert ZENODO_API == "https://zenodo.org/api/records"
    assert checked(ZENODO_API, came_from="https://zenodo.org") == ZENODO_API


@pytest.mark.parametrize(("status", "phrase"), [(429, "Too Many Requests"), (502, "Bad Gateway")])
def test_a_refused_record_is_one_line_and_no_other_is_asked(site, status, phrase):
    site.pages[f"/api/{FIRST}"] = Page(b"", status)
    with pytest.raises(InputError, match="wait") as caught:
        find_files("chaos-t2")
    assert caught.value.what == f"HTTP {status} ({phrase}) from {site.url}/api/{FIRST}"
    assert len(site.asked) == 1


def test_records_that_are_all_gone_are_said_with_status_and_address(site):
    with pytest.raises(InputError) as caught:
        find_files("chaos-t2")
    for record in (FIRST, SECOND):
        assert f"HTTP 404 (Not Found) from {site.url}/api/{record}" in caught.value.what


def test_a_record_that_breaks_off_is_one_line(site):
    site.record(FIRST, site.entry())
    site.pages[f"/api/{FIRST}"].cuts = [20]
    with pytest.raises(InputError, match=r"the connection to .* broke; check the network"):
        find_files("chaos-t2")


@pytest.mark.parametrize("url", INSECURE)
def test_a_mirror_without_https_is_refused_before_zenodo_is_asked(site, url):
    with pytest.raises(ConfigError, match=r"mirror .* is not an https address"):
        find_files("chaos-t2", url)
    assert site.asked == []


def test_every_data_set_is_free_or_says_how_to_get_it():
    for name, facts in DATASETS.items():
        assert facts.zenodo_records or facts.access or name in ("phantom", "folder")
