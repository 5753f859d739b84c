import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from psmnet.config import PRESETS, AugmentConfig, ModelConfig, Preset, TrainConfig
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.store import LIST_NAME
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.evaluation.bench import run as bench
from psmnet.evaluation.bench.recipe import BenchRecipe, MethodEntry
from psmnet.evaluation.bench.run import BenchFolders, Progress, found_finished, run_benchmark, steps_done
from psmnet.evaluation.results_reader import find_results
from psmnet.evaluation.results_schema import PLAN_NAME, masks_folder
from psmnet.io import write_volume
from psmnet.models import build_model
from psmnet.system.files import sha256_of
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec

TINY = Preset(
    ModelConfig(channels=16, input_size=64),
    TrainConfig(steps=3, pairs=1, targets=2, checkpoint_every=1, augment=AugmentConfig(elastic_alpha_px=0)),
)


@pytest.fixture(autouse=True)
def _little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny network, and a registration that hardly begins: no figure is looked at here."""
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    monkeypatch.setattr("psmnet.segmentation.scan_alignment.AFFINE_STEPS", 1)
    monkeypatch.setattr("psmnet.segmentation.scan_alignment.SPLINE_STEPS", 1)


def recipe_of(*methods: str, **changes) -> BenchRecipe:
    entries = tuple(MethodEntry(method) for method in methods)
    options = {"folds": (0,), "support_cases": 2, "preset": "tiny"} | changes
    return BenchRecipe("phantom", entries, **options)


@pytest.fixture
def places(phantoms: Path, tmp_path: Path) -> BenchFolders:
    return BenchFolders(phantoms, tmp_path / "out", tmp_path / "runs")


def run(recipe: BenchRecipe, places: BenchFolders) -> dict[str, list[Path]]:
    found = {}
    for job, result in run_benchmark(recipe, places):
        assert not isinstance(result, PsmnetError), result
        found[job.title()] = result
    return found


def test_every_cell_is_trained_and_scored(places):
    recipe = recipe_of("psmnet", "adnet", protocols=("ep1", "ep2", "blind"), shots=(1, 2), each_support=True)
    found = run(recipe, places)
    assert list(found) == ["s1 psmnet fold0_seed0", "s1 adnet fold0_seed0"]
    for method in ("psmnet", "adnet"):
        files = found[f"s1 {method} fold0_seed0"]
        assert len(files) == 3 * 3  # protocols x (1 shot, 2 shots, the other support)
        for path in files:
            results = json.loads(path.read_text())
            assert path.parts[-5:-1] == ("phantom", "s1", results["protocol"], method)
            assert results["method"] == method
            assert results["provenance"]["trained_on"]["steps"] == 3
            assert (
                results["provenance"]["supports"]
                == {
                    "fold0_seed0.json": ["2"],
                    "fold0_seed0_shots2.json": ["2", "3"],
                    "fold0_seed0_support3.json": ["3"],
                }[path.name]
            )
    assert steps_done(recipe, places) == (6, 6)


def test_pseudolabels_are_made_once_beside_the_trainings(places):
    run(recipe_of("psmnet", "panet"), places)
    assert (places.runs / "phantom" / "pseudolabels" / LIST_NAME).exists()
    assert not list(places.runs.glob("phantom/s1/*/*/pseudolabels"))
    assert not (places.data / LIST_NAME).exists()


def test_what_is_finished_is_not_done_again(places, monkeypatch):
    recipe = recipe_of("panet")
    (files,) = run(recipe, places).values()
    before = {path: path.read_bytes() for path in files}

    def never(*_args, **_options):
        raise AssertionError("done again")

    monkeypatch.setattr(bench, "run_training", never)
    monkeypatch.setattr(bench, "evaluate", never)
    (again,) = run(recipe, places).values()
    assert {path: path.read_bytes() for path in again} == before


def test_a_new_protocol_uses_the_training_that_is_there(places):
    (first,) = run(recipe_of("panet"), places).values()
    weights = next(places.runs.rglob("weights.safetensors"))
    made = weights.stat().st_mtime_ns
    (both,) = run(recipe_of("panet", protocols=("ep1", "blind")), places).values()
    assert set(first) < set(both)
    assert weights.stat().st_mtime_ns == made
    assert len({json.loads(path.read_text())["provenance"]["weights_sha256"] for path in both}) == 1


def test_settings_after_training_need_no_training_of_their_own(places):
    entries = (MethodEntry("psmnet"), MethodEntry("psmnet", after=("split_rounds=0",)))
    recipe = BenchRecipe("phantom", entries, folds=(0,), preset="tiny")
    (files,) = run(recipe, places).values()
    assert [path.parent.name for path in files] == ["psmnet", "psmnet-split_rounds=0"]
    first, second = (json.loads(path.read_text()) for path in files)
    assert first["provenance"]["weights_sha256"] == second["provenance"]["weights_sha256"]
    assert (first["variant"], second["variant"]) == (None, "split_rounds=0")
    assert len(list(places.runs.rglob("weights.safetensors"))) == 1


def test_the_same_seed_gives_the_same_figures_bit_for_bit_and_another_seed_others(places, tmp_path):
    (first,) = run(recipe_of("psmnet"), places).values()
    elsewhere = BenchFolders(places.data, tmp_path / "out2", tmp_path / "runs2")
    (again,) = run(recipe_of("psmnet"), elsewhere).values()
    (other,) = run(recipe_of("psmnet", seeds=(1,)), elsewhere).values()
    sums = [json.loads(path.read_text())["provenance"]["weights_sha256"] for (path,) in (first, again, other)]
    records = [json.loads(path.read_text())["cases"] for (path,) in (first, again, other)]
    assert sums[0] == sums[1] != sums[2]
    assert records[0] == records[1] != records[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 2}, "with steps 3, not 2"),
        ({"support_cases": 2}, "with case 3, 4, 5, 6 in training, not 4, 5, 6 (another support_cases?)"),
        ({"scheme": "adnet"}, "with folds ouyang, not adnet"),
        ({"precision": "bfloat16"}, "with precision float32, not bfloat16"),
    ],
)
def test_results_of_another_training_are_not_taken_for_this_one(places, changes, message):
    run(recipe_of("panet", support_cases=1), places)
    ((_, result),) = run_benchmark(recipe_of("panet", **{"support_cases": 1} | changes), places)
    assert isinstance(result, ConfigError)
    assert message in str(result)


@pytest.mark.parametrize("method", ["panet", "registration"])
def test_results_of_other_scans_are_not_taken_for_these(places, method, tmp_path):
    recipe = recipe_of(method)
    run(recipe, places)
    other = tmp_path / "other"
    shutil.copytree(places.data, other)
    image, labels = draw_patient(99, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
    write_volume(image, other / "image_1.nii.gz")
    write_volume(labels, other / "label_1.nii.gz")
    ((_, result),) = run_benchmark(recipe, BenchFolders(other, places.out, places.runs))
    assert isinstance(result, ConfigError)
    assert "was made of scans with other content" in str(result)


def test_masks_that_are_asked_for_later_are_made_without_training_again(places, monkeypatch):
    recipe = recipe_of("panet")
    ((path,),) = run(recipe, places).values()
    made = next(places.runs.rglob("weights.safetensors")).stat().st_mtime_ns
    run(recipe, BenchFolders(places.data, places.out, places.runs, save_masks=True))
    assert masks_folder(path).is_dir()
    assert next(places.runs.rglob("weights.safetensors")).stat().st_mtime_ns == made


def test_whatever_fails_in_a_cell_the_others_go_on(places, monkeypatch):
    real = bench.evaluate

    def breaks(method, *args, **options):
        if method.config.method == "panet":
            raise RuntimeError("out of luck")
        return real(method, *args, **options)

    monkeypatch.setattr(bench, "evaluate", breaks)
    failed, good = dict(run_benchmark(recipe_of("panet", "alpnet"), places)).values()
    assert "s1 panet fold0_seed0: RuntimeError: out of luck" in str(failed)
    assert len(good) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (MethodEntry("panet", after=("colour=1",)), "setting 'colour'"),
        (MethodEntry("panet", set=("grid=-1",)), "grid is -1"),
        (MethodEntry("registration", set=("spline=maybe",)), "spline=maybe; give true or false"),
    ],
)
def test_settings_that_are_not_there_are_said_before_anything_is_trained(places, entry, message):
    recipe = BenchRecipe("phantom", (MethodEntry("alpnet"), entry), folds=(0,), preset="tiny")
    with pytest.raises(ConfigError, match=message):
        run(recipe, places)
    assert not places.runs.exists()


def test_a_place_that_can_not_be_written_is_said_before_anything_is_trained(places):
    places.out.write_text("a file")
    with pytest.raises(InputError, match="can't write"):
        run(recipe_of("panet"), places)


def test_a_training_that_fails_does_not_stop_the_others(places):
    bad = places.runs / "phantom" / "s1" / "panet" / "fold0_seed0"
    bad.mkdir(parents=True)
    (bad / "checkpoint.safetensors").write_bytes(b"nothing")
    outcomes = dict(run_benchmark(recipe_of("panet", "alpnet"), places))
    failed, good = outcomes.values()
    assert isinstance(failed, PsmnetError)
    assert len(good) == 1


def test_masks_are_kept_where_they_are_asked_for(places):
    places = BenchFolders(places.data, places.out, places.runs, save_masks=True)
    ((path,),) = run(recipe_of("panet"), places).values()
    records = json.loads(path.read_text())["cases"]
    assert len(list(masks_folder(path).glob("*.nii.gz"))) == len(records)


def test_a_fold_that_is_not_there_is_said_before_anything_is_trained(places):
    with pytest.raises(ConfigError, match="no fold 7"):
        run(recipe_of("panet", folds=(0, 7)), places)
    assert not places.runs.exists()


def test_a_damaged_result_is_made_again(places):
    recipe = recipe_of("registration")
    (path,) = run(recipe, places)["s1 registration fold0"]
    whole = json.loads(path.read_text())
    path.write_text('{"schema')
    assert run(recipe, places)["s1 registration fold0"] == [path]
    again = json.loads(path.read_text())
    assert again["cases"] == whole["cases"]


def test_a_file_that_is_no_result_is_left_alone(places):
    recipe = recipe_of("registration")
    ((path,),) = run(recipe, places).values()
    path.write_text('{"mine": 1}')
    ((_, refusal),) = run_benchmark(recipe, places)
    assert "is not a results file of psmnet; move it away" in str(refusal)
    assert path.read_text() == '{"mine": 1}'


def test_what_is_asked_for_is_listed(places):
    run(recipe_of("registration"), places)
    list(run_benchmark(recipe_of("registration", protocols=("blind",)), places))
    listed = json.loads((places.out / PLAN_NAME).read_text())["results"]
    assert listed == ["phantom/s1/blind/registration/fold0.json", "phantom/s1/ep1/registration/fold0.json"]


def test_methods_that_begin_with_the_same_weights_share_their_encoder_and_are_told_apart(places, tmp_path):
    """Its own parts, as ADNet's threshold, each method begins anew; results from scratch are no results of these."""
    first = run_training(RunSpec("synthetic", preset="tiny", steps=1), tmp_path / "first", device=torch.device("cpu"))
    recipe = recipe_of("psmnet", "adnet", init=str(first), steps=1)
    for (path,) in run(recipe, places).values():
        trained_on = json.loads(path.read_text())["provenance"]["trained_on"]
        assert trained_on["init"] == sha256_of(first)
    ((_, refusal),) = run_benchmark(recipe_of("adnet", steps=1), places)
    assert "was made with init" in str(refusal)


def test_what_an_earlier_run_left_is_counted(places):
    recipe = recipe_of("panet", "registration", protocols=("ep1", "ep2"))
    assert found_finished(recipe, places) == Progress(0, 4, 0, 1)
    run(recipe_of("panet"), places)
    assert found_finished(recipe, places) == Progress(1, 4, 1, 1)
    run(recipe, places)
    assert found_finished(recipe, places) == Progress(4, 4, 1, 1)


def test_pseudolabels_of_another_folder_are_used(places, tmp_path):
    run(recipe_of("panet"), places)
    made = tmp_path / "made"
    shutil.move(places.runs / "phantom" / "pseudolabels", made)
    given = BenchFolders(places.data, tmp_path / "out2", tmp_path / "runs2", pseudolabels=made)
    run(recipe_of("panet"), given)
    assert not list(given.runs.rglob(LIST_NAME))
    weights = [next(folder.rglob("weights.safetensors")).read_bytes() for folder in (places.runs, given.runs)]
    assert weights[0] == weights[1]
    with pytest.raises(InputError, match="no folder"):
        run(recipe_of("panet"), BenchFolders(places.data, places.out, places.runs, pseudolabels=tmp_path / "none"))


def test_weights_are_scored_as_they_are(places, tmp_path):
    first = run_training(RunSpec("synthetic", preset="tiny", steps=1), tmp_path / "first", device=torch.device("cpu"))
    entries = (
        MethodEntry("psmnet", weights=str(first)),
        MethodEntry("psmnet", weights=str(first), after=("split_rounds=0",)),
    )
    recipe = BenchRecipe("phantom", entries, folds=(0,))
    (files,) = run(recipe, places).values()
    assert [path.parent.name for path in files] == ["psmnet-weights", "psmnet-weights-split_rounds=0"]
    assert {json.loads(path.read_text())["provenance"]["weights_sha256"] for path in files} == {sha256_of(first)}
    assert json.loads(files[1].read_text())["variant"] == "split_rounds=0"
    assert not list(places.runs.rglob("weights.safetensors"))
    assert steps_done(recipe, places) == (0, 0)
    other = RunSpec("synthetic", preset="tiny", steps=1, seed=1)
    shutil.copy(run_training(other, tmp_path / "other", device=torch.device("cpu")), first)
    ((_, refusal),) = run_benchmark(recipe, places)
    assert "was made with weights" in str(refusal)


def test_a_recipe_may_begin_with_a_published_encoder(places, tmp_path, monkeypatch):
    config = ModelConfig(encoder="resnet18", channels=16, input_size=64)
    monkeypatch.setitem(PRESETS, "tiny", Preset(config, TINY.train))
    published = tmp_path / "resnet18.safetensors"
    save_file(build_model(config).encoder.state_dict(), published)
    checksum = sha256_of(published)
    begun = {"steps": 1, "encoder_weights": str(published), "encoder_sha256": checksum}
    ((path,),) = run(recipe_of("panet", **begun), places).values()
    assert json.loads(path.read_text())["provenance"]["trained_on"]["encoder_weights"] == checksum
    ((file,), _) = find_results([path])
    assert file.start_weights == checksum
    ((_, refusal),) = run_benchmark(recipe_of("panet", steps=1), places)
    assert "was made with encoder_weights" in str(refusal)
    with pytest.raises(InputError, match="has SHA-256"):
        run(recipe_of("panet", **begun | {"encoder_sha256": "00" * 32}), places)


def test_an_institution_needs_its_own_folds(places):
    with pytest.raises(ConfigError, match="institution 'UCL' with folds ouyang"):
        run(recipe_of("panet", institution="UCL"), places)
    recipe = recipe_of("panet", institution="UCL", scheme="li")
    (task,) = recipe.tasks()
    assert (task.name, task.spec().institution, task.spec().folds) == ("UCL_fold0_seed0", "UCL", "li")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "registration", "weights": "bundled"}, "weights for registration, which is not trained"),
        ({"method": "psmnet", "weights": "bundled", "set": ("grid=0",)}, "with set, which is for training"),
    ],
)
def test_weights_where_they_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        MethodEntry(**options)


def test_encoder_weights_need_their_checksum():
    with pytest.raises(ConfigError, match="belong together"):
        recipe_of("panet", encoder_weights="resnet.pth")
