"""Who votes on a scan, and how votes are averaged."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.learnings import LABELS, cohort_of, quick_job, quick_settings
from psmnet.io import read_volume
from psmnet.learning.first_masks import FIRST, FirstMask
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.vote import PseudoSupport, Vote, earlier_votes, pseudo_supports
from psmnet.segmentation.learned_weights import load_learned


def first_mask(name: str, *confidence: float) -> FirstMask:
    return FirstMask(name, name, "", 5.0, confidence, None)


def test_the_scans_whose_least_sure_organ_is_surest_vote():
    first = [first_mask("a", 0.9, 0.5), first_mask("b", 0.7, 0.7), first_mask("c", 1.0, 0.0), first_mask("d", 0.6, 0.7)]
    assert [one.name for one in pseudo_supports(first, 3)] == ["b", "d", "a"]
    assert [one.name for one in pseudo_supports(first, 9)] == ["b", "d", "a", "c"]
    assert pseudo_supports(first, 0) == pseudo_supports(first, -1) == []


def test_equally_sure_scans_are_taken_by_name():
    assert [one.name for one in pseudo_supports([first_mask("b", 0.7), first_mask("a", 0.7)], 2)] == ["a", "b"]


def test_an_earlier_network_has_the_votes_of_those_it_replaces():
    assert [earlier_votes(4, labelled) for labelled in (1, 2, 4, 7)] == [3, 2, 1, 1]


class Voter:
    """Says the same of every voxel."""

    def __init__(self, **levels: int) -> None:
        self.levels = {int(value.removeprefix("label_")): level for value, level in levels.items()}
        self.label_values = tuple(self.levels)

    def examine(self, scan: Any, *, probabilities: bool) -> Any:
        return SimpleNamespace(
            probabilities={
                value: np.full(scan.array_zyx.shape, level, dtype=np.uint8) for value, level in self.levels.items()
            }
        )


@pytest.fixture
def setting(data, tiny_weights, tmp_path):
    """A vote on phantom 2, whose first masks have 100 everywhere, and the middle of its result."""
    job = quick_job(data, tiny_weights, tmp_path / "run")
    loaded = job.load()
    job = job.with_key(loaded)
    query = cohort_of(data)[0]
    scan = read_volume(query.path)
    height, width = loaded.view.grid(loaded.view.turn(scan)[0].apply(scan)).padded_yx
    levels = np.full((2, len(scan.array_zyx), height, width), 100, dtype=np.uint8)
    ScanStore(job.work, query.name).save(FIRST, "f", probabilities=levels)

    def voted(pseudo: dict[str, Voter], labelled: tuple[Voter, ...] = (), loaded: Any = loaded, job: Any = job) -> Any:
        vote = Vote(job, [PseudoSupport(one, one.name) for one in cohort_of(data) if one.name in pseudo], loaded)
        vote.__dict__["_pseudo"], vote.__dict__["_labelled"] = pseudo, list(labelled)
        found = vote((query, "f"))
        probabilities = ScanStore(job.work, query.name).load("vote", found.key)["probabilities"]
        return found, probabilities[:, 6, height // 2, width // 2].tolist()

    return voted, loaded, job


def test_first_masks_and_pseudo_supports_are_averaged(setting):
    """(100 + 200 + 150) / 3 and (100 + 50 + 0) / 3."""
    voters = {"image_3": Voter(label_1=200, label_4=50), "image_4": Voter(label_1=150, label_4=0)}
    assert setting[0](voters)[1] == [150, 50]


def test_voters_that_lack_an_organ_do_not_vote_on_it(setting):
    """(100 + 200) / 2 of the first; 100 of the second, which the voter does not know."""
    assert setting[0]({"image_3": Voter(label_1=200)})[1] == [150, 100]


def test_a_scan_does_not_vote_on_itself(setting):
    voters = {"image_2": Voter(label_1=0, label_4=0), "image_3": Voter(label_1=200, label_4=200)}
    assert setting[0](voters)[1] == [150, 150]


def test_several_labelled_scans_vote_one_by_one_in_place_of_the_first_masks(setting):
    labelled = (Voter(label_1=60, label_4=40), Voter(label_1=120))
    assert setting[0]({}, labelled)[1] == [90, 40]


def test_nobody_else_votes(setting):
    found, levels = setting[0]({})
    assert levels == [100, 100]
    assert found.agreement is None


def test_the_key_tells_who_voted(setting):
    voted = setting[0]
    one, two = {"image_3": Voter(label_1=1)}, {"image_4": Voter(label_1=1)}
    keys = [voted(voters)[0].key for voters in ({}, one, two, one)]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_the_earlier_network_votes_for_three(setting, learned_once, monkeypatch):
    """(100 + 3 * 200) / 4 and (100 + 3 * 0) / 4."""
    voted, loaded, job = setting
    network = load_learned(learned_once / "run")
    assert tuple(network.organs) == LABELS

    def predicted(self: Vote, weights: Any, seen: Any) -> np.ndarray:
        levels = np.zeros((2, *loaded.view.images(seen).shape), dtype=np.float32)
        levels[0] = 200
        return levels

    monkeypatch.setattr(Vote, "_predicted", predicted)
    settings = quick_settings(voters=4)
    assert voted({}, loaded=replace(loaded, earlier=network), job=replace(job, settings=settings))[1] == [175, 25]


def test_what_an_earlier_network_predicts(setting, learned_once, data):
    _, loaded, job = setting
    network = load_learned(learned_once / "run")
    scan = read_volume(data / "image_2.nii.gz")
    seen = network.view.turn(scan)[0].apply(scan)
    found = Vote(job, (), loaded)._predicted(network, seen)
    stacks = next(network.view.stacks(seen, len(seen.array_zyx)))[1]
    assert np.abs(found - 255 * network.model.probabilities(stacks).movedim(0, 1).numpy()).max() < 0.01


def test_misplaced_organs_of_pseudo_supports_do_not_vote(setting, data):
    """Of one scan an organ hardly overlaps with registration, of another both do."""
    _, loaded, job = setting
    three, four = cohort_of(data)[1:3]
    for query, agreement in ((three, (0.21, 0.19)), (four, (0.1, 0.0))):
        labels = np.zeros(read_volume(query.path).array_zyx.shape, dtype=np.uint8)
        labels[5:8, 20:40, 10:30], labels[5:8, 20:40, 40:50] = LABELS
        ScanStore(job.work, query.name).save(FIRST, "f", labels=labels, agreement=np.array(agreement))
    vote = Vote(job, [PseudoSupport(one, "f") for one in (three, four)], loaded)
    assert {name: one.label_values for name, one in vote._pseudo.items()} == {three.name: (LABELS[0],)}
