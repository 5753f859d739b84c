import dataclasses
from pathlib import Path

import pytest
import torch

from helpers.learned import ORGANS, learned_from, save_learned_from
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.models.weights import is_learned, load_tensors, load_weights, save_tensors
from psmnet.segmentation.learned_segmenter import LearnedSegmenter
from psmnet.segmentation.learned_weights import load_learned
from psmnet.segmentation.methods import load_comparing, load_method, method_name
from psmnet.segmentation.segmenter import Segmenter
from psmnet.segmentation.weights_facts import describe_weights
from psmnet.system.files import sha256_of


@pytest.fixture(scope="module")
def images():
    return [draw_patient(n, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))[0] for n in (1, 2)]


@pytest.fixture(scope="module")
def file(tmp_path_factory, images) -> Path:
    return save_learned_from(images, tmp_path_factory.mktemp("learned") / "weights.safetensors")


def test_what_is_read_is_what_was_written(file, images):
    written, read = learned_from(images), load_learned(file)
    for field in dataclasses.fields(read):
        if field.name not in ("model", "sha256"):
            assert getattr(read, field.name) == getattr(written, field.name), field.name
    assert read.sha256 == sha256_of(file)
    assert not read.model.training
    for name, tensor in written.model.state_dict().items():
        assert torch.equal(read.model.state_dict()[name], tensor), name


def test_the_folder_of_a_run_will_do(file):
    assert load_learned(file.parent).sha256 == load_learned(file).sha256


def test_kinds_of_weights_are_told_apart_by_what_they_are(file, tiny_weights):
    assert (is_learned(file), is_learned(tiny_weights)) == (True, False)
    assert method_name(load_method(None, file)) == "learned"
    assert method_name(load_method(None, tiny_weights)) == "psmnet"
    assert isinstance(Segmenter.from_checkpoint(file, "cpu"), LearnedSegmenter)
    assert isinstance(Segmenter.from_checkpoint(tiny_weights, "cpu"), Segmenter)


@pytest.mark.parametrize("load", [load_weights, lambda path: load_comparing(None, path)])
def test_where_scans_are_compared_it_is_refused(load, file):
    with pytest.raises(InputError, match=r"weights.safetensors is a learned network: .*; segment with"):
        load(file)


def test_other_weights_are_no_learned_network(tiny_weights):
    with pytest.raises(InputError, match="is not a learned network; give the folder of a learning"):
        load_learned(tiny_weights)


@pytest.mark.parametrize("method", ["psmnet", "registration"])
def test_it_has_no_method(file, method):
    with pytest.raises(ConfigError, match=f"has no method {method}; leave method out"):
        load_method(method, file)


def test_it_has_no_settings(file):
    with pytest.raises(ConfigError, match="it has no split_rounds=0; leave changes out"):
        load_method(None, file, ["split_rounds=0"])


def test_a_damaged_file(file, tmp_path):
    damaged = tmp_path / "weights.safetensors"
    damaged.write_bytes(file.read_bytes()[:1000])
    assert not is_learned(damaged)
    with pytest.raises(InputError, match="is damaged"):
        load_learned(damaged)


def test_a_record_that_lacks_something(file, tmp_path):
    tensors, record = load_tensors(file)
    del record["learned"]["view"]
    save_tensors(tmp_path / "other.safetensors", tensors, record)
    with pytest.raises(InputError, match=r"does not fit this version of psmnet \(KeyError\); learn again"):
        load_learned(tmp_path / "other.safetensors")


def test_its_facts(file, tiny_weights):
    facts = describe_weights(file)
    assert facts["kind"] == "learned network"
    assert facts["organs"] == {str(value): organ.name for value, organ in ORGANS.items()}
    assert (facts["labelled scans"], facts["unlabelled scans"], facts["training steps"]) == (1, 2, 7)
    assert describe_weights(tiny_weights)["kind"] == "few-shot method"
