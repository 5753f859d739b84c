"""Imports go down only (CONTRIBUTING.md has the floors)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import psmnet
from helpers.places import REPOSITORY

ROOT = Path(psmnet.__file__).parent
FLOORS = (
    {"errors", "catalog", "config", "runtime", "files", "lock", "parallel", "isolated", "web", "zenodo"},
    {"volume", "geometry", "resample", "io", "types"},
    {"data", "models"},
    {
        "segmentation",
        "benchmark",
        "shape",
        "prepare",
        "check",
        "run",
        "training",
        "distributed",
        "evaluation",
        "predictors",
        "inference",
        "pixels",
        "protocols",
        "metrics",
        "checkpoint",
        "download",
    },
    {"adaptation", "report", "cohort", "viewer", "export"},
    {"cli"},
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
BLIND = {"data": "models", "models": "data"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")  # the door names all rooms


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_rooms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and room of every import from psmnet, wherever it stands in the file."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "psmnet" and rest:
                yield node.lineno, rest[0]


def module_level_packages(tree: ast.Module) -> set[str]:
    """Packages that importing the file imports; `if TYPE_CHECKING` does not run."""
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def test_every_module_has_a_floor():
    assert {room(path) for path in MODULES} <= set(FLOOR)


def test_contributing_has_the_same_floors():
    rows = re.findall(r"\|\s*(\d)\s*\|(.*)\|", (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    present = {room(path) for path in MODULES}
    assert len(rows) == len(FLOORS)
    for floor, text in rows:
        listed = {name.strip("/") for name in re.findall(r"`([^`]+)`", text)}
        assert listed & present == FLOORS[int(floor)] & present, f"floor {floor}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    own = room(path)
    for line, other in imported_rooms(ast.parse(path.read_text(encoding="utf-8"))):
        assert other in FLOOR, f"line {line}: psmnet.{other} has no floor"
        assert FLOOR[other] <= FLOOR[own], f"line {line}: {own} imports {other}, which is above it"
        assert BLIND.get(own) != other, f"line {line}: {own} and {other} are blind to each other"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_ground_floor_is_free_of_heavy_packages(path):
    if FLOOR[room(path)] == 0:
        packages = module_level_packages(ast.parse(path.read_text(encoding="utf-8")))
        assert not packages & {"torch", "SimpleITK", "skimage", "scipy", "lightning", "monai"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
