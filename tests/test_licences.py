"""What is installed beside psmnet: pinned, and free of the GPL."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

from helpers.places import REPOSITORY

PINS = [line for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
PINNED = dict(line.split("==") for line in PINS)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stated_licence(found: Distribution) -> str:
    """What a distribution says of its licence: the expression, else the classifiers, else the first line of text."""
    metadata = found.metadata
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    text = (metadata.get("License") or "").strip()
    return metadata.get("License-Expression") or "; ".join(classifiers) or text.partition("\n")[0]


def forbidden(licence: str) -> bool:
    """Whether a licence is of the GPL family. Its exception for the compiler's runtime library binds nobody."""
    licence = re.sub(r"GPL-3\.0(-or-later)? WITH GCC-exception-3\.1|GPL-3\.0-with-GCC-exception", "", licence)
    return bool(re.search(r"GPL|General Public License", licence))


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("Apache-2.0", False),
        ("MPL-2.0", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("GPL-3.0-or-later", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("LGPL-2.1", True),
        ("AGPL-3.0", True),
    ],
)
def test_the_rule_itself(licence, refused):
    assert forbidden(licence) is refused


@pytest.mark.parametrize("name", PINNED)
def test_no_gpl_in_the_locked_set(name):
    try:
        found = distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    licence = stated_licence(found)
    assert licence, f"{name} states no licence"
    assert not forbidden(licence), f"{name}: {licence}"


@pytest.mark.parametrize("line", PINS)
def test_pins_are_exact_and_of_no_machine(line):
    """A local tag (torch==2.13.0+cpu) can't be installed elsewhere."""
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)


def dependencies() -> list[Requirement]:
    """Of the project, with all its extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in (*project["dependencies"], *(text for extra in extras for text in extra))]


def test_every_dependency_is_pinned():
    assert {canonical(needed.name) for needed in dependencies()} <= set(map(canonical, PINNED))
    assert "torch==2.13.0" in PINS


def test_every_pin_is_needed():
    """By the project, or by a package that it needs; those of other systems are not installed here."""
    needed, waiting = set(), dependencies()
    while waiting:
        one = waiting.pop()
        key = (canonical(one.name), frozenset(one.extras))
        if key in needed:
            continue
        needed.add(key)
        try:
            texts = distribution(one.name).requires or []
        except PackageNotFoundError:
            continue
        environments = [{"extra": extra} for extra in ("", *one.extras)]
        found = [Requirement(text) for text in texts]
        waiting += [r for r in found if r.marker is None or any(map(r.marker.evaluate, environments))]
    names = {name for name, _ in needed}
    assert [name for name in PINNED if is_installed(name) and canonical(name) not in names] == []


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def test_pins_have_one_line_each():
    assert len(set(map(canonical, PINNED))) == len(PINS)
