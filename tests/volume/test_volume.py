import math

import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.volume.volume import Volume


def test_affine_takes_indices_to_millimetres():
    # Stored x runs along +y, stored y along -x: index (2, 3, 4) lies at (1 - 3 * 3, 2 + 2 * 2, 3 + 4 * 5).
    direction = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    volume = Volume(np.zeros((6, 5, 4)), (2, 3, 5), (1, 2, 3), direction)
    assert volume.size_xyz == (4, 5, 6)
    assert (volume.affine @ [2, 3, 4, 1]).tolist() == [-8, 6, 23, 1]


def test_defaults_are_the_identity():
    np.testing.assert_array_equal(Volume(np.zeros((2, 2, 2))).affine, np.eye(4))


def test_with_array_keeps_the_lattice():
    volume = Volume(np.zeros((2, 3, 4)), (1, 2, 3), (4, 5, 6))
    other = volume.with_array(np.ones((2, 3, 4), np.uint8))
    np.testing.assert_array_equal(other.affine, volume.affine)
    assert other.array_zyx.dtype == np.uint8
    with pytest.raises(InputError, match=r"\(2, 3, 5\).*\(2, 3, 4\)"):
        volume.with_array(np.ones((2, 3, 5)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"array_zyx": np.zeros((2, 2))}, "shape (2, 2)"),
        ({"array_zyx": np.zeros((2, 0, 2))}, "shape (2, 0, 2)"),
        ({"spacing_mm": (1, 0, 1)}, "(1.0, 0.0, 1.0)"),
        ({"spacing_mm": (1, -1, 1)}, "-1.0"),
        ({"spacing_mm": (1, math.nan, 1)}, "nan"),
        ({"origin_mm": (0, math.nan, 0)}, "nan"),
        ({"direction": np.ones((3, 3))}, "not orthonormal"),
        ({"direction": np.full((3, 3), math.nan)}, "nan"),
        ({"direction": np.eye(2)}, "not orthonormal"),
    ],
)
def test_refused(arguments, expected):
    with pytest.raises(InputError) as caught:
        Volume(**{"array_zyx": np.zeros((2, 2, 2)), **arguments})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
