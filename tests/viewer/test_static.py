"""What the package ships of the page: all of it, of nobody else's server, and not more than it says."""

import hashlib
import json
import re
from pathlib import Path

import psmnet
from helpers.places import REPOSITORY

STATIC = Path(psmnet.__file__).parent / "viewer" / "static"
OWN = sorted(path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".html"))


def test_niivue_is_the_version_that_it_says():
    told = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    (expected,) = re.findall(r"\| sha256 \| ([0-9a-f]{64}) \|", told)
    assert hashlib.sha256((STATIC / "vendor" / "niivue.js").read_bytes()).hexdigest() == expected


def test_types_are_those_of_the_niivue_that_is_shipped():
    told = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    (version,) = re.findall(r"\| version \| ([\d.]+) \|", told)
    packages = json.loads((REPOSITORY / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((REPOSITORY / "package-lock.json").read_text(encoding="utf-8"))
    assert packages["devDependencies"]["@niivue/niivue"] == version
    assert locked["packages"]["node_modules/@niivue/niivue"]["version"] == version


def test_every_script_of_the_page_has_its_types_checked():
    for path in OWN:
        assert not re.search(r"@ts-(nocheck|ignore|expect-error)", path.read_text(encoding="utf-8")), path.name
    settings = json.loads((REPOSITORY / "tsconfig.json").read_text(encoding="utf-8"))
    assert settings["compilerOptions"]["strict"]
    assert settings["include"][0] == "src/psmnet/viewer/static/*.js"


def test_the_page_names_no_other_server():
    for path in OWN:
        assert not re.search(r"[\"'`(]https?://", path.read_text(encoding="utf-8")), path.name


def test_what_the_page_links_is_there():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'(?:src|href)="/static/([^"]+)"', page)) - {"look.css"}
    imported = {name for path in OWN for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8"))}
    for name in linked | imported:
        assert (STATIC / name).is_file(), name
    assert {path.name for path in OWN if path.suffix == ".js"} <= linked | imported  # and nothing lies about


def test_the_page_has_nothing_that_its_policy_stops():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", page)
    for path in OWN:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name


def test_files_can_be_read_in_one_sitting():
    for path in OWN:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= (600 if path.suffix == ".css" else 300), path.name
