import inspect
import subprocess
import sys

import pytest

import psmnet


def test_names_are_those_that_have_a_home():
    assert psmnet.__all__ == sorted(psmnet._HOME)
    assert dir(psmnet) == psmnet.__all__


@pytest.mark.parametrize("name", psmnet.__all__)
def test_every_name_is_there_and_documented(name):
    found = getattr(psmnet, name)
    assert found.__module__ == psmnet._HOME[name] or found.__module__.startswith(f"{psmnet._HOME[name]}.")
    assert inspect.getdoc(found)
    if inspect.isclass(found):
        methods = inspect.getmembers(found, lambda member: inspect.isfunction(member) or inspect.ismethod(member))
        undocumented = [key for key, member in methods if not key.startswith("_") and not inspect.getdoc(member)]
        assert not undocumented


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'segment_everything'"):
        _ = psmnet.segment_everything  # type: ignore[attr-defined]


def test_importing_psmnet_is_quick():
    code = "import sys, psmnet; assert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
