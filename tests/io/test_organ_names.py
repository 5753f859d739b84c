from pathlib import Path

import pytest

from psmnet.errors import InputError
from psmnet.io.organ_names import OrganName, read_names

LIVER, SPLEEN = OrganName("liver"), OrganName("spleen")
SNAP = """
################################################
# ITK-SnAP Label Description File
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "liver"
    7     0  255    0        1  1  1    "left kidney"
"""
SLICER = """# Color table file abdomen.ctbl
# 3 values
0 Background 0 0 0 0
1 liver 221 130 101 255
7 left_kidney 185 102 83 255
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"4": "spleen", "1": "liver"}', {1: LIVER, 4: SPLEEN}),
        ("a.json", '{"1": {"name": "liver", "snomed": "10200004"}}', {1: OrganName("liver", "10200004")}),
        ("a.json", '{"1": {"name": "liver", "snomed": 10200004}}', {1: OrganName("liver", "10200004")}),
        ("a.json", '{"background": 0, "liver": 1, "spleen": 4}', {1: LIVER, 4: SPLEEN}),
        ("a.csv", "1,liver\n4,spleen\n", {1: LIVER, 4: SPLEEN}),
        ("a.csv", "value;name;code\n1;liver;\n4;spleen;\n", {1: LIVER, 4: SPLEEN}),
        ("a.tsv", "1\tliver\n4\tspleen\n", {1: LIVER, 4: SPLEEN}),
        ("a.csv", "\ufeffValue,Name,Code\n1, liver ,10200004\n", {1: OrganName("liver", "10200004")}),
        ("a.csv", '1,"kidney, left"\n', {1: OrganName("kidney, left")}),
        ("a.txt", SNAP, {1: LIVER, 7: OrganName("left kidney")}),
        ("a.ctbl", SLICER, {1: LIVER, 7: OrganName("left kidney")}),
        ("a.csv", "1,Leber\n2,Nebenniere rechts äöü\n", {1: OrganName("Leber"), 2: OrganName("Nebenniere rechts äöü")}),
    ],
)
def test_tables_people_have(tmp_path, name, text, expected):
    found = read_names(written(tmp_path, name, text))
    assert found == expected
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "holds a list"),
        ("a.json", '{"1": 2}', "value 1 has 2"),
        ("a.json", '{"one": "liver"}', "value 'one' with name 'liver'"),
        ("a.json", '{"1": "liver", "1": "spleen"}', "has '1' twice"),
        ("a.json", '{"1": "liver", "01": "spleen"}', "has value 1 twice"),
        ("a.json", '{"1": "liver", "2": "Liver"}', "has two values of the name liver"),
        ("a.json", '{"1": " "}', "value '1' with name ' '"),
        ("a.json", "{}", "has no label values"),
        ("a.csv", "", "has no label values"),
        ("a.csv", "0,background\n", "has no label values"),
        ("a.csv", "1.5,liver\n", "value '1.5'"),
        ("a.txt", "liver spleen\n", "is not a table of names"),
        ("a.txt", '1 "liver\n', "is not a table of names: No closing quotation"),
    ],
)
def test_tables_that_can_not_be(tmp_path, name, text, message):
    with pytest.raises(InputError) as caught:
        read_names(written(tmp_path, name, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1,\xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_names(tmp_path / "a.csv")
    with pytest.raises(InputError, match="can't read"):
        read_names(tmp_path / "gone.csv")
    (tmp_path / "huge.csv").write_bytes(b"1,a\n" * 300_000)
    with pytest.raises(InputError, match="more than a table of names has"):
        read_names(tmp_path / "huge.csv")
