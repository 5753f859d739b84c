import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import psmnet


def test_public_names_are_the_stubs():
    stub = ast.parse(Path(psmnet.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    listed = next(ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(psmnet.__all__) == sorted(listed)
    assert sorted(dir(psmnet)) == sorted(listed)


def test_every_room_offers_what_its_stub_says():
    for stub in Path(psmnet.__file__).parent.rglob("__init__.pyi"):
        room = import_module(".".join(("psmnet", *stub.parent.relative_to(Path(psmnet.__file__).parent).parts)))
        listed = next(ast.literal_eval(n.value) for n in ast.parse(stub.read_text()).body if isinstance(n, ast.Assign))
        assert sorted(listed) == sorted(room.__all__)
        for name in listed:
            found = getattr(room, name)
            assert not inspect.ismodule(found), f"{room.__name__}.{name} is a module"


def test_importing_data_leaves_torch_out():
    code = (
        "import sys, psmnet.data as data; [getattr(data, n) for n in data.__all__]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", psmnet.__all__)
def test_every_name_is_there_and_documented(name):
    found = getattr(psmnet, name)
    assert inspect.getdoc(found)
    if inspect.isclass(found):
        methods = inspect.getmembers(found, lambda member: inspect.isfunction(member) or inspect.ismethod(member))
        undocumented = [key for key, member in methods if not key.startswith("_") and not inspect.getdoc(member)]
        assert not undocumented


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="attribute segment_everything"):
        _ = psmnet.segment_everything  # type: ignore[attr-defined]


def test_importing_psmnet_is_quick():
    code = "import sys, psmnet; assert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
