"""psmnet download, against a server on this machine."""

from collections.abc import Iterator
from typing import Any

import pytest

from helpers.web_server import CONTENT, FIRST, NAME, Page, Site, closed_port, serve
from psmnet.catalog import DATASETS
from psmnet.data.prepare import zenodo
from psmnet.data.prepare.zenodo import find_files
from psmnet.errors import ConfigError


@pytest.fixture(autouse=True)
def site(monkeypatch) -> Iterator[Site]:
    with serve(monkeypatch) as site:
        yield site


def only_line(outcome: Any) -> str:
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("psmnet: ")
    return line


def test_no_network_is_one_line(monkeypatch, cli, tmp_path):
    api = f"http://127.0.0.1:{closed_port()}/api"
    monkeypatch.setattr(zenodo, "ZENODO_API", api)
    line = only_line(cli("download", "chaos-t2", tmp_path / "raw"))
    assert line.startswith(f"psmnet: no answer from {api}/{FIRST} (")
    assert line.endswith("check the network, then run the command again")
    assert not (tmp_path / "raw").exists()


def test_the_command_fetches_and_says_what_comes_next(site, cli, tmp_path):
    site.record(FIRST, site.entry())
    folder = tmp_path / "my raw data"
    facts = DATASETS["chaos-t2"]
    for said in ("", ": already here, checksum is right"):
        outcome = cli("download", "chaos-t2", folder)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.splitlines() == [
            f"{facts.title}: 1 file, 10,240 bytes",
            f"{folder / NAME} (10,240 bytes){said}",
            f"source: {facts.source}",
            f"licence: {facts.licence}",
            f"please cite: {facts.citation}",
            f"then: psmnet prepare chaos-t2 '{folder}' OUT",
        ]
    assert len(site.ranges()) == 1


def test_the_command_takes_a_mirror(site, cli, tmp_path):
    site.record(FIRST, site.entry())
    site.pages[f"/mirror/{NAME}"] = Page()
    assert cli("download", "chaos-t2", tmp_path, "--mirror", f"{site.url}/mirror").code == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert site.ranges() == []


def test_the_command_turns_errors_into_one_line(site, cli, tmp_path):
    site.record(FIRST, site.entry())
    site.pages[f"/files/{NAME}"] = Page(CONTENT[::-1])
    assert "it was deleted" in only_line(cli("download", "chaos-t2", tmp_path))
    (tmp_path / "file").touch()
    assert "is a file; give a folder" in only_line(cli("download", "chaos-t2", tmp_path / "file"))


@pytest.mark.parametrize("name", ["sabs", "cmr"])
def test_where_one_must_register_the_way_is_printed(site, cli, tmp_path, name):
    facts, folder = DATASETS[name], tmp_path / "raw"
    outcome = cli("download", name, folder)
    assert (outcome.code, outcome.err) == (0, "")
    for said in (facts.access, facts.licence, facts.raw_layout, f"psmnet prepare {name} {folder} OUT"):
        assert said in outcome.out
    assert not folder.exists()
    assert site.asked == []
    assert "--mirror" in only_line(cli("download", name, folder, "--mirror", site.url))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("phantom", "psmnet phantom DIR"),
        ("folder", "psmnet prepare folder DIR OUT"),
        ("nonsense", "unknown data set 'nonsense'"),
    ],
)
def test_what_is_no_download_is_refused(site, cli, tmp_path, name, said):
    assert said in only_line(cli("download", name, tmp_path / "raw"))
    assert site.asked == []
    with pytest.raises(ConfigError):
        find_files(name)
