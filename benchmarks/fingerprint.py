"""Checksums of what psmnet computes: mask voxels, scores and trained weights, before and after a change.

    python benchmarks/fingerprint.py --chaos DATA --out before.json
    python benchmarks/fingerprint.py --chaos DATA --out after.json --against before.json

Equal checksums need the same machine, thread count and library versions. The script calls the installed `psmnet`
command only, so that it runs on any version of the package. Exit code 1: something differs from `--against`.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

METHODS = ("psmnet", "panet", "alpnet", "adnet", "qnet")
PROTOCOLS = ("ep1", "ep1-labelled", "ep2", "blind")


def psmnet(*arguments: object) -> None:
    """Run one command."""
    command = [sys.executable, "-c", "from psmnet.cli.main import main; main()", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def voxels_sha256(file: Path) -> str:
    """Of a label map's voxels, type and shape; headers don't count."""
    from psmnet import read_labels

    array = read_labels(file).array_zyx
    return hashlib.sha256(str((array.shape, array.dtype.kind)).encode() + array.astype("<i4").tobytes()).hexdigest()


def scores_sha256(file: Path) -> str:
    """Of a results file's scores; versions, times and paths don't count."""
    results = json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps({key: results[key] for key in ("summary", "cases")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def weights_sha256(file: Path) -> str:
    """Of a weights file's tensors; its record doesn't count."""
    from safetensors.numpy import load_file

    digest = hashlib.sha256()
    for name, array in sorted(load_file(file).items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


def segmentations(folder: Path, name: str, scans: tuple[Path, ...], supports: list[tuple[Path, Path]], *more: object):
    """Segment scans and yield each mask's checksum."""
    out = folder / name
    given = [part for image, labels in supports for part in ("--support", image, labels)]
    psmnet("segment", *scans, *given, "--out", out, "--threads", 1, *more)
    for mask in sorted(out.glob("*_seg.nii.gz")):
        yield f"{name}/{mask.name}", voxels_sha256(mask)


def evaluation(folder: Path, name: str, data: Path, dataset: str, fold: int, protocol: str, *more: object):
    """Score a fold and yield the scores' checksum."""
    out = folder / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    psmnet(
        *("evaluate", data, "--dataset", dataset, "--fold", fold, "--protocol", protocol),
        *("--threads", 1, "--out", out, *more),
    )
    yield name, scores_sha256(out)


def on_phantoms(folder: Path):
    """Every method on drawn patients: trained for two steps, scored by every protocol; whole scans segmented."""
    data = folder / "phantoms"
    psmnet("phantom", data, "--cases", 6)
    pairs = {n: (data / f"image_{n}.nii.gz", data / f"label_{n}.nii.gz") for n in range(1, 7)}
    queries = tuple(pairs[n][0] for n in (3, 4))
    yield from segmentations(folder, "phantom/one_support", queries, [pairs[1]])
    yield from segmentations(folder, "phantom/two_supports", queries, [pairs[1], pairs[2]])
    yield from segmentations(folder, "phantom/registration", queries[:1], [pairs[1]], "--method", "registration")
    for kind in ("superpixels", "supervoxels"):
        pseudolabels = folder / kind
        psmnet("pseudolabel", data, "--dataset", "phantom", "--out", pseudolabels, "--kind", kind)
        for file in sorted(pseudolabels.glob("*.nii.gz")):
            yield f"phantom/{kind}/{file.name}", voxels_sha256(file)
    for method in METHODS:
        run = folder / "runs" / method
        psmnet(
            *("train", data, "--dataset", "phantom", "--fold", 0, "--pseudolabels", folder / "superpixels"),
            *("--method", method, "--steps", 2, "--pairs", 2, "--threads", 1, "--out", run),
        )
        yield f"phantom/{method}/weights", weights_sha256(run / "weights.safetensors")
        for protocol in PROTOCOLS:
            name = f"phantom/{method}/{protocol}"
            yield from evaluation(folder, name, data, "phantom", 0, protocol, "--weights", run)
    yield from evaluation(folder, "phantom/registration/ep1", data, "phantom", 0, "ep1", "--method", "registration")
    run = folder / "runs" / "synthetic"
    psmnet("pretrain", "--steps", 2, "--pairs", 2, "--set", "attention=text", "--threads", 1, "--out", run)
    yield "pretrain/attention/weights", weights_sha256(run / "weights.safetensors")
    name = "phantom/attention/ep1"
    yield from evaluation(folder, name, data, "phantom", 0, "ep1", "--weights", run, "--set", "split_foreground=true")


def on_chaos(folder: Path, data: Path):
    """Real scans with the bundled weights: all folds by EP1, whole scans of one query, and segmentations."""
    for fold in range(5):
        yield from evaluation(folder, f"chaos/ep1/fold{fold}", data, "chaos-t2", fold, "ep1")
    yield from evaluation(folder, "chaos/blind/fold0", data, "chaos-t2", 0, "blind")
    support = [(data / "image_8.nii.gz", data / "label_8.nii.gz")]
    yield from segmentations(
        folder, "chaos/segment", tuple(data / f"image_{n}.nii.gz" for n in (1, 2)), support, "--save", "uncertainty"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chaos", type=Path, help="folder of CHAOS-T2 in the normalised layout; phantoms only without")
    parser.add_argument("--out", type=Path, required=True, help="checksums by name, as JSON")
    parser.add_argument("--against", type=Path, help="earlier checksums to compare with")
    arguments = parser.parse_args()
    found: dict[str, str] = {}
    parts: list[Callable] = [on_phantoms]
    if arguments.chaos:
        parts.append(lambda folder: on_chaos(folder, arguments.chaos))
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            for name, checksum in part(Path(folder)):
                found[name] = checksum
                print(name, checksum[:12], flush=True)
    arguments.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if arguments.against:
        before = json.loads(arguments.against.read_text(encoding="utf-8"))
        differing = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        print(f"{len(found) - len(differing)} of {len(before)} equal", *differing, sep="\n  ")
        sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
