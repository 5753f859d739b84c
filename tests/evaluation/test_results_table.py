"""Tables of records: what is written is read back as it was, and what is wrong with a table is named."""

import gzip

import pytest

from helpers.results_maker import record, results, write_results
from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_reader import find_results, parse_results
from psmnet.evaluation.results_table import NOT_MEASURED, read_table, table_text, write_table

DICE = {"3": {"liver": 0.1 + 0.2, "spleen": None}, "4": {"liver": 0.0, "spleen": 0.75}}


def parsed(name="a.json", **options):
    return parse_results(results(DICE, **options), name, name, "ab" * 32)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", ["records.csv", "records.csv.gz"])
def test_what_is_written_is_read_back_as_it_was(tmp_path, name):
    files = [
        parsed(supports=("10", "9"), seed=3, variant="grid=0", trained={"precision": "bfloat16", "init": "cd" * 32}),
        parsed("b.json", method="registration", free=True, legacy=["extra-slice"], postprocess="fill holes"),
        parsed("c.json", provenance={"allow_seen": True, "seen_in_training": ["3"], "own_support": False}),
    ]
    write_table(tmp_path / name, files)
    again = read_table(tmp_path / name)
    assert again == [file.model_copy(update={"path": None}) for file in files]
    assert again[0].records[0].values["dice"] == 0.1 + 0.2  # to the bit


def test_a_row_is_one_organ_of_one_scan_with_what_made_it(tmp_path):
    write_table(tmp_path / "t.csv", [parsed(seed=3)])
    header, first, second, *others = (line.split(",") for line in lines(tmp_path / "t.csv"))
    row = dict(zip(header, first, strict=False))
    assert [row[name] for name in ("source", "method", "dataset", "fold", "seed")] == [
        "a.json",
        "psmnet",
        "chaos-t2",
        "0",
        "3",
    ]
    assert [row[-len(METRICS) - 4] for row in (first, second, *others)] == ["liver", "spleen"] * 2


def test_the_same_results_give_the_same_bytes(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(tmp_path / name, [parsed()])
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


@pytest.mark.parametrize("name", ["=cmd()", "'quoted", "-1", "a,b", 'say "x"', "organ of Ünal"])
def test_names_are_read_back_and_no_spreadsheet_runs_them(tmp_path, name):
    file = parse_results(results({name: {name: 0.5}}), "a.json", "a.json", "")
    write_table(tmp_path / "t.csv", [file])
    (again,) = read_table(tmp_path / "t.csv")
    assert (again.records[0].case, again.records[0].organ) == (name, name)
    assert not [cell for line in lines(tmp_path / "t.csv") for cell in line.split(",") if cell.startswith("=")]


def test_an_older_table_without_a_metric_and_a_newer_one_with_more_columns(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, [parsed()])
    *others, last = METRICS
    header, *rows = lines(path)
    assert header.endswith(f",{last}")
    old = "\n".join(line.rsplit(",", 1)[0] for line in (header, *rows))
    path.write_text(old + "\n", encoding="utf-8")
    (file,) = read_table(path)
    assert {tuple(record.values) for record in file.records} == {tuple(others)}
    path.write_text("\n".join([f"{header},colour", *(f"{row},red" for row in rows)]), encoding="utf-8")
    assert read_table(path)[0].records == parsed().records


def test_a_metric_that_a_file_lacks_is_not_taken_for_undefined(tmp_path):
    content = results(DICE)
    for case in content["cases"]:
        del case["nsd_2mm"]
    files = [parsed(), parse_results(content, "old.json", "old.json", "")]
    write_table(tmp_path / "t.csv", files)
    assert lines(tmp_path / "t.csv")[-1].endswith(f",{NOT_MEASURED}")
    assert [file.records for file in read_table(tmp_path / "t.csv")] == [file.records for file in files]


def test_tables_and_folders_are_read_together(tmp_path):
    folder = tmp_path / "in"
    write_results(folder / "fold0.json", DICE)
    write_table(tmp_path / "t.csv", find_results([folder])[0])
    write_results(folder / "fold1.json", DICE, fold=1)
    files, others = find_results([tmp_path / "t.csv", folder, tmp_path / "t.csv"])
    assert ([file.source for file in files], others) == (["fold0.json", "[2] fold0.json", "fold1.json"], 0)


def test_what_is_no_table_of_records(tmp_path):
    path = tmp_path / "t.csv"
    for content, message in {
        "": "no column source",
        "a,b\n1,2\n": "no column source",
        table_text([]): "has no records",
        table_text([parsed()]) + "only,three,cells\n": "line 6 has another number of columns",
        table_text([parsed()]).replace(",0.75,", ",75,", 1): "line 5: dice is 75.0",
        table_text([parsed()]).replace(",0.75,", ",much,", 1): "line 5: dice is 'much'",
        table_text([parsed()]).replace("ep1", "ep7"): "line 2: protocol is 'ep7'",
        table_text([parsed()]).replace(",chaos-t2,ep1", ",,ep1"): "line 2: dataset is missing",
        table_text([parsed()]).replace(",ouyang,,0,", ",ouyang,,x,"): "line 2: fold is 'x'",
    }.items():
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message) as caught:
            read_table(path)
        assert str(path) in str(caught.value)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"source")[:-4])
    with pytest.raises(InputError, match="can't read"):
        read_table(tmp_path / "t.csv.gz")


def test_two_rows_of_one_organ_and_scan_are_an_error(tmp_path):
    text = table_text([parsed()])
    (tmp_path / "t.csv").write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="two records of spleen in case 4"):
        read_table(tmp_path / "t.csv")


def test_results_of_before_name_their_other_supports_in_the_files_name():
    assert parsed("a/fold0_seed0.json").own_support
    assert not parsed("a/fold0_seed0_support13.json").own_support
    assert not parsed("a/fold0_seed0.json", provenance={"own_support": False}).own_support


def test_names_of_settings_from_before_are_read_as_todays():
    file = parsed(variant="position_in_use=0.5,grid=4", provenance={"model": {"position_in_use": 0.5, "in_used": 1}})
    assert file.variant == "position_at_inference=0.5,grid=4"
    assert file.model == {"position_at_inference": 0.5, "in_used": 1}


def test_a_record_says_what_is_undefined():
    file = parse_results({**results(DICE), "cases": [record("1", "liver", 0.0)]}, "a.json", "a.json", "")
    assert file.records[0].values["hd95_mm"] is None
    assert file.records[0].empty_prediction
