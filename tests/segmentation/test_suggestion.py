from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.models.weights import load_weights
from psmnet.segmentation.suggestion import AGREED_MM, REACH_MM, BodyPoints, agreements, cover, suggest
from psmnet.volume.volume import Volume

CPU = torch.device("cpu")


def places(*z_mm: float, kinds: Tensor | None = None, x_mm: float = 0.0) -> BodyPoints:
    """BodyPoints above each other, each of another kind unless said otherwise."""
    kinds = torch.arange(len(z_mm)) if kinds is None else kinds
    where = torch.tensor([[z, 0.0, x_mm] for z in z_mm])
    return BodyPoints(functional.one_hot(kinds, 8).half(), where)


# ---- agreement -------------------------------------------------------------------------------------------------


def test_a_scan_serves_one_that_lies_elsewhere_along_the_body():
    """All five places moved by 300 mm: all agree."""
    here, there = places(0, 50, 100, 150, 200), places(300, 350, 400, 450, 500)
    assert agreements([here, there], [0, 1]).tolist() == [[1, 1], [1, 1]]


def test_places_that_moved_otherwise_count_against_it():
    """Two of five moved further than the others, in both directions of asking; one of them just not too far."""
    here = places(0, 50, 100, 150, 200)
    assert agreements([here, places(0, 50, 100, 150 + AGREED_MM, 200 + AGREED_MM + 1)], [0, 1])[0, 1] == 0.8
    assert agreements([here, places(0, 50, 100, 190, 240)], [0, 1])[0, 1] == 0.6


def test_likes_are_not_looked_for_on_the_other_side_of_the_body():
    """A like beyond reach within slices is none: the place takes another one, at another height."""
    here = places(0, 100, 200)
    near, far = places(0, 100, 200, x_mm=REACH_MM), places(0, 100, 200, x_mm=REACH_MM + 1)
    assert agreements([here, near], [1])[0, 0] == 1
    assert agreements([here, far], [1])[0, 0] < 1


def test_agreement_is_mutual():
    """The second scan has a place that the first lacks: it takes the first's first, and moved too far."""
    here, there = places(0, 100), places(0, 100, 200)
    both = agreements([here, there], [0, 1])
    assert both[0, 1] == both[1, 0] == pytest.approx((1 + 2 / 3) / 2)


# ---- choice ----------------------------------------------------------------------------------------------------


def test_the_first_scan_agrees_best_and_the_next_covers_what_is_left():
    """Scans 0 to 2 agree, 1 best; 3 and 4 do with each other alone. The second choice is of those, not of the rest."""
    held = np.eye(5)
    held[:3, :3] = [[1, 0.9, 0.6], [0.9, 1, 0.9], [0.6, 0.9, 1]]
    held[3, 4] = held[4, 3] = 0.5
    assert cover(held, 1) == (1,)
    assert cover(held, 2) == (1, 3)  # 3 and 4 add 1.5 each; 0 and 2 a tenth
    assert len(set(cover(held, 5))) == 5


# ---- scans -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patients() -> list[Volume]:
    return [draw_patient(seed)[0] for seed in range(4)]


def shuffled(scan: Volume) -> Volume:
    """The same slices in another order: as typical as any in each slice, and of no use."""
    order = np.random.default_rng(0).permutation(len(scan.array_zyx))
    return scan.with_array(scan.array_zyx[order])


def test_a_scan_in_disorder_is_not_chosen_not_even_for_covering_itself(patients):
    odd = [patients[0], shuffled(patients[1]), *patients[2:]]
    found = suggest(odd, load_weights("bundled"), k=2, device=CPU)
    assert len(found.chosen) == 2
    assert 1 not in found.chosen
    assert found.agreement.argmin() == 1
    assert ((found.agreement > 0) & (found.agreement < 1)).all()


def test_the_choice_comes_out_again(patients, tiny_weights: Path):
    weights = load_weights(tiny_weights)
    once, again = (suggest(iter(patients), weights, k=2, device=CPU) for _ in range(2))
    assert once.chosen == again.chosen
    assert (once.agreement == again.agreement).all()


@pytest.mark.parametrize("k", [0, 4, 9])
def test_all_or_none_is_no_choice(k, patients, tiny_weights: Path):
    with pytest.raises(ConfigError, match=f"{k} of 4 scans; choose at least one, and fewer than there are"):
        suggest(patients, load_weights(tiny_weights), k=k, device=CPU)


def test_a_constant_scan_is_refused(patients, tiny_weights: Path):
    flat = patients[0].with_array(np.zeros_like(patients[0].array_zyx))
    with pytest.raises(InputError, match="constant"):
        suggest([*patients, flat], load_weights(tiny_weights), device=CPU)
