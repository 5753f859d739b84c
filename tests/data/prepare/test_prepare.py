"""What prepare takes and refuses, how it goes on where it was cut short, and what it does with cases that fail."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import psmnet.data.prepare.dataset
from helpers.prepare_helpers import contents, labels, run, sha256, times
from helpers.raw_layouts import PELVIC_PIDS, abdomens, draw, pelvic, plain, zipped
from psmnet.data.dataset_file import DATASET_NAME, read_dataset_file
from psmnet.data.prepare.dataset import PrepareSpec, prepare_dataset
from psmnet.errors import ConfigError, InputError
from psmnet.io import write_volume

SMALL = {"size_xyz": (16, 16, 3)}


@pytest.fixture
def pelves(tmp_path):
    """Three small cases of one data set, to be changed."""
    pelvic(tmp_path / "raw", PELVIC_PIDS[:3], **SMALL)
    return tmp_path / "raw"


# ---- what is asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dataset": "phantom"}, "phantoms need no preparing; draw them with psmnet phantom"),
        ({"dataset": "atlantis"}, "unknown data set 'atlantis'; give one of chaos-t2, sabs, cmr, pelvic, fol"),
        (
            {"dataset": "sabs", "legacy": ("typo",)},
            "bug that preparing can reproduce; give any of crop-origin, extra-slice,",
        ),
        ({"dataset": "sabs", "legacy": ("superpixel-ids",)}, "'superpixel-ids' is not a known bug that preparing"),
        ({"dataset": "sabs", "modality": "ct"}, "the modality of sabs can't be set: it is the published one"),
        ({"dataset": "cmr", "spacing_mm": (1, 1, None)}, "the spacing of cmr"),
        ({"dataset": "cmr", "size_px": 64}, "the size of cmr"),
    ],
)
def test_what_can_not_be_asked_for(arguments, match):
    with pytest.raises(ConfigError, match=match):
        PrepareSpec(**arguments)


# ---- where to and where from -----------------------------------------------------------------------------------


def test_out_inside_raw_is_no_source(pelves):
    run("pelvic", pelves, pelves / "out")
    again = run("pelvic", pelves, pelves / "out")
    assert again.kept == list(PELVIC_PIDS[:3])
    plain(pelves / "mine", abdomens(["a"]), "{}.nii.gz", None)
    for _ in range(2):
        assert list(run("folder", pelves / "mine", pelves / "mine" / "out").dataset.cases) == ["a"]


def test_out_is_raw(pelves):
    for out in (pelves, pelves / "data" / ".."):
        with pytest.raises(ConfigError, match="is the raw data itself; write elsewhere"):
            run("pelvic", pelves, out)


def test_what_is_not_the_data_set(pelves, tmp_path):
    with pytest.raises(InputError, match=r"raw \(7 files\) doesn't hold CHAOS-T2.*give a folder above Train_Sets/MR"):
        run("chaos-t2", pelves, tmp_path / "out")
    with pytest.raises(InputError, match=r"no folder or zip .*typo"):
        run("chaos-t2", tmp_path / "typo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_out_is_a_file_or_can_not_be_made(pelves, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/out")):
        with pytest.raises(InputError, match=r"is a file|can't write"):
            run("pelvic", pelves, out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_out(pelves, tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(InputError, match="can't write"):
        run("pelvic", pelves, tmp_path / "out")


# ---- going on ---------------------------------------------------------------------------------------------------


def test_what_is_done_is_kept(pelves, tmp_path):
    out = tmp_path / "out"
    first = run("pelvic", pelves, out)
    before, dataset = times(out), (out / DATASET_NAME).read_bytes()
    second = run("pelvic", pelves, out)
    assert (first.made, first.kept) == (list(PELVIC_PIDS[:3]), [])
    assert (second.made, second.kept) == ([], list(PELVIC_PIDS[:3]))
    assert times(out) == before
    assert (out / DATASET_NAME).read_bytes() == dataset


def test_a_case_whose_source_has_changed_is_made_anew(pelves, tmp_path):
    out = tmp_path / "out"
    run("pelvic", pelves, out)
    before, changed = times(out), PELVIC_PIDS[1]
    other = draw(0, {1: ((0, 0, 0), (0.5, 0.5, 1))}, size_xyz=(16, 16, 3), spacing_mm=(1.5, 1.5, 3))
    write_volume(other.image, pelves / "data" / f"{changed}_img.nii")
    write_volume(other.labels, pelves / "data" / f"{changed}_mask.nii")
    result = run("pelvic", pelves, out)
    assert result.made == [changed]
    assert {name for name, time in times(out).items() if time != before[name]} == {
        f"image_{changed}.nii.gz",
        f"label_{changed}.nii.gz",
    }
    assert np.unique(labels(out, changed).array_zyx).tolist() == [0, 1]
    assert result.dataset.cases[changed].sources[f"data/{changed}_img.nii"] == sha256(
        pelves / "data" / f"{changed}_img.nii"
    )


@pytest.mark.parametrize("kind", ["image", "label"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_case_whose_output_is_gone_or_changed_is_made_anew(pelves, tmp_path, kind, damage):
    out = tmp_path / "out"
    run("pelvic", pelves, out)
    whole = contents(out)
    damage(out / f"{kind}_{PELVIC_PIDS[0]}.nii.gz")
    result = run("pelvic", pelves, out)
    assert result.made == [PELVIC_PIDS[0]]
    assert result.kept == list(PELVIC_PIDS[1:3])
    assert contents(out) == whole


def test_what_a_killed_run_left_is_cleared_and_completed(pelves, tmp_path):
    out, reference = tmp_path / "out", tmp_path / "reference"
    run("pelvic", pelves, reference)
    run("pelvic", pelves, out)
    first, second, third = PELVIC_PIDS[:3]
    (out / f"image_{first}.nii.gz").unlink()  # a label map without its image
    record = json.loads((out / DATASET_NAME).read_text())
    del record["cases"][second]  # an image without its record
    (out / DATASET_NAME).write_text(json.dumps(record))
    (out / ".tmp-abc.nii.gz").write_bytes(b"half")
    (out / ".tmp-unpacked" / "data").mkdir(parents=True)
    (out / ".tmp-unpacked" / "data" / "a.nii").write_bytes(b"half")
    result = run("pelvic", pelves, out)
    assert (result.made, result.kept) == ([first, second], [third])
    assert contents(out) == contents(reference)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("writes", [1, 2, 4])
def test_a_run_that_was_killed_goes_on(pelves, tmp_path, writes):
    """Killed in the middle of its n-th file: nothing that was finished is lost, and nothing half-written stays."""
    out, reference = tmp_path / "out", tmp_path / "reference"
    killing = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import psmnet.data.prepare.dataset as p, psmnet.io.files as files\n"
        f"left, write = [{writes}], files.write_nifti\n"
        "def kill(volume, path):\n"
        "    write(volume, path)\n"
        "    left[0] -= path.name.startswith('.tmp-')\n"
        "    left[0] or os.kill(os.getpid(), signal.SIGKILL)\n"  # before the file gets its name
        "files.write_nifti = kill\n"
        "p.prepare_dataset(p.PrepareSpec('pelvic'), *map(Path, sys.argv[1:]), jobs=1)\n"
    )
    killed = subprocess.run([sys.executable, "-c", killing, pelves, out], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path for path in out.iterdir() if path.name.startswith(".tmp-")]
    finished = {1: [], 2: [], 4: [PELVIC_PIDS[0]]}[writes]  # two files a case
    assert [path.name[6:12] for path in out.glob("image_*")] == finished
    run("pelvic", pelves, reference)
    result = run("pelvic", pelves, out)
    assert result.kept == finished
    assert result.failed == {}
    assert contents(out) == contents(reference)


def test_a_run_that_was_killed_between_its_first_case_and_the_record(pelves, tmp_path, monkeypatch):
    def stop(dataset, record):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr(psmnet.data.prepare.dataset, "_add_names", stop)
    with pytest.raises(KeyboardInterrupt):
        run("pelvic", pelves, out)
    monkeypatch.undo()
    assert [path.name for path in out.glob("image_*")] == [f"image_{PELVIC_PIDS[0]}.nii.gz"]
    assert run("pelvic", pelves, out).made == list(PELVIC_PIDS[:3])


def test_an_interruption_keeps_what_is_done(pelves, tmp_path):
    def stop(done, case_id, total):
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(PrepareSpec("pelvic"), pelves, out, jobs=1, report=stop)
    assert list(read_dataset_file(out).cases) == list(PELVIC_PIDS[:2])
    assert run("pelvic", pelves, out).kept == list(PELVIC_PIDS[:2])


def test_another_version_of_the_program_makes_all_anew(pelves, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run("pelvic", pelves, out)
    monkeypatch.setattr(psmnet.data.prepare.dataset, "package_version", lambda: "99.0")
    result = run("pelvic", pelves, out)
    assert result.made == list(PELVIC_PIDS[:3])
    assert read_dataset_file(out).version == "99.0"


def test_institutions_that_came_later(pelves, tmp_path):
    out = tmp_path / "out"
    text = (pelves / "instiution.txt").read_text()
    (pelves / "instiution.txt").unlink()
    first = run("pelvic", pelves, out)
    assert first.dataset.institutions() == {}
    assert f"case {PELVIC_PIDS[0]} has no institution in institution.txt" in first.notes
    (pelves / "institution.txt").write_text(text)
    assert list(run("pelvic", pelves, out).dataset.institutions().values()) == ["UCL", "Prostate3T", "ProstateDx"]


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ({"dataset": "pelvic"}, {"dataset": "folder"}, "was prepared with data set pelvic, not folder"),
        (
            {"dataset": "pelvic"},
            {"dataset": "pelvic", "legacy": ("crop-origin", "extra-slice")},
            "was prepared with known bugs none, not crop-origin, extra-slice; choose another folder",
        ),
        (
            {"dataset": "folder", "size_px": 16},
            {"dataset": "folder", "size_px": 32},
            "was prepared with constant size_px 16, not 32; choose another folder",
        ),
        (
            {"dataset": "folder"},
            {"dataset": "folder", "spacing_mm": (1, 1, None)},
            r"was prepared with constant spacing_mm \[1.5, 1.5, 3.0\], not \[1.0, 1.0, None\]",
        ),
    ],
)
def test_other_constants_in_the_same_out_are_refused(pelves, tmp_path, first, second, match):
    out = tmp_path / "out"
    raw = pelves / "data"
    if first["dataset"] == "folder":
        for path in raw.iterdir():  # names as other people give
            path.rename(raw / path.name.replace("_img", ""))
    run(raw=raw, out=out, **first)
    before = contents(out)
    with pytest.raises(ConfigError, match=match):
        run(raw=raw, out=out, **second)
    assert contents(out) == before


@pytest.mark.parametrize("name", ["image_1.nii.gz", "dataset.json"])
def test_a_folder_with_data_of_others_is_left_alone(pelves, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"labels": {"liver": 1}}')
    with pytest.raises(ConfigError, match="holds data that psmnet prepare didn't write; choose another folder"):
        run("pelvic", pelves, out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == '{"labels": {"liver": 1}}'


def test_one_writer_at_a_time(pelves, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".psmnet.lock").write_text(f"{os.getpid()}\n{os.uname().nodename}\n")
    with pytest.raises(InputError, match="is being written by process"):
        run("pelvic", pelves, out)


# ---- cases that fail --------------------------------------------------------------------------------------------


def test_a_failed_case_leaves_nothing_and_comes_when_it_is_mended(pelves, tmp_path):
    out, bad = tmp_path / "out", PELVIC_PIDS[1]
    path = pelves / "data" / f"{bad}_img.nii"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    result = run("pelvic", pelves, out)
    assert list(result.failed) == [bad]
    assert result.made == [PELVIC_PIDS[0], PELVIC_PIDS[2]]
    assert list(read_dataset_file(out).cases) == result.made
    assert not [name for name in contents(out) if bad in name or name.startswith(".")]
    path.write_bytes(whole)
    result = run("pelvic", pelves, out)
    assert (result.made, result.failed) == ([bad], {})


def test_a_case_that_is_there_stays_while_its_source_can_not_be_reached(pelves, tmp_path):
    out, bad = tmp_path / "out", PELVIC_PIDS[1]
    run("pelvic", pelves, out)
    before = contents(out)
    (pelves / "data" / f"{bad}_img.nii").unlink()
    (pelves / "data" / f"{bad}_img.nii").symlink_to("/not/mounted")
    result = run("pelvic", pelves, out)
    assert f"{bad}_img.nii (No such file or directory)" in str(result.failed[bad])
    assert contents(out) == before


def test_a_case_whose_source_was_spoilt_since_goes(pelves, tmp_path):
    out, bad = tmp_path / "out", PELVIC_PIDS[1]
    run("pelvic", pelves, out)
    shutil.copy(pelves / "data" / f"{PELVIC_PIDS[0]}_mask.nii", pelves / "data" / f"{bad}_mask.nii")
    result = run("pelvic", pelves, out)
    assert "lies elsewhere" in str(result.failed[bad])
    assert list(read_dataset_file(out).cases) == [PELVIC_PIDS[0], PELVIC_PIDS[2]]
    assert not [name for name in contents(out) if bad in name]


def test_what_a_process_left_that_was_killed_at_work_is_cleared(pelves, tmp_path):
    def leave(done, case_id, total):
        (tmp_path / "out" / f".tmp-{case_id}.nii.gz").touch()

    prepare_dataset(PrepareSpec("pelvic"), pelves, tmp_path / "out", jobs=1, report=leave)
    assert not list((tmp_path / "out").glob(".tmp*"))


def test_a_full_disk_leaves_no_half_case(pelves, tmp_path):
    resource = pytest.importorskip("resource")
    out, limits = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    run("pelvic", pelves, tmp_path / "reference")
    sizes = {name: len(content) for name, content in contents(tmp_path / "reference").items()}
    assert max(sizes[f"label_{pid}.nii.gz"] for pid in PELVIC_PIDS[:3]) < 12_000
    assert min(sizes[f"image_{pid}.nii.gz"] for pid in PELVIC_PIDS[:3]) > 12_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, limits[1]))  # labels fit, images don't
    try:
        result = run("pelvic", pelves, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(result.failed) == set(PELVIC_PIDS[:3])
    assert all("can't write" in str(error) for error in result.failed.values())
    assert list(contents(out)) == [DATASET_NAME]
    assert run("pelvic", pelves, out).made == list(PELVIC_PIDS[:3])


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk(tmp_path):
    pelvic(tmp_path / "raw")
    (tmp_path / "disk").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", tmp_path / "disk"], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount here")
    try:
        out = tmp_path / "disk" / "out"
        result = run("pelvic", tmp_path / "raw", out)
        assert result.made
        assert result.failed
        assert len(result.made) + len(result.failed) == len(PELVIC_PIDS)
        whole = {f"{kind}_{pid}.nii.gz" for kind in ("image", "label") for pid in result.made}
        assert set(contents(out)) == {*whole, DATASET_NAME}
        assert list(read_dataset_file(out).cases) == sorted(result.made)
        subprocess.run(["mount", "-o", "remount,size=10m", tmp_path / "disk"], check=True)
        again = run("pelvic", tmp_path / "raw", out)
        assert (sorted(again.made), again.kept) == (sorted(result.failed), sorted(result.made))
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


def test_remarks_of_scans_in_a_folder_with_a_short_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain(Path("a"), abdomens(["b", "c"]), "{}.nii.gz", None)
    Path("a/c.nii.gz").write_bytes(b"nothing of the kind")
    result = run("folder", Path("a"), Path("out"))
    assert str(result.failed["c"]).startswith("c.nii.gz is not a NIfTI image")


@pytest.mark.parametrize("packed", [False, True])
def test_remarks_name_files_as_they_lie_in_the_download(pelves, tmp_path, packed):
    for path in (pelves / "data").glob(f"{PELVIC_PIDS[0]}_*.nii"):
        content = bytearray(path.read_bytes())
        struct.pack_into("<2h", content, 252, 0, 0)  # no stored orientation
        path.write_bytes(content)
    (pelves / "data" / f"{PELVIC_PIDS[1]}_img.nii").write_bytes(b"nothing of the kind")
    root = zipped(pelves, tmp_path / "mine.zip") if packed else pelves
    result = run("pelvic", root, tmp_path / "out")
    _, note = result.notes  # the first says that 586 cases are missing
    assert note.startswith(f"data/{PELVIC_PIDS[0]}_img.nii stores no orientation")
    assert result.dataset.cases[PELVIC_PIDS[0]].notes == [note]
    assert str(result.failed[PELVIC_PIDS[1]]).startswith(f"data/{PELVIC_PIDS[1]}_img.nii ")
    assert run("pelvic", root, tmp_path / "out").notes == result.notes  # they are told again


# ---- side by side -----------------------------------------------------------------------------------------------


def test_two_processes_give_the_same_bytes_as_one(tmp_path):
    """Anybody's scans: survey and cases in parallel, labels without names, a case that fails, and a zip."""
    cases = abdomens(["a", "b", "c", "d"])
    plain(tmp_path / "raw", cases, "images/{}.nii.gz", "labels/{}.nii.gz")
    (tmp_path / "raw" / "images" / "c.nii.gz").write_bytes(b"nothing")
    archive = zipped(tmp_path / "raw", tmp_path / "mine.zip")
    one, two = (run("folder", archive, tmp_path / f"out{jobs}", jobs=jobs) for jobs in (1, 2))
    assert list(one.failed) == list(two.failed) == ["c"]
    assert sorted(two.made) == ["a", "b", "d"]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
