"""Errors carry a code, and every place that prints them words the remedy its own way."""

import ast
import functools
import importlib
import pickle
import re
from pathlib import Path

import pytest

import psmnet
from psmnet.cli.hints import HINTS
from psmnet.cli.main import COMMANDS
from psmnet.errors import InputError, LeakageError
from psmnet.viewer.words import WORDS

ROOT = Path(psmnet.__file__).parent
LIBRARY = sorted(path for path in ROOT.rglob("*.py") if "cli" not in path.relative_to(ROOT).parts)


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
CSS_PROPERTY = re.compile(r"var\(--[a-z]+\)|--[a-z]+: (?=#)")  # var(--line); --line: #fff
OTHER_PROGRAMS = {"--always", "--abbrev", "--dirty", "--exclude"}  # git's


@functools.cache
def options_of_all_commands() -> frozenset[str]:
    commands = [importlib.import_module(f"psmnet.cli.{name}").command for name in COMMANDS]
    options = {option for command in commands for parameter in command.params for option in parameter.opts}
    return frozenset(option for option in options if option.startswith("--"))


def codes(path: Path) -> set[str]:
    """Codes that a file gives its errors."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
            found.add(node.value.value)
    return found


def test_an_error_keeps_code_and_values_across_processes():
    error = pickle.loads(pickle.dumps(LeakageError("case 8 was seen", "use other weights", code="seen", case="8")))
    assert (type(error), error.code, error.values) == (LeakageError, "seen", {"case": "8"})
    assert str(error) == "case 8 was seen; use other weights"


def test_a_remedy_is_worded_by_whoever_prints_it():
    error = InputError("mask.nii.gz already exists", "choose another name", code="exists", option="x")
    assert error.worded({"exists": "add --overwrite ({option})"}) == "mask.nii.gz already exists; add --overwrite (x)"
    assert error.worded({}) == "mask.nii.gz already exists; choose another name"


def test_every_code_is_worded_and_every_wording_has_its_code():
    given = set().union(*map(codes, LIBRARY))
    assert set(HINTS) <= given
    assert given <= set(HINTS) | set(WORDS)


def test_the_viewers_words_are_those_that_the_library_needs():
    assert set(WORDS) <= set().union(*map(codes, LIBRARY))


def test_hints_name_options_that_there_are():
    named = {option for hint in HINTS.values() for option in OPTION.findall(hint)}
    assert named
    assert not named - options_of_all_commands()


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_names_no_command_line_options(path):
    """In no string at all, docstrings included; in its own code it may use those of other programs."""
    ours = options_of_all_commands()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = set(OPTION.findall(CSS_PROPERTY.sub("", node.value)))
            assert not named & ours, f"line {node.lineno}: {node.value}"
            assert not named - OTHER_PROGRAMS, f"line {node.lineno}: {node.value}"
