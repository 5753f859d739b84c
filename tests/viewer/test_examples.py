"""What `examples/` shows runs against a server."""

import json
import runpy
import sys
from typing import Any

import pytest

from helpers.places import REPOSITORY
from helpers.serving import TOKEN
from psmnet.io import read_labels

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture
def url(room):
    return f"{str(room.client.base_url).removesuffix('api/')}#token={TOKEN}"


def test_the_client_segments_a_scan(url, phantoms, tmp_path, monkeypatch, capsys):
    out = tmp_path / "scan02_seg.nii.gz"
    files = [phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz", phantoms / "image_2.nii.gz", out]
    monkeypatch.setattr(sys, "argv", ["client.py", url, *map(str, files)])
    left = runpy.run_path(str(EXAMPLES / "client.py"), run_name="__main__")
    left["client"].http.close()  # a script ends with its process
    assert read_labels(out).array_zyx.shape == (12, 64, 64)
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_client_is_short():
    """A thin client is what the API promises."""
    code = (EXAMPLES / "client.py").read_text(encoding="utf-8").split("class Client")[1].split("if __name__")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30


def test_the_notebook_runs_to_its_end(url, monkeypatch, capsys):
    """Cell by cell in one namespace, as a kernel does it."""
    monkeypatch.setenv("PSMNET_URL", url)
    monkeypatch.syspath_prepend(EXAMPLES)
    notebook = json.loads((EXAMPLES / "few_shot_loop.ipynb").read_text(encoding="utf-8"))
    namespace: dict[str, Any] = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
    namespace["client"].http.close()
    assert "from two" in capsys.readouterr().out.splitlines()[-1]
