"""What keeps the tree readable: rooms import downwards, files stay short, and the ground floor stays light."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import psmnet
from helpers.places import REPOSITORY

ROOT = Path(psmnet.__file__).parent
HEAVY = ("torch", "SimpleITK", "skimage", "scipy", "pydicom", "nibabel", "pandas", "distributed")
GROUND_FLOOR = ("errors", "catalog", "config", "system")


def test_the_contracts_of_pyproject_hold(capsys):
    assert lint_imports(config_filename=str(REPOSITORY / "pyproject.toml"), no_cache=True) == 0, capsys.readouterr().out


def test_nothing_imports_in_circles(tmp_path):
    """Module by module, and room by room inside every room; imports by stubs are followed."""
    out = tmp_path / "counts.json"
    script = REPOSITORY / "benchmarks" / "architecture.py"
    subprocess.run([sys.executable, script, ROOT.parent, "--out", out], check=True, capture_output=True)
    counts = json.loads(out.read_text(encoding="utf-8"))
    assert counts["upward_imports"] == 0
    assert counts["upward_imports_inside_rooms"] == {}
    assert counts["cycles_between_rooms"] == counts["cycles_between_modules"] == []


def test_files_can_be_read_in_one_sitting():
    lines = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > 400} == {}


@pytest.mark.parametrize("name", GROUND_FLOOR)
def test_the_ground_floor_imports_nothing_heavy(name):
    code = (
        f"import sys, psmnet.{name} as room; [getattr(room, n) for n in getattr(room, '__all__', ())]; "
        f"assert not {set(HEAVY)} & set(sys.modules), sorted({set(HEAVY)} & set(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runtime_imports_torch_only():
    code = f"import sys, psmnet.runtime; assert not {set(HEAVY) - {'torch'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
