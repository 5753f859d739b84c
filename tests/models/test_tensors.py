import torch

from psmnet.models.tensors import Features


def test_a_window_is_cut_from_every_map_at_its_own_stride():
    fine, coarse = torch.arange(2 * 8 * 12.0).reshape(2, 1, 8, 12), torch.arange(2 * 4 * 6.0).reshape(2, 1, 4, 6)
    part = Features((fine, coarse), torch.ones(2, 3)).window(slice(16, 32), slice(8, 24), (32, 48))
    assert torch.equal(part.maps[0], fine[..., 4:8, 2:6])
    assert torch.equal(part.maps[1], coarse[..., 2:4, 1:3])
    assert part.code is not None
    assert part.code.shape == (2, 3)
