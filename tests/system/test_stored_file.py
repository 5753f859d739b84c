import json
import math
from typing import ClassVar

import pytest
from pydantic import Field

from psmnet.errors import InputError
from psmnet.system.stored_file import StoredFile, StoredPart


class Part(StoredPart):
    values: list[float | None] = Field(default_factory=list)


class Example(StoredFile):
    SCHEMA: ClassVar[str] = "example-1"
    REMEDY: ClassVar[str] = "make it again"

    name: str
    parts: dict[int, Part] = Field(default_factory=dict)
    sizes: tuple[int, ...] = ()


def test_it_reads_as_it_was_written(tmp_path):
    path = tmp_path / "example.json"
    example = Example(name="Müller\udcff", parts={3: Part(values=[0.1, None])}, sizes=(1, 2))
    example.write(path)
    assert Example.read(path) == example.model_copy(update={"name": "Müller\udcff"})
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["schema", "name", "parts", "sizes"]
    assert [found.name for found in tmp_path.iterdir()] == ["example.json"]


def test_nan_and_infinity_survive(tmp_path):
    path = tmp_path / "example.json"
    Example(name="x", parts={1: Part(values=[math.nan, math.inf, -math.inf, None])}).write(path)
    nan, *others = Example.read(path).parts[1].values
    assert math.isnan(nan)
    assert others == [math.inf, -math.inf, None]


def test_fields_of_a_newer_version_are_ignored(tmp_path):
    path = tmp_path / "example.json"
    path.write_text('{"schema": "example-1", "name": "x", "new": 1, "parts": {"1": {"values": [], "new": 2}}}')
    assert Example.read(path) == Example(name="x", parts={1: Part()})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"name": "x", "schema": "example-2"}', "example.json has schema 'example-2', not example-1; make it again"),
        ("[]", "example.json has schema None, not example-1"),
        ('{"schema": "example-1"}', r"damaged \(name: Field required\)"),
        ('{"schema": "example-1", "name": "x", "parts": {"1": {"values": ["a"]}}}', r"damaged \(parts.1.values.0: "),
        ("{", "example.json is not JSON"),
    ],
)
def test_what_is_damaged_is_told(tmp_path, content, message):
    path = tmp_path / "example.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        Example.read(path)
    assert Example.find(path) is None
    assert Example.find(tmp_path / "nowhere.json") is None
