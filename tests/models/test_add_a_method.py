"""A method in a package of its own, made by the steps of docs/add-a-method.md."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from helpers.places import REPOSITORY
from psmnet.errors import ConfigError
from psmnet.models import registry
from psmnet.models.build import method_settings
from psmnet.models.weights import load_tensors, load_weights, save_tensors

PAGE = (REPOSITORY / "docs" / "add-a-method.md").read_text(encoding="utf-8")
GROUP = registry.ENTRY_POINT_GROUP
# What the page leaves to defaults is smaller here.
SMALL = {
    "train": ["--steps", "2", "--pairs", "1", "--set", "channels=16", "--set", "input_size=64"],
    "phantom": [],
    "evaluate": [],
    "segment": [],
    "report": [],
}
SCRIPT = """
import json, sys
import psmnet.data.phantom.patient as patient
from psmnet.cli.main import main
draw = patient.draw_patient
patient.draw_patient = lambda seed: draw(seed, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
for arguments in json.load(sys.stdin):
    main(arguments)
"""


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return text


def install(folder: Path, name: str, code: str, entry_points: dict[str, str]) -> None:
    """What pip leaves of a package of one module."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    information = folder / f"{name}-0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", encoding="utf-8")
    lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in entry_points.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder whose packages this process sees as installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    registry._installed.cache_clear()
    yield folder
    registry._installed.cache_clear()


def test_a_method_of_another_package_trains_scores_segments_and_is_reported(tmp_path: Path):
    folder = tmp_path / "packages"
    folder.mkdir()
    project = tomllib.loads(block("toml"))
    (module,) = project["tool"]["setuptools"]["py-modules"]
    install(folder, module, block("python"), project["project"]["entry-points"][GROUP])
    lines = [shlex.split(line)[1:] for line in block("bash").splitlines()]
    commands = [[*line, *SMALL[line[0]]] for line in lines]
    assert [line[0] for line in lines] == list(dict.fromkeys(line[0] for line in lines))  # each command once
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (check,) = (shlex.split(line) for line in PAGE.splitlines() if line.startswith(".venv/bin/python -c "))
    environment = os.environ | {"PYTHONPATH": path}
    checked = subprocess.run([sys.executable, *check[1:]], capture_output=True, text=True, env=environment, check=False)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("Euclid(")
    results = json.loads((tmp_path / "results" / "euclid.json").read_text(encoding="utf-8"))
    assert results["method"] == "euclid"
    assert results["provenance"]["model"]["sharpness"] == 1.0
    assert len(results["cases"]) > 0
    assert (tmp_path / "masks" / "image_3_seg.nii.gz").exists()
    assert "euclid" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_packages_are_imported_when_their_facts_are_read(packages: Path):
    install(packages, "broken", "1 / 0", {"odd": "broken:METHOD"})
    assert "odd" in registry.METHODS
    assert list(registry.METHODS)[-1] == "odd"
    with pytest.raises(ConfigError, match=r"method odd of broken can't be imported \(division by zero\); update"):
        registry.METHODS["odd"]


def test_what_is_no_specification_is_refused(packages: Path):
    install(packages, "misled", "METHOD = 'Euclid'", {"odd": "misled:METHOD"})
    with pytest.raises(ConfigError, match="misled:METHOD is not a MethodSpec"):
        registry.METHODS["odd"]


def test_a_broken_package_hides_no_other_method(cli, packages: Path):
    install(packages, "broken", "1 / 0", {"odd": "broken:METHOD"})
    outcome = cli("info")
    assert (outcome.code, outcome.err) == (0, "")
    assert "can't be imported: division by zero" in outcome.out
    assert "prototype splitting" in outcome.out
    assert json.loads(cli("info", "--json").out)["broken_methods"] == {"odd": "division by zero"}
    assert registry.METHODS.trained() == ["psmnet", "panet", "alpnet", "adnet", "qnet", "odd"]


def test_a_class_of_settings_that_does_not_exist(packages: Path):
    lines = [
        "from psmnet.models import MethodSpec",
        "CLASS = MethodSpec('Manhattan', '-', '-', 'slanted:ManhatanSettings')",
    ]
    lines += ["MODULE = MethodSpec('Manhattan', '-', '-', 'slantd:ManhattanSettings')"]
    install(packages, "slanted", "\n".join(lines), {"one": "slanted:CLASS", "two": "slanted:MODULE"})
    remedy = "; correct `settings` in its MethodSpec$"
    with pytest.raises(ConfigError, match=f"^method Manhattan: slanted has no class ManhatanSettings{remedy}"):
        method_settings("one", {})
    with pytest.raises(ConfigError, match=f"^method Manhattan: slantd can't be imported .*{remedy}"):
        method_settings("two", {})


def test_weights_of_a_method_that_is_not_installed(tmp_path: Path, tiny_weights: Path):
    tensors, record = load_tensors(tiny_weights)
    record["model"]["method"] = "manhattan"
    path = tmp_path / "w.safetensors"
    save_tensors(path, tensors, record)
    with pytest.raises(ConfigError, match="for the method manhattan, which is not installed; install the package"):
        load_weights(path)


def test_our_own_methods_can_not_be_replaced(packages: Path):
    install(packages, "rival", "METHOD = 'PSMNet'", {"psmnet": "rival:METHOD"})
    assert registry.METHODS["psmnet"].title == "PSMNet"
    assert list(registry.METHODS).count("psmnet") == 1
