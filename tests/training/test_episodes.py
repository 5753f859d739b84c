from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from psmnet.config import AugmentConfig
from psmnet.errors import InputError
from psmnet.models.resize import resize_images
from psmnet.models.tensors import Episode
from psmnet.training.episodes import SelfSupervisedEpisodes, SliceBank, resize_ids

SIZE = 32
# At least 100 / 256^2 of 32 x 32 pixels: 1.56, so two pixels.
STILL = AugmentConfig(
    rotation_deg=0, shear_deg=0, shift_px=0, scale=(1, 1), elastic_alpha_px=0, elastic_sigma_px=5, gamma=(1, 1)
)


def quarters() -> np.ndarray:
    """Ids 1 to 4, one a quarter, inside a rim of 0."""
    ids = np.zeros((SIZE, SIZE), np.int32)
    ids[2:16, 2:16], ids[2:16, 16:30], ids[16:30, 2:16], ids[16:30, 16:30] = 1, 2, 3, 4
    return ids


def bank(slices: int = 5) -> SliceBank:
    """Slices that are told apart by their brightest pixel, their number + 1."""
    images = np.random.default_rng(0).uniform(0, 0.5, (slices, SIZE, SIZE)).astype(np.float32)
    images[:, 0, 0] = np.arange(slices) + 1
    ids = np.repeat(quarters()[None], slices, axis=0)
    return SliceBank.of_volumes([(images, ids, np.ones(slices, bool))], SIZE)


def episodes(
    pairs: int, targets: int = 3, augment: AugmentConfig | None = None, seed: int = 0
) -> SelfSupervisedEpisodes:
    return SelfSupervisedEpisodes(bank(), pairs, targets, augment or AugmentConfig(bias_field=0.2, noise=0.1), seed)


def tensors(episode: Episode) -> list[Tensor]:
    return [getattr(episode, field.name) for field in fields(episode)]


def listed(source: SelfSupervisedEpisodes, batches: int) -> list[Tensor]:
    """All episodes of some batches, by field."""
    return [torch.cat(parts) for parts in zip(*(tensors(source.batch(i)) for i in range(batches)), strict=True)]


def test_shapes_and_types():
    episode = episodes(pairs=2, targets=3).batch(0)
    assert episode.support_images.shape == (2, 1, 1, SIZE, SIZE)
    assert episode.support_masks.shape == (2, 1, 3, SIZE, SIZE)
    assert episode.query_images.shape == (2, 1, SIZE, SIZE)
    assert episode.query_masks.shape == (2, 3, SIZE, SIZE)
    assert episode.valid.shape == (2, 3)
    assert episode.valid.dtype == torch.bool
    assert set(episode.query_masks.unique().tolist()) == {0.0, 1.0}
    assert set(episode.support_masks.unique().tolist()) == {0.0, 1.0}


def test_batch_composition_does_not_matter():
    for by_two, by_three in zip(listed(episodes(pairs=2), 3), listed(episodes(pairs=3), 2), strict=True):
        assert torch.equal(by_two, by_three)


def test_history_does_not_matter():
    fresh, used = episodes(pairs=2), episodes(pairs=2)
    used.batch(0)
    used.batch(5)
    for first, second in zip(tensors(fresh.batch(3)), tensors(used.batch(3)), strict=True):
        assert torch.equal(first, second)


def test_seeds_and_numbers_differ():
    zero, one = listed(episodes(pairs=4), 2)[0], listed(episodes(pairs=4, seed=1), 2)[0]
    everything = torch.cat([zero, one]).flatten(1)
    assert len(everything.unique(dim=0)) == 16


def test_the_global_generator_neither_matters_nor_moves():
    torch.manual_seed(1)
    first = episodes(pairs=2).batch(0)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = episodes(pairs=2).batch(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


def test_support_and_query_are_two_views_of_one_slice():
    episode = episodes(pairs=6).batch(0)
    assert not torch.equal(episode.support_images[:, 0], episode.query_images)
    still = episodes(pairs=6, augment=STILL).batch(0)
    torch.testing.assert_close(still.support_images[:, 0], still.query_images)
    assert torch.equal(still.support_masks[:, 0], still.query_masks)


def test_targets_of_an_episode_are_different_superpixels():
    episode = episodes(pairs=8, targets=4, augment=STILL).batch(0)
    quarter_areas = torch.tensor([float(14 * 14)] * 4)
    for masks in episode.query_masks:
        assert torch.equal(masks.sum(dim=(1, 2)), quarter_areas)
        assert masks.sum(dim=0).max() == 1


def test_all_slices_and_superpixels_are_drawn():
    batch = episodes(pairs=60, targets=1, augment=STILL).batch(0)
    assert batch.query_images[:, 0, 0, 0].round().unique().tolist() == [1, 2, 3, 4, 5]
    corners = batch.query_masks[:, 0, [5, 5, 25, 25], [5, 25, 5, 25]]
    assert (corners.sum(dim=0) > 0).all()


def test_a_slice_with_fewer_superpixels_is_padded():
    episode = episodes(pairs=3, targets=6).batch(0)
    assert episode.query_masks.shape == (3, 6, SIZE, SIZE)
    assert not episode.valid[:, 4:].any()
    assert (episode.query_masks[:, 4:] == 0).all()
    assert (episode.support_masks[:, :, 4:] == 0).all()


def test_episodes_are_never_empty_even_if_warps_throw_all_out():
    far = AugmentConfig(shift_px=2560, elastic_alpha_px=0)  # up to ten slices away
    batch = episodes(pairs=20, augment=far).batch(0)
    assert batch.valid.any(dim=1).all()
    assert (batch.support_masks[:, 0].sum(dim=(2, 3))[batch.valid] > 0).all()
    assert (batch.query_masks.sum(dim=(2, 3))[batch.valid] > 0).all()
    # Both views can't land in the slice in eight tries: the plain slice serves.
    assert torch.equal(batch.support_masks[:, 0], batch.query_masks)


def test_a_slice_without_a_usable_superpixel_is_dropped():
    images = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, SIZE, SIZE), np.float32)
    ids = np.repeat(quarters()[None], 4, axis=0)
    ids[1] = 0
    ids[2] = 0
    ids[2, 5, 5] = 1  # one pixel, too small for a target
    kept = SliceBank.of_volumes([(images, ids, np.ones(4, bool))], SIZE)
    assert kept.images[:, 0, 0, 0].tolist() == [0, 3]
    assert len(kept.ids) == 2


def test_only_allowed_slices_are_taken():
    images = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, SIZE, SIZE), np.float32)
    ids = np.repeat(quarters()[None], 4, axis=0)
    allowed = np.array([False, True, True, False])
    nothing = np.zeros(4, bool)
    kept = SliceBank.of_volumes([(images, ids, allowed), (images, ids, nothing)], SIZE)
    assert kept.images[:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("allowed", [True, False])
def test_no_usable_slice_at_all_is_an_error(allowed: bool):
    images = np.zeros((2, SIZE, SIZE), np.float32)
    ids = np.repeat(quarters()[None], 2, axis=0) * (not allowed)
    with pytest.raises(InputError, match="no training slice has a usable target"):
        SliceBank.of_volumes([(images, ids, np.full(2, allowed))], SIZE)
    with pytest.raises(InputError):
        SliceBank.of_volumes([], SIZE)


def test_slices_of_other_sizes_are_brought_to_one():
    wide, small = np.zeros((1, 50, 70), np.float32), np.ones((1, 20, 20), np.float32)
    volumes = [(image, np.full(image.shape, 700, np.int32), np.ones(1, bool)) for image in (wide, small)]
    kept = SliceBank.of_volumes(volumes, SIZE)
    assert kept.images.shape == (2, 1, SIZE, SIZE)
    assert kept.ids.shape == (2, SIZE, SIZE)
    assert (kept.ids == 700).all()


def test_resizing_ids_invents_none_and_images_keep_their_mean():
    ids = torch.tensor([[[1, 1, 9, 9], [1, 1, 9, 9], [4, 4, 0, 0], [4, 4, 0, 0]]])
    assert resize_ids(ids, 2).tolist() == [[[1, 9], [4, 0]]]
    assert set(resize_ids(ids, 7).unique().tolist()) == {0, 1, 4, 9}
    image = torch.full((1, 1, 9, 5), 2.5)
    torch.testing.assert_close(resize_images(image, 4), torch.full((1, 1, 4, 4), 2.5))


# ---- supervoxels: the query may be a neighbour -------------------------------------------------------------------


def two_scans() -> SliceBank:
    """Two scans of four slices; the first's slice 2 may not be used; slices shine with 10 x scan + position + 1."""
    volumes = []
    for scan in range(2):
        images = np.zeros((4, SIZE, SIZE), np.float32)
        images[:, 0, 0] = 10 * scan + np.arange(4) + 1
        ids = np.repeat(quarters()[None], 4, axis=0)
        volumes.append((images, ids, np.array([True, True, scan == 1, True])))
    return SliceBank.of_volumes(volumes, SIZE)


def pairs_of(source: SelfSupervisedEpisodes, batches: int = 40) -> set[tuple[int, int]]:
    """Support and query of many episodes, by their brightest pixel."""
    support_images, _, query_images, _, _ = listed(source, batches)
    supports, queries = support_images.amax(dim=(1, 2, 3, 4)), query_images.amax(dim=(1, 2, 3))
    return {(round(s), round(q)) for s, q in zip(supports.tolist(), queries.tolist(), strict=True)}


def test_superpixels_pair_a_slice_with_itself():
    assert pairs_of(SelfSupervisedEpisodes(two_scans(), 2, 2, STILL, 0)) == {(n, n) for n in (1, 2, 4, 11, 12, 13, 14)}


def test_supervoxels_pair_neighbours_of_one_scan():
    found = pairs_of(SelfSupervisedEpisodes(two_scans(), 2, 2, STILL, 0, reach=1))
    same = {(n, n) for n in (1, 2, 4, 11, 12, 13, 14)}
    # 2 and 4 are not neighbours: what lies between them was dropped. 4 and 11 are of two scans.
    neighbours = {(1, 2), (11, 12), (12, 13), (13, 14)}
    assert found == same | neighbours | {(b, a) for a, b in neighbours}


def test_neighbours_share_their_targets():
    images = np.zeros((2, SIZE, SIZE), np.float32)
    images[:, 0, 0] = [1, 2]
    ids = np.repeat(quarters()[None], 2, axis=0)
    ids[1][ids[1] == 1] = 9
    ids[1][ids[1] == 2] = 8
    source = SelfSupervisedEpisodes(
        SliceBank.of_volumes([(images, ids, np.ones(2, bool))], SIZE), 1, 4, STILL, 0, reach=1
    )
    for step in range(20):
        episode = source.batch(step)
        same = episode.support_images.max() == episode.query_images.max()
        assert int(episode.valid.sum()) == (4 if same else 2)
        assert torch.equal(episode.support_masks[0, 0], episode.query_masks[0])  # nothing moves between still slices


def test_slices_without_a_common_target_are_no_pair():
    images = np.zeros((2, SIZE, SIZE), np.float32)
    images[:, 0, 0] = [1, 2]
    ids = np.stack([quarters(), np.where(quarters() > 0, quarters() + 10, 0)])
    bank = SliceBank.of_volumes([(images, ids, np.ones(2, bool))], SIZE)
    assert pairs_of(SelfSupervisedEpisodes(bank, 2, 2, STILL, 0, reach=1)) == {(1, 1), (2, 2)}


def test_the_fields_training_never_draws_the_last_id():
    ids = np.repeat(quarters()[None], 2, axis=0)
    bank = SliceBank.of_volumes([(np.zeros((2, SIZE, SIZE), np.float32), ids, np.ones(2, bool))], SIZE)
    target = torch.from_numpy(quarters() == 4).float()
    drawn = {
        skip: any(
            torch.equal(mask, target)
            for step in range(20)
            for mask in SelfSupervisedEpisodes(bank, 1, 4, STILL, 0, skip_last=skip).batch(step).query_masks[0]
        )
        for skip in (False, True)
    }
    assert drawn == {False: True, True: False}
    only_last = np.where(quarters() == 4, 1, 0).astype(np.int32)[None]
    lonely = SliceBank.of_volumes([(np.zeros((1, SIZE, SIZE), np.float32), only_last, np.ones(1, bool))], SIZE)
    with pytest.raises(InputError, match="no training slice has a usable target"):
        SelfSupervisedEpisodes(lonely, 1, 1, STILL, 0, skip_last=True)
