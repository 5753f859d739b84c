"""Tables of what the scripts of benchmarks/ measured."""

from statistics import median
from typing import Any

from pages.records import measured, table


def taken(name: str, content: Any) -> Any:
    """What is kept of a script's output, beside what was measured before."""
    if name == "prepare":  # one file a data set
        of_others = [its for its in measured()["prepare"] if its["rows"][0]["dataset"] != content["rows"][0]["dataset"]]
        return [content, *of_others]
    if name == "orientation":
        stored = content["orientations"]
        return content | {"orientations": {"stored": len(stored), "voxels_that_differ": sum(stored.values())}}
    if name == "pseudolabels":
        kinds = dict.fromkeys(row["kind"] for row in content["rows"])
        rows = {kind: [row for row in content["rows"] if row["kind"] == kind] for kind in kinds}
        return {key: value for key, value in content.items() if key != "rows"} | {
            "kinds": {kind: _pseudolabels_of(of_kind) for kind, of_kind in rows.items()}
        }
    return {key: value for key, value in content.items() if key != "records"}


def _pseudolabels_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    medians = [median([ids for ids in row["ids_by_slice"] if ids]) for row in rows]
    return {
        "most": max(max(row["ids_by_slice"]) for row in rows),
        "body_covered": min(row["body_covered"] for row in rows),
        "labelled_inside": min(row["labelled_inside"] for row in rows),
        "empty_ids": sum(row["empty_ids"] for row in rows),
        "median_ids_in_a_slice": [min(medians), max(medians)],
    }


def whole_scans() -> str:
    """`psmnet segment` beside registration."""
    rows = []
    for name, its in measured()["whole_scan"]["summary"].items():
        words = {
            "psmnet": "`psmnet segment`",
            "affine": "affine registration",
            "affine + B-spline": "affine and B-spline",
        }
        rows.append([words[name], *its["by_organ"].values(), its["mean"], f"{its['seconds']:.1f}"])
    return table(["method", "liver", "right kidney", "left kidney", "spleen", "mean", "seconds a scan (median)"], rows)


def confidence() -> str:
    """Whether doubt goes with error."""
    its = measured()["whole_scan"]["summary"]["psmnet"]
    low, middle, high = its["dice_by_confidence"]
    rows = [["least confident third", low], ["middle third", middle], ["most confident third", high]]
    wrong = [
        [f"{0.05 * place:.2f} to {0.05 * (place + 1):.2f}", f"{share:.2f}"]
        for place, share in enumerate(its["error_by_uncertainty"])
        if place % 4 in (0, 2) or place == len(its["error_by_uncertainty"]) - 1
    ]
    return (
        table(["organs in scans", "mean Dice"], rows)
        + f"\nSpearman's correlation of confidence and Dice: {its['confidence_against_dice']:.2f}. "
        f"ROC area of a voxel's uncertainty for being wrong: {its['auroc_of_uncertainty']:.2f}.\n\n"
        + table(["uncertainty of a voxel", "share that is wrong"], wrong)
    )


def suggestion() -> str:
    """Which scan to label."""
    its = measured()["suggestion"]
    rows = [[words, its["dice"][key]] for key, words in _CHOICES.items()]
    shares = ", ".join(f"{100 * share:.0f} % among {n} scans" for n, share in its["share_of_gap_in_subsets"].items())
    suggested, *others = (entry["dice"] for entry in its["of_three"])
    return (
        table(["labelled scan", "mean Dice of the other 19"], rows)
        + f"\n`psmnet suggest` names case {its['suggested']}: {100 * its['share_of_gap']:.0f} % of the gap between the "
        f"mean and the best choice. In random subsets it closes {shares} on average. Spearman's correlation of mean "
        f"agreement and mean Dice: {its['spearman']:.2f}. Three suggested scans give {suggested:.3f} on the other 17, "
        f"{len(others)} random sets of three {min(others):.3f} to {max(others):.3f}.\n"
    )


_CHOICES = {"suggested": "suggested", "mean": "any (mean)", "best": "best", "worst": "worst"}


def orientation() -> str:
    """Turned scans."""
    its = measured()["orientation"]
    stored = its["orientations"]
    rows = [
        [f"{turn['degrees']:.1f}", turn["dice_with_straight"], turn["dice"]]
        for turn in sorted(its["rotations"], key=lambda turn: float(turn["degrees"]))
    ]
    return (
        f"Stored in any of the {stored['stored']} ways, the query gets the same mask: {stored['voxels_that_differ']} "
        f"voxels differ.\n\n"
        + table(["turned by degrees", "Dice with the straight mask", "Dice with the reference"], rows)
        + f"\nMean up to 15 degrees: {its['mean_up_to_15_degrees']:.3f}.\n"
    )


def large_ct() -> str:
    """Memory and time of a large CT."""
    its = measured()["large_ct"]
    z, y, x = its["shape_zyx"]
    rows = [
        ["peak memory", f"{its['peak_bytes'] / 1e9:.1f} GB"],
        ["arrays to labels", " s and ".join(f"{s:.0f}" for s in its["whole_s"]) + " s (two rounds)"],
        ["the bare encoder", " s and ".join(f"{s:.0f}" for s in its["bare_encoder_s"]) + " s"],
        ["ratio of the two", f"{its['ratio']:.1f}"],
        ["reading", f"{its['read_s']:.0f} s"],
        ["writing", f"{its['write_s']:.0f} s"],
    ]
    return table([f"{x} x {y} x {z}, {its['organs']} organs", ""], rows)


def speed() -> str:
    """Time against the bare encoder's."""
    its = measured()["speed"]
    rows: list[list[object]] = []
    for volume in its["volume"]:
        times = (_ms(volume["s_per_slice"]), _ms(volume["encoder_s_per_slice"]))
        rows.append([f"a volume, {volume['precision']}", *times, f"{volume['ratio']:.2f}"])
    for step in its["training"]:
        name = f"a training step of {step['pairs']} pairs, {step['precision']}"
        rows.append([name, f"{step['step_s']:.2f} s", f"{step['encoder_s']:.2f} s", f"{step['ratio']:.2f}"])
    published, yardstick = its["published_way"], its["yardstick"]
    return (
        table(["", "takes (a slice, a step)", "the encoder alone", "ratio"], rows)
        + f"\nThe published way (support and query encoded for every slice and organ) takes "
        f"{published['times_as_fast']:.1f} times as long; its logits differ by at most "
        f"{published['largest_difference_of_logits']:.5f}. The `compact` encoder at 192 x 192 takes "
        f"{yardstick['ratio']:.2f} of the time of ResNet-18 at output stride 8 and 256 x 256.\n"
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def growth() -> str:
    """How time and memory grow."""
    rows = []
    for what, its in measured()["speed"]["growth"].items():
        for value, seconds, mib in zip(its["values"], its["s"], its["peak_mib"], strict=True):
            rows.append([what, value, f"{seconds:.2f}", f"{mib:.0f}"])
    return table(["what grows", "to", "processor seconds", "peak memory, MiB"], rows)


def encoder() -> str:
    """Half precision."""
    rows = []
    for batch, its in measured()["encoder"]["batch"].items():
        for name, entry in its.items():
            faster, differs = entry["times_faster"], entry["largest_difference"]
            rows.append([_FORMATS[name], batch, f"{faster:.2f}", f"{differs:.3f}"])
    scans = measured()["whole_scan_encoders"]["summary"]
    return (
        table(["encoder", "batch", "times as fast", "largest difference of features"], rows)
        + f"\nWhole scans: mean Dice {scans['psmnet']['mean']:.4f} in float32, {scans['bfloat16']['mean']:.4f} in "
        f"bfloat16.\n"
    )


_FORMATS = {
    "torch": "float32",
    "torch_channels_last": "float32, channels last",
    "torch_bfloat16": "bfloat16",
    "torch_bfloat16_channels_last": "bfloat16, channels last (`--precision bfloat16`)",
}


def prepare() -> str:
    """Preparing data and making pseudo-labels."""
    rows = []
    for its in measured()["prepare"]:
        for row in its["rows"]:
            for step in ("prepare", "superpixels", "supervoxels"):
                if step in row:
                    cells = [f"{row[step]['seconds']:.0f}", row[step]["peak_mib"]]
                    rows.append([row["dataset"], row["cases"], row["jobs"], step, *cells])
    return table(["data set", "cases", "processes", "step", "seconds", "peak memory, MiB"], rows)


def pseudolabels() -> str:
    """What pseudo-labels look like."""
    rows = []
    for kind, its in measured()["pseudolabels"]["kinds"].items():
        low, high = its["median_ids_in_a_slice"]
        cover, inside = f"{its['body_covered']:.3f}", f"{its['labelled_inside']:.4f}"
        rows.append([kind, f"{low:.0f}", f"{high:.0f}", its["most"], cover, inside])
    columns = ("kind", "ids in a slice, median: from", "to", "most in a slice", "body covered, worst case")
    return table([*columns, "labelled voxels inside, worst case"], rows)


def viewer() -> str:
    """The page against the command line."""
    its = measured()["viewer"]
    rows = [
        ["the page, warm: from dropping a scan to its mask", f"{its['overlay_s']:.1f} s"],
        ["of which until the scan is listed", f"{its['listed_s']:.1f} s"],
        ["the command line, imports and the labelled scan included", f"{its['command_line_s']:.1f} s"],
        ["server's start until it prints its address", f"{its['start_s']:.1f} s"],
        ["the page with all that it loads, on the wire", f"{its['page']['wire_bytes'] / 1e6:.2f} MB"],
        ["the same, unpacked", f"{its['page']['bytes'] / 1e6:.1f} MB in {its['page']['files']} files"],
    ]
    return table(["", ""], rows)


def tree() -> str:
    """How far the rooms of the source are kept apart, before and after they were rearranged."""
    before, now = measured()["tree"]["f916018"], measured()["tree"]["now"]
    return table(["", "f916018", "now"], [[name.replace("_", " "), before[name], now[name]] for name in now])


def tests() -> str:
    """The test suite and the slow tests."""
    its = measured()["tests"]
    suite, coverage, slow, damaged = (its[name] for name in ("suite", "coverage", "slow", "damaged_inputs"))
    rows = [[f"`make test`, seconds on {its['machine']['cores']} cores", *(of["seconds"] for of in suite.values())]]
    rows.append(["tests that pass", *(of["passed"] for of in suite.values())])
    covered = [f"{100 * (1 - of['missed'] / of['statements']):.1f} %" for of in coverage.values()]
    rows.append(["lines of `src` covered (worker processes not counted)", *covered])
    rows.append(["`make test-slow`, seconds", None, slow["seconds"]])
    rows.append(["slow tests that pass", None, slow["passed"]])
    rows.append(["damaged and odd queries: segmented", damaged["segmented"], damaged["segmented"]])
    rows.append(["damaged and odd queries: refused in one line", damaged["refused"], damaged["refused"]])
    rows.append(["the same: other exit code than before", None, damaged["exit_codes_that_differ"]])
    rows.append(["the same: other mask than before", None, damaged["masks_that_differ"]])
    return table(["", "f916018", "now"], rows)


BLOCKS = {
    "whole-scans": whole_scans,
    "confidence": confidence,
    "suggestion": suggestion,
    "orientation": orientation,
    "large-ct": large_ct,
    "speed": speed,
    "growth": growth,
    "encoder": encoder,
    "prepare": prepare,
    "pseudolabels": pseudolabels,
    "viewer": viewer,
    "tree": tree,
    "tests": tests,
}
