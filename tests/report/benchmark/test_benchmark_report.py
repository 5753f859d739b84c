"""The benchmark report: tables, files, page and pictures from results files whose figures are chosen."""

import csv
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.places import REPOSITORY
from helpers.results_maker import results, write_results
from psmnet.catalog import PROTOCOLS
from psmnet.data.store import find_cases
from psmnet.errors import InputError
from psmnet.evaluation.bench.gather import gather_tables
from psmnet.evaluation.results_reader import find_results, parse_results
from psmnet.evaluation.results_schema import mask_path, masks_folder
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.report.benchmark.charts import Line, box_plot, lower_bound, scatter
from psmnet.report.benchmark.pictures import draw_scans
from psmnet.report.benchmark.report import NAMES, write_benchmark
from psmnet.report.benchmark.words import compare, metric_table, pair_sentences, pair_table, sentences, title
from psmnet.report.overlay import PALETTE
from psmnet.system.files import sha256_of

TITLE = "chaos-t2, EP1, Setting 1, 1,000 steps on chaos-t2 superpixels"
SCRIPT, FORMULA, TEX = "<script>alert(1)</script>", "=cmd()", "a_b & 50%"


def file(dice, name="a.json", **options):
    return parse_results(results(dice, **options), name, name, "")


def table(*files):
    (found,), _ = gather_tables(files)
    return found


def section(*files, against="psmnet", folds=None):
    found = table(*files)
    return compare(1, found, found.row(against), folds)


def written(folder, *files, **options):
    sections, _ = write_benchmark(files, folder, **options)
    assert {path.name for path in folder.iterdir()} == set(NAMES)
    return sections, {name: (folder / name).read_text(encoding="utf-8") for name in NAMES}


class Page(HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data + "\n"


# ---- words -----------------------------------------------------------------------------------------------------


def test_figures_of_a_table():
    """Liver: 0.2 and 0.6, mean 0.4, each 0.2 from it; spleen: 0.5 in one of the two scans."""
    own = file({"1": {"liver": 0.2, "spleen": 0.5}, "2": {"liver": 0.6, "spleen": None}})
    shown = metric_table(table(own), "dice")
    assert shown.columns == ["method", "liver", "spleen", "mean of organs", "scans", "absent", "empty"]
    assert shown.rows == [["psmnet", "0.400 ± 0.200", "0.500 ± - (1)", "0.450", "2", "1", "0"]]


def test_the_best_of_each_organ_is_stressed():
    one = file({"1": {"liver": 0.9, "spleen": 0.5}})
    other = file({"1": {"liver": 0.8, "spleen": 0.5}}, "b.json", method="panet")
    shown = metric_table(table(one, other), "dice")
    assert [row[0] for row in shown.rows] == ["psmnet", "panet"]
    assert set(shown.strong) == {(0, 1), (0, 2), (1, 2), (0, 3)}  # spleen is a tie


def test_distances_are_stressed_only_where_none_was_left_out():
    """panet predicts no spleen: no distance, and the smaller mean that comes of it is no merit."""
    one = file({"1": {"liver": 0.9, "spleen": 0.5}, "2": {"liver": 0.9, "spleen": 0.5}})
    other = file({"1": {"liver": 0.8, "spleen": 0.9}, "2": {"liver": 0.8, "spleen": 0.0}}, "b.json", method="panet")
    shown = metric_table(table(one, other), "hd95_mm")  # 40 (1 - Dice)
    assert shown.columns[-2:] == ["mean of organs", "left out"]
    assert shown.rows == [
        ["psmnet", "4.0 ± 0.0", "20.0 ± 0.0", "12.0", "0"],
        ["panet", "8.0 ± 0.0", "4.0 ± - (1)", "6.0", "1"],
    ]
    assert set(shown.strong) == {(0, 1)}


def test_a_row_that_lacks_a_fold_is_marked_and_never_the_best():
    whole = [file({str(fold): {"liver": 0.5}}, f"{fold}.json", fold=fold) for fold in range(3)]
    part = file({"0": {"liver": 1.0}}, "p.json", method="panet")
    shown = metric_table(table(*whole, part), "dice")
    assert shown.rows[1][:3] == ["panet †", "1.000 ± -", "1.000†"]
    assert not shown.strong  # a best of one is none


def test_conditions_are_said():
    said = " ".join(sentences(section(file({"1": {"liver": 0.5}}, legacy=["extra-slice"], postprocess="fill holes"))))
    assert said == (
        "Fold 0 (ouyang). Trained on chaos-t2 superpixels for 1,000 steps. Post-processing: fill holes. "
        "Known bugs reproduced: extra-slice. Means are over query scans of all folds."
    )


def test_titles_say_what_is_unusual():
    odd = {"setting": 2, "group": "upper", "setting2": "all", "folds": "adnet", "postprocess": "fill holes"}
    shown = table(file({"1": {"liver": 0.5}}, protocol="ep1-labelled", legacy=["extra-slice"], **odd))
    assert title(shown) == (
        "chaos-t2, EP1-labelled, Setting 2 (upper), rule all, folds adnet, post-processing fill holes, "
        "with extra-slice, 1,000 steps on chaos-t2 superpixels, 1 shot"
    )
    free = table(file({"1": {"liver": 0.5}}, method="registration", free=True, supports=("s", "t")))
    assert title(free) == "chaos-t2, EP1, Setting 1, no training, 2 shots"


def test_averaging_over_seeds_and_supports_is_said():
    files = [file({"1": {"liver": 0.5}}, f"{n}.json", seed=n % 2, supports=("st"[n // 2],)) for n in range(4)]
    said = " ".join(sentences(section(*files)))
    assert "Each scan's value is first averaged over 2 seeds and up to 2 supports. Means are over query scans" in said


def test_one_method_alone_was_not_trained():
    own = file({"1": {"liver": 0.5}}, method="registration", free=True)
    assert "No method here was trained." in sentences(section(own, against="registration"))
    both = section(own, file({"1": {"liver": 0.5}}, "b.json"))
    assert "Without training: registration." in sentences(both)


def test_the_comparison_is_over_what_both_have():
    """Fold 0: 0.1 better in each of two scans; fold 1, which panet lacks, does not count."""
    own = [
        file({"1": {"liver": 0.5}, "2": {"liver": 0.6}}),
        file({"3": {"liver": 0.9}}, "b.json", fold=1),
    ]
    other = file({"1": {"liver": 0.6}, "2": {"liver": 0.7}}, "c.json", method="panet")
    shown = section(*own, other)
    pairs = pair_table(shown)
    assert pairs.columns[1] == "method \N{MINUS SIGN} psmnet (+: method better)"
    # Two of two in favour: 2 of 4 signs are as extreme.
    assert pairs.rows == [["panet †", "+0.100", "+0.100 to +0.100", "0.5000", "exact", "2", "1"]]
    assert pair_sentences(shown)[1:] == [
        "With 2 scans no p below 0.5 is possible.",
        "With 2 scans interval and test mean little.",
    ]


def test_few_scans_are_told_up_to_four():
    def told(scans):
        dice = {str(n): {"liver": n / 10} for n in range(scans)}
        return " ".join(pair_sentences(section(file(dice), file(dice, "b.json", method="panet"))))

    assert "With 1 scan interval and test mean little." in told(1)
    assert "With 4 scans interval and test mean little." in told(4)
    assert "mean little" not in told(5)


def test_negative_differences_have_a_real_minus():
    shown = section(file({"1": {"liver": 0.6}}), file({"1": {"liver": 0.5}}, "b.json", method="panet"))
    assert pair_table(shown).rows[0][1:3] == ["\N{MINUS SIGN}0.100", "-"]  # one scan has no interval


def test_identical_runs_are_no_different():
    dice = {str(n): {"liver": n / 10, "spleen": 0.3} for n in range(1, 8)}
    shown = pair_table(section(file(dice), file(dice, "b.json", method="panet")))
    assert shown.rows == [["panet", "0.000", "0.000 to 0.000", "1.0000", "exact", "7", "1"]]


def test_nothing_in_common():
    shown = section(file({"1": {"liver": 0.5}}), file({"1": {"liver": 0.6}}, "b.json", method="panet", supports=("t",)))
    assert pair_table(shown).rows == [["panet †", "-", "-", "-", "nothing in common", "0", "0"]]


# ---- files -----------------------------------------------------------------------------------------------------


def example(**options):
    """Two methods on two folds; the second lacks fold 1."""
    return [
        file({"1": {"liver": 0.5, "spleen": 0.7}, "2": {"liver": 0.25, "spleen": None}}, "x/f0.json", **options),
        file({"3": {"liver": 0.75, "spleen": 0.7}}, "x/f1.json", fold=1, **options),
        file({"1": {"liver": 0.4, "spleen": 0.0}, "2": {"liver": 0.6, "spleen": None}}, "y/f0.json", method="panet"),
    ]


def test_markdown(tmp_path):
    _, texts = written(tmp_path / "out", *example())
    lines = texts["table.md"].splitlines()
    assert lines[0] == f"## Table 1: {TITLE}, 1 shot"
    assert PROTOCOLS["ep1"] in lines[2]
    assert "| psmnet | 0.500 ± 0.204 | 0.700 ± 0.000 (2) | 0.600 | 3 | 1 | 0 |" in lines
    assert "| panet † | 0.500 ± 0.100 | 0.000 ± - (1) | 0.250† | 2 | 1 | 1 |" in lines
    assert "† panet: 1 of 2 folds: 1 missing. Its figures are over less than the others' and not comparable." in lines


def test_table_csv(tmp_path):
    _, texts = written(tmp_path / "out", *example())
    rows = list(csv.DictReader(io.StringIO(texts["table.csv"])))
    assert [(row["method"], row["organ"]) for row in rows] == [
        (method, organ) for method in ("psmnet", "panet") for organ in ("liver", "spleen", "mean of organs")
    ]
    liver, spleen, mean = rows[:3]
    assert (liver["dice_mean"], liver["dice_n"], spleen["dice_n"], mean["dice_mean"]) == ("0.5", "3", "2", "0.6")
    assert (liver["fold_numbers"], liver["steps"], liver["complete"]) == ("0 1", "1000", "yes")
    assert (rows[3]["complete"], rows[3]["missing"]) == ("no", "1 of 2 folds: 1 missing")


def test_comparisons_csv(tmp_path):
    own, other = {"1": {"liver": 0.5}, "2": {"liver": 0.7}}, {"1": {"liver": 0.4}, "2": {"liver": 0.5}}
    _, texts = written(tmp_path / "out", file(own), file(other, "b.json", method="panet"))
    (row,) = csv.DictReader(io.StringIO(texts["comparisons.csv"]))
    assert (row["table"], row["method"], row["against"], row["scans"], row["places"]) == (
        "1",
        "panet",
        "psmnet",
        "2",
        "1",
    )
    assert [float(row[name]) for name in ("difference", "low", "high", "p")] == pytest.approx([-0.15, -0.2, -0.1, 0.5])


def test_markdown_has_surface_metrics_too(tmp_path):
    _, texts = written(tmp_path / "out", *example())
    for caption in ("HD95 (mm)", "ASSD (mm)", "NSD (2 mm)"):
        assert f"{caption}: mean ± standard deviation over query scans:" in texts["table.md"]


def test_records_csv(tmp_path):
    _, texts = written(tmp_path / "out", *example())
    rows = list(csv.DictReader(io.StringIO(texts["records.csv"])))
    assert len(rows) == 10
    told = [(row["source"], row["case"], row["organ"], row["dice"]) for row in rows if row["fold"] == "1"]
    assert told == [("x/f1.json", "3", "liver", "0.75"), ("x/f1.json", "3", "spleen", "0.7")]
    absent = next(row for row in rows if row["case"] == "2" and row["organ"] == "spleen")
    assert (absent["dice"], absent["false_positive_ml"], absent["empty_prediction"]) == ("", "1.5", "false")


def test_a_method_without_training_has_its_records_once(tmp_path):
    free = file({"1": {"liver": 0.5}}, "r.json", method="registration", free=True)
    files = [file({"1": {"liver": 0.5}}), file({"1": {"liver": 0.6}}, "b.json", trained={"steps": 9}), free]
    sections, texts = written(tmp_path / "out", *files)
    assert [len(s.table.rows) for s in sections] == [2, 2]
    assert texts["records.csv"].count("r.json") == 1


def test_a_method_without_training_has_none_of_the_tables(tmp_path):
    free = file({"1": {"liver": 0.4}}, "r.json", method="registration", free=True, setting=2, group="upper")
    trained = file({"1": {"liver": 0.5}}, setting=2, group="upper", setting2="any")
    _, texts = written(tmp_path / "out", trained, free)
    cells = {
        row["method"]: [row[key] for key in ("setting2", "trained_on", "pseudolabels", "steps")]
        for row in csv.DictReader(io.StringIO(texts["table.csv"]))
    }
    assert cells == {"psmnet": ["any", "chaos-t2", "superpixels", "1000"], "registration": [""] * 4}


def test_registrations_whole_scan_is_told_beside_its_figures(tmp_path):
    sentence = "Registration has the whole labelled scan in every protocol."
    own = [file({"1": {"liver": 0.5}}, f"{n}.json", supports=tuple("stu"[:n])) for n in (1, 3)]
    _, without = written(tmp_path / "a", *own)
    free = file({"1": {"liver": 0.4}}, "r.json", method="registration", free=True)
    _, texts = written(tmp_path / "b", *own, free)
    counts = {name: texts[name].count(sentence) for name in ("table.md", "table.tex", "report.html")}
    assert counts == {"table.md": 1, "table.tex": 1, "report.html": 2}  # the page has it beside shots too
    assert not [name for name, text in without.items() if sentence in text]


def test_one_scan_has_no_deviation(tmp_path):
    _, texts = written(tmp_path / "out", file({"1": {"liver": 0.5}}))
    assert "| psmnet | 0.500 ± - | 0.500 |" in texts["table.md"]
    (row, _) = csv.DictReader(io.StringIO(texts["table.csv"]))
    assert (row["dice_mean"], row["dice_std"], row["dice_n"]) == ("0.5", "", "1")


def test_latex(tmp_path):
    _, texts = written(tmp_path / "out", *example())
    assert r"psmnet & 0.500 $\pm$ 0.204 & 0.700 $\pm$ 0.000 (2) & 0.600 & 3 & 1 & 0 \\" in texts["table.tex"]
    assert r"panet \dag{} & " in texts["table.tex"]
    for part in ("table", "tabular"):
        assert texts["table.tex"].count(rf"\begin{{{part}}}") == texts["table.tex"].count(rf"\end{{{part}}}") == 1


def test_page(tmp_path):
    files = [
        *example(),
        file({"1": {"liver": 0.3, "spleen": 0.4}, "2": {"liver": 0.2, "spleen": None}}, "z.json", supports=("t",)),
        file({"1": {"liver": 0.9, "spleen": 0.8}}, "three.json", supports=("s", "t", "u")),
    ]
    _, texts = written(tmp_path / "out", *files)
    page = Page(texts["report.html"])
    for words in (
        f"Table 1: {TITLE}, 1 shot",
        f"Table 2: {TITLE}, 3 shots",
        PROTOCOLS["ep1"],
        "† panet: 1 of 3 cells: (fold 0, seed 0, support t), (fold 1, seed 0, support s) missing",
        "Compared with psmnet",
        "Support lottery, fold 0",
        f"{TITLE}: mean Dice of organs by number of labelled scans",
        "No pictures: they need the masks beside the results, and the data.",
        "ab" * 32,
    ):
        assert words in page.words, words
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "form"})
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert links == ["#table-1", "#table-2"]
    assert not re.search(r"https?://|url\(|@import", texts["report.html"])


def test_support_lottery_of_the_page(tmp_path):
    """Supports s and t: 0.25 and 0.75; half of their distance is the standard deviation of two."""
    files = [file({"1": {"liver": 0.25}}), file({"1": {"liver": 0.75}}, "b.json", supports=("t",))]
    _, texts = written(tmp_path / "out", *files)
    cells = "".join(f'<td class="number">{value}</td>' for value in ("0.250", "0.750", "0.250", "0.750", "0.250"))
    assert f'<th scope="row">psmnet</th>{cells}' in texts["report.html"]


def test_no_host_and_no_path_from_outside(tmp_path):
    path = write_results(
        tmp_path / "alice" / "results" / "a.json",
        {"1": {"liver": 0.5}},
        provenance={"machine": {"system": "Linux", "cores": 2, "host": "alices-laptop", "user": "alice"}},
    )
    files, _ = find_results([path.parent])
    write_benchmark(files, tmp_path / "out")
    for name in NAMES:
        assert "alice" not in (tmp_path / "out" / name).read_text(encoding="utf-8")
    assert sha256_of(path) in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_hostile_names_are_harmless(tmp_path):
    hostile = [
        file({FORMULA: {SCRIPT: 0.5, TEX: 0.4}}, f"{SCRIPT}.json", method=SCRIPT, variant=FORMULA),
        file({FORMULA: {SCRIPT: 0.6, TEX: 0.3}}, "@b.json", method=FORMULA, supports=("s",)),
        file({FORMULA: {SCRIPT: 0.6, TEX: 0.3}}, "c.json", method=TEX + "\ud800 \\input{x} | <b>"),
    ]
    _, texts = written(tmp_path / "out", *hostile)
    page = Page(texts["report.html"])
    assert "script" not in {tag for tag, _ in page.tags}
    assert "b" not in {tag for tag, _ in page.tags}
    assert f"{SCRIPT}-{FORMULA}" in page.words
    assert "<" not in texts["table.md"]
    assert r"a\_b &amp; 50%" in texts["table.md"]
    assert r"a\_b \& 50\%" in texts["table.tex"]
    assert r"\textbackslash{}input\{x\} \textbar{}" in texts["table.tex"]
    assert r"\input" not in texts["table.tex"]
    for name in ("table.csv", "records.csv"):
        cells = [cell for row in csv.reader(io.StringIO(texts[name])) for cell in row]
        assert f"'{FORMULA}" in cells
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_a_spreadsheet_would_run(tmp_path, start):
    _, texts = written(tmp_path / "out", file({f"{start}1": {"liver": 0.5}}))
    (row,) = csv.DictReader(io.StringIO(texts["records.csv"]))
    assert row["case"] == ("' 1" if start.isspace() else f"'{start}1")
    assert row["dice"] == "0.5"


def test_what_is_there_is_not_replaced(tmp_path):
    out = tmp_path / "out"
    written(out, *example())
    before = (out / "records.csv").read_text()
    (out / "report.html").unlink()
    with pytest.raises(InputError, match=r"table\.md already exists; allow it to be overwritten"):
        write_benchmark(example(), out)
    assert not (out / "report.html").exists()
    written(out, *example(variant="grid=0"), overwrite=True)
    assert (out / "records.csv").read_text() != before


def test_methods_to_compare_with(tmp_path):
    better = file({"1": {"liver": 0.9}}, "b.json", method="panet")
    sections, _ = written(tmp_path / "a", file({"1": {"liver": 0.5}}), better)
    assert sections[0].against.name == "psmnet"
    sections, _ = written(tmp_path / "b", file({"1": {"liver": 0.5}}, method="alpnet"), better)
    assert sections[0].against.name == "panet"  # the best
    sections, _ = written(tmp_path / "c", file({"1": {"liver": 0.5}}, method="alpnet"), better, against="alpnet")
    assert sections[0].against.name == "alpnet"
    with pytest.raises(InputError, match="no method 'qnet' in these results; give one of panet"):
        write_benchmark([better], tmp_path / "d", against="qnet")


def test_chosen_folds_are_said_everywhere(tmp_path):
    _, texts = written(tmp_path / "out", *example(), folds={0})
    for name in ("table.md", "table.tex", "report.html"):
        assert "Only fold 0." in texts[name]
    assert "x/f1.json" not in texts["records.csv"]
    assert "| psmnet | 0.375 ± 0.125 |" in texts["table.md"]


# ---- plots -----------------------------------------------------------------------------------------------------


def test_a_box_has_quartiles_median_and_whiskers():
    """Of 0, 0.5, 0.6, 0.7, 0.8: quartiles 0.5 and 0.7, reach 0.2 to 1, so 0 is outside. 250 px are 0 to 1."""
    values = {f"case {n}": value for n, value in enumerate((0.0, 0.5, 0.6, 0.7, 0.8))}
    svg = box_plot("liver", [Line("psmnet", values, chosen=True)], 0)
    left = float(re.search(r'class="grid" x1="([\d.]+)"', svg)[1])
    box = re.search(r'class="box" x="([\d.]+)" .*? width="([\d.]+)"', svg)
    assert float(box[1]) == pytest.approx(left + 125, abs=0.1)
    assert float(box[2]) == pytest.approx(50, abs=0.1)
    assert float(re.search(r'class="median" x1="([\d.]+)"', svg)[1]) == pytest.approx(left + 150, abs=0.1)
    whisker = re.search(r'class="whisker" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', svg)
    assert [float(end) for end in whisker.groups()] == pytest.approx([left + 125, left + 200], abs=0.1)
    assert svg.count('class="dot"') == 5
    assert "<title>case 3: 0.700</title>" in svg
    assert 'class="line chosen"' in svg


def test_few_scans_are_dots_without_a_box():
    svg = box_plot("liver", [Line("psmnet", {"1": 0.5}), Line("panet", {}, partial=True)], 0)
    assert 'class="box"' not in svg
    assert svg.count('class="dot"') == 1
    assert "no value" in svg


def test_long_names_are_broken_and_whole_under_the_pointer():
    name = "psmnet-position_at_inference=0.5,refine_at_inference=2"
    svg = box_plot("liver", [Line(name, {"1": 0.5}), Line(2 * name, {"1": 0.5})], 0)
    lines = re.findall(r"<tspan[^>]*>([^<]*)</tspan>", svg)
    assert lines[:2] == ["psmnet-position_at_inference=", "0.5,refine_at_inference=2"]
    assert lines[3].endswith("…")
    assert f"<title>{name}</title>" in svg
    assert f"<title>{2 * name}</title>" in svg


def test_scatter_puts_the_better_above_the_diagonal():
    svg = scatter("h", "psmnet", "panet", {"case 1": (0.5, 0.75)}, 0.5)
    x, y = (float(v) for v in re.search(r'cx="([\d.]+)" cy="([\d.]+)"', svg).groups())
    assert (x, y) == (44, 8 + 120)
    assert "<title>case 1: 0.500, 0.750</title>" in svg


@pytest.mark.parametrize(("values", "low"), [([], 0), ([0.0], 0), ([0.47, 0.9], 0.4), ([0.95], 0.8)])
def test_axes_begin_at_a_tenth(values, low):
    assert lower_bound(values) == pytest.approx(low)


# ---- pictures --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_masks(phantoms, tmp_path_factory):
    """Results of three phantoms by two methods: psmnet's masks are a little beside the truth, panet's hold nothing."""
    folder = tmp_path_factory.mktemp("masks")
    names = {"liver": 1, "spleen": 4}
    dice = {"1": {"liver": 0.9, "spleen": 0.9}, "2": {"liver": 0.5, "spleen": 0.5}, "3": {"liver": 0.7, "spleen": 0.7}}
    sums = {case: sha256_of(phantoms / f"image_{case}.nii.gz") for case in dice}
    for method in ("psmnet", "panet"):
        path = write_results(
            folder / f"{method}.json", dice, method=method, dataset="phantom", provenance={"checksums": sums}
        )
        for case in dice:
            labels = read_labels(phantoms / f"label_{case}.nii.gz")
            for organ, value in names.items():
                mask = np.roll(labels.array_zyx == value, 3, axis=1) & (method == "psmnet")
                write_volume(labels.with_array(mask), mask_path(masks_folder(path), case, organ))
    return folder


@pytest.fixture(scope="module")
def drawn(with_masks, phantoms):
    return shown(with_masks, phantoms)


@pytest.fixture
def masked(with_masks, tmp_path):
    return Path(shutil.copytree(with_masks, tmp_path / "in"))


def shown(folder, data):
    files, _ = find_results([folder])
    found = table(*files)
    cases = None if data is None else {case.id: case for case in find_cases(data)}
    return draw_scans(found, found.row("psmnet"), cases)


def pixels(png):
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_best_median_and_worst_scan(drawn, phantoms):
    best, median, worst = drawn
    labels = read_labels(phantoms / "label_1.nii.gz").array_zyx
    liver, spleen = ((labels == value).sum(axis=(1, 2)) for value in (1, 4))
    telling = int((liver / liver.max() + spleen / spleen.max()).argmax()) + 1
    each = "(liver 0.90, spleen 0.90)"
    assert (
        best.heading == f"Best: case 1 by psmnet, Dice 0.900 {each}; slice {telling} of 12, fold 0, seed 0, support s."
    )
    assert median.heading.startswith("Median: case 3 by psmnet, Dice 0.700")
    assert worst.heading.startswith("Worst: case 2 by psmnet, Dice 0.500")
    assert {panel.caption for panel in best.panels} == {f"psmnet, Dice 0.900 {each}", f"panet, Dice 0.900 {each}"}


def test_contours_are_the_masks_own(drawn):
    """psmnet's panel has the liver's colour on its rim; panet, which predicted nothing, white dashes alone."""
    by_method = {panel.caption.split(",")[0]: pixels(panel.png) for panel in drawn[0].panels}
    coloured = {name: (np.abs(picture - PALETTE[0]) <= 12).all(axis=-1).sum() for name, picture in by_method.items()}
    assert coloured["psmnet"] > 20
    assert coloured["panet"] == 0
    assert (by_method["panet"] == 255).all(axis=-1).sum() > 20


def test_pictures_are_in_the_page(with_masks, phantoms, tmp_path):
    files, _ = find_results([with_masks])
    write_benchmark(files, tmp_path / "out", data=phantoms)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "Dashed white: the reference." in page.words


def test_without_masks_or_data_it_says_what_to_run(masked, phantoms, tmp_path):
    assert shown(masked, None) == "No pictures: they need the data. Give the folder of the data to the report."
    mask_path(masks_folder(masked / "panet.json"), "3", "liver").unlink()
    mask_path(masks_folder(masked / "panet.json"), "3", "spleen").unlink()
    assert shown(masked, phantoms)[1].heading.endswith("No masks by panet.")
    for organ in ("liver", "spleen"):
        mask_path(masks_folder(masked / "psmnet.json"), "2", organ).unlink()
    assert shown(masked, phantoms).endswith("no masks of case 2 by psmnet. Save the masks when evaluating.")
    both = (
        "No pictures: they need the masks beside the results, and the data. Save the masks when evaluating, and give "
    )
    assert shown(masked, None) == f"{both}the folder of the data to the report."


def test_other_data_than_was_evaluated(masked, phantoms, tmp_path):
    other = tmp_path / "data"
    image = read_volume(phantoms / "image_1.nii.gz")
    for case in "123":
        write_volume(image, other / f"image_{case}.nii.gz")
        write_volume(read_labels(phantoms / "label_1.nii.gz"), other / f"label_{case}.nii.gz")
    told = "No pictures: the data given hold no case 3 as it was evaluated, with its labels."
    assert shown(masked, other) == told
    files, _ = find_results([masked])
    assert write_benchmark(files, tmp_path / "out", data=other)[1] == [f"table 1: {told}"]
    assert write_benchmark(files, tmp_path / "none")[1] == []  # nobody asked for pictures


def test_a_mask_on_another_grid_is_refused(masked, phantoms):
    path = mask_path(masks_folder(masked / "psmnet.json"), "1", "liver")
    mask = read_labels(path)
    write_volume(type(mask)(mask.array_zyx, (1, 1, 1)), path)
    with pytest.raises(InputError, match="1_liver"):
        shown(masked, phantoms)


def test_a_case_named_as_a_path_reads_nothing_elsewhere(tmp_path):
    path = write_results(tmp_path / "in" / "a.json", {"x/../../secret": {"liver": 0.5}})
    (tmp_path / "secret_liver.nii.gz").write_bytes(b"")
    files, _ = find_results([path])
    found = table(*files)
    assert "no masks of case" in draw_scans(found, found.rows[0], {})


def test_results_of_this_project_can_be_reported(tmp_path):
    """The first bundled weights on all folds of CHAOS: 0.745, as NumPy says of the 80 records."""
    files, _ = find_results([REPOSITORY / "results" / "records" / "benchmark.csv.gz"])
    bundled = [file for file in files if (file.variant, file.protocol) == ("bundled", "ep1")]
    sections, texts = written(tmp_path / "out", *bundled)
    assert round(sections[0].table.rows[0].mean("dice"), 3) == 0.745
    assert "Trained on synthetic for 1,600 steps." in texts["table.md"]
