"""The shapes of a synthetic abdomen: which tissue and which organ each voxel holds.

All lengths are mm of a *standard abdomen*, that is x from -160 (right) to 160 (left), y from -125 (front) to 125 (back)
and z from -96 (feet) to 96 (head); a patient is stretched to the requested field of view.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from psmnet.catalog import DATASETS
from psmnet.volume import Mask

Field = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Point = tuple[float, float, float]

STANDARD_SIZE_MM: Point = (320.0, 250.0, 192.0)
"""Size of the standard abdomen's field of view, (x, y, z)."""

BOWEL_LOOPS = 38


class Tissue(IntEnum):
    """What a voxel is made of; values from `FIRST_CONTENT` on are hollow organs, each with contents of its own."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    MUSCLE = 3
    VISCERAL_FAT = 4
    RIB = 5
    MARROW = 6
    DISC = 7
    CORTICAL_BONE = 8
    CEREBROSPINAL_FLUID = 9
    CORD = 10
    LUNG = 11
    LIVER = 12
    LIVER_VESSEL = 13
    SPLEEN = 14
    KIDNEY_CORTEX = 15
    KIDNEY_MEDULLA = 16
    KIDNEY_SINUS = 17
    AORTA = 18
    VENA_CAVA = 19
    GALLBLADDER = 20
    PANCREAS = 21
    BLOOD = 22
    HOLLOW_ORGAN_WALL = 23
    FIRST_CONTENT = 24


CONTENTS = BOWEL_LOOPS + 3  # the stomach and both sides of the colon
TISSUES = Tissue.FIRST_CONTENT + CONTENTS


@dataclass(frozen=True)
class Grid:
    """Where each voxel lies in the standard abdomen.

    Attributes:
        axes_mm: voxel positions along x, y and z, each 1D.
        extent_mm: half the field of view along x, y and z.
    """

    axes_mm: tuple[Field, Field, Field]
    extent_mm: Point

    def smooth_field(self, random: np.random.Generator, knot_mm: Point) -> Field:
        """Draw a smooth random field of mean 0 and variance 1, a cubic B-spline through random weights.

        The weights don't depend on the voxels' size, so that a seed gives one patient at any resolution.

        Args:
            random: source of randomness.
            knot_mm: distance between knots along x, y and z; details much smaller than that don't appear.

        Returns:
            (Z, Y, X) float32.
        """
        bases = []
        for axis, half_width, knot in zip(self.axes_mm, self.extent_mm, knot_mm, strict=True):
            last = int(np.ceil(half_width / knot)) + 2
            distance = np.abs(axis[:, None] / knot - np.arange(-last, last + 1))
            near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
            basis = np.where(distance < 1, near, far)
            bases.append((basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32))
        x, y, z = bases
        weights = random.standard_normal((z.shape[1], y.shape[1], x.shape[1]), dtype=np.float32)
        in_plane: Field = y @ (weights @ x.T)
        return np.tensordot(z, in_plane, axes=1)


def draw_anatomy(random: np.random.Generator, grid: Grid) -> tuple[Labels, Labels]:
    """Draw a patient's anatomy.

    Args:
        random: source of randomness.
        grid: the voxels, in standard mm.

    Returns:
        tissue: (Z, Y, X) uint8, values of `Tissue`, or `FIRST_CONTENT` + i in the i-th hollow organ.
        labels: (Z, Y, X) uint8, the organs as the catalog numbers them.
    """
    return _Drawing(random, grid).draw()


class _Drawing:
    """A patient while being drawn: the first tissue keeps a voxel, so that organs never overlap."""

    def __init__(self, random: np.random.Generator, grid: Grid) -> None:
        self.random, self.grid = random, grid
        size = random.uniform(0.93, 1.03)
        bend = [grid.smooth_field(random, (70.0, 70.0, 60.0)) for _ in range(3)]
        x, y, z = grid.axes_mm
        # One displacement for all: neighbours move together, as they do in a body.
        self.x: Field = ((x[None, None, :] + 3.5 * bend[0]) / size).astype(np.float32, copy=False)
        self.y: Field = ((y[None, :, None] + 3.5 * bend[1]) / size).astype(np.float32, copy=False)
        # In these coordinates a patient whose organs sit high has a lower z throughout.
        self.z: Field = z[:, None, None] + 4.0 * bend[2] - np.float32(random.uniform(-7, 7))
        self.tissue: Labels = np.zeros(self.x.shape, np.uint8)
        self.labels: Labels = np.zeros(self.x.shape, np.uint8)
        self.free: Mask = np.ones(self.x.shape, np.bool_)

    def draw(self) -> tuple[Labels, Labels]:
        self._body_wall()
        self._spine()
        self._great_vessels()
        self._kidneys()
        self._spleen()
        self._liver()
        self._lungs()
        self._hollow_organs()
        return self.tissue, self.labels

    def _claim(self, mask: Mask, tissue: int, organ: str | None = None) -> Mask:
        """Give the free voxels of a mask to a tissue, and return them."""
        claimed: Mask = mask & self.free
        self.free &= ~claimed
        self.tissue[claimed] = tissue
        if organ is not None:
            self.labels[claimed] = DATASETS["phantom"].labels[organ]
        return claimed

    def _whole(self, mask: Mask) -> Mask:
        """The largest connected part of a mask's free voxels, so that no organ has loose voxels."""
        parts, _ = label(mask & self.free)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        largest: Mask = (parts == sizes.argmax()) & (sizes.max() > 0)
        return largest

    def _vary(self, centre: Point, semi_axes: Point, shift_mm: float, growth: float) -> tuple[Point, Point]:
        """Move an ellipsoid and change its size at random."""
        x, y, z = np.add(centre, self.random.uniform(-shift_mm, shift_mm, 3))
        a, b, c = np.multiply(semi_axes, self.random.uniform(1 - growth, 1 + growth, 3))
        return (float(x), float(y), float(z)), (float(a), float(b), float(c))

    def _ellipsoid(
        self, centre: Point, semi_axes: Point, turn_degrees: float = 0.0, lean: tuple[float, float] = (0.0, 0.0)
    ) -> Field:
        """Distance from the centre in semi-axes (1 is the surface), (Z, Y, X).

        Args:
            centre: (x, y, z), mm.
            semi_axes: along x, y, z before the turn, mm.
            turn_degrees: about z, from x (left) to y (back).
            lean: how far x and y go per mm of z.
        """
        z = self.z - np.float32(centre[2])
        x, y = self.x - np.float32(centre[0]) - lean[0] * z, self.y - np.float32(centre[1]) - lean[1] * z
        cosine, sine = (float(f(np.radians(turn_degrees))) for f in (np.cos, np.sin))
        along = (cosine * x + sine * y) / semi_axes[0]
        across = (cosine * y - sine * x) / semi_axes[1]
        radius: Field = np.sqrt(along**2 + across**2 + (z / semi_axes[2]) ** 2).astype(np.float32, copy=False)
        return radius

    def _rough(self, amount: float, knot_mm: float = 28.0) -> Field:
        """Random deviation of an organ's surface from the ellipsoid, in semi-axes."""
        field = self.grid.smooth_field(self.random, (knot_mm, knot_mm, knot_mm))
        field *= amount
        return field

    def _body_wall(self) -> None:
        """Skin, subcutaneous fat, muscles with ribs, and visceral fat in the cavity."""
        width, depth = self.random.uniform(132, 143), self.random.uniform(88, 101)
        fat, muscle = self.random.uniform(8, 20), self.random.uniform(8, 11)
        waist = 1 + 0.03 * np.tanh(self.z / 50)

        def tube(x_mm: float, y_mm: float, back_mm: float) -> Field:
            """Level of a tube with an abdomen's cross-section, flatter than an ellipse."""
            x, y = np.abs(self.x / (waist * x_mm)), np.abs((self.y - back_mm) / (waist * y_mm))
            level: Field = ((x**2.25 + y**2.25) ** (1 / 2.25)).astype(np.float32, copy=False)
            return level

        body = tube(width, depth, 0)
        layer = 0.02 * self.grid.smooth_field(self.random, (70.0, 70.0, 120.0))
        wall = tube(width - fat, depth - 0.9 * fat, 0.1 * fat) + layer
        inside = wall * (width - fat) / (width - fat - muscle)
        cavity = tube(width - fat - muscle, depth - 0.9 * fat - 1.2 * muscle, 0.1 * fat - 0.4 * muscle)
        self.cavity: Mask = cavity < 1
        self.lining: Mask = cavity < 0.97  # organs leave a thin fat line to the wall
        self._claim(body >= 1, Tissue.AIR)
        self.tissue[self.free] = Tissue.VISCERAL_FAT
        self._claim(body > 1 - 2.5 / width, Tissue.SKIN)
        self._claim(wall >= 1, Tissue.SUBCUTANEOUS_FAT)
        angle = np.arctan2(self.y, self.x)
        # Ribs run down and forward: a slice cuts them into dark dashes along the wall, the lower ribs not at all.
        ribs = np.sin(15 * angle + self.z / 9 + self.random.uniform(0, 6)) > 0.45
        self._claim(
            ribs & (inside > 1.015) & (wall < 0.985) & ~self.cavity & (self.z > -25) & (self.y > -45), Tissue.RIB
        )
        self._claim(~self.cavity & (np.abs(self.x) > 30), Tissue.MUSCLE)
        self._claim(~self.cavity & (self.y < 0), Tissue.MUSCLE)

    def _spine(self) -> None:
        """Vertebrae and discs, canal with cord, and the muscles beside them."""
        self.spine_x, self.spine_y = self.random.uniform(-3, 3), self.random.uniform(37, 42)
        x, y = self.x - self.spine_x, self.y - self.spine_y
        a, b = self.random.uniform(19, 22), self.random.uniform(14, 16)
        body = np.sqrt((x / a) ** 2 + (y / b) ** 2)
        canal = np.hypot(x / 10, (y - b - 9) / 7.5)
        self._claim(canal < 0.5, Tissue.CORD)
        self._claim(canal < 1, Tissue.CEREBROSPINAL_FLUID)
        self._claim(canal < 1.3, Tissue.CORTICAL_BONE)
        height = (self.z + self.random.uniform(0, 34)) % 34
        self._claim((body < 0.92) & (height < 8), Tissue.DISC)
        self._claim(body < 0.88, Tissue.MARROW)
        self._claim(body < 1, Tissue.CORTICAL_BONE)
        spinous = (np.abs(x) < 3.5) & (y > b + 14) & (y < b + 36)
        transverse = (np.abs(x) < 30) & (np.abs(y - b - 6) < 4) & (height > 17) & (height < 27)
        self._claim((spinous | transverse) & (self.tissue != Tissue.SUBCUTANEOUS_FAT), Tissue.CORTICAL_BONE)
        for side in (-1, 1):
            self._claim(np.hypot((x - side * 26) / 25, (y - b - 17) / 17) < 1, Tissue.MUSCLE)
            psoas = np.clip(0.62 - self.z / 130, 0.25, 1.1)  # grows downwards from the first lumbar vertebra
            self._claim(np.hypot((x - side * 31) / (17 * psoas), (y - 8) / (20 * psoas)) < 1, Tissue.MUSCLE)
        self.front_of_spine_y = self.spine_y - b

    def _great_vessels(self) -> None:
        """Aorta, with a thin wall of fat to the spine, and inferior vena cava."""
        radius = self.random.uniform(9.5, 12)
        sway = self.random.uniform(-2, 2) * np.sin(self.z / 45 + self.random.uniform(0, 6))
        aorta_x = self.spine_x + self.random.uniform(4, 10) + sway
        aorta_y = self.front_of_spine_y - radius - self.random.uniform(1, 4)
        taper = 1 + 0.12 * np.tanh(self.z / 60)
        self._claim(np.hypot(self.x - aorta_x, self.y - aorta_y) < radius * taper, Tissue.AORTA, "aorta")
        cava_x = self.spine_x - self.random.uniform(18, 23) + sway
        cava = np.hypot((self.x - cava_x) / 12, (self.y - aorta_y - 1 + 0.12 * self.z) / self.random.uniform(7, 10))
        self._claim(cava < 1, Tissue.VENA_CAVA)

    def _kidneys(self) -> None:
        """Both kidneys: cortex, pyramids, and the sinus that opens towards the spine."""
        for side, organ, z in ((-1, "right_kidney", -30.0), (1, "left_kidney", -18.0)):
            centre, semi_axes = self._vary((side * 62.0, 34.0, z), (26.0, 25.0, 53.0), 5.0, 0.09)
            # Turned so that the sinus looks to the middle and the front; upper poles are nearer to the spine and back.
            turn, lean = side * self.random.uniform(20, 40), (-side * 0.18, -0.1)
            radius = self._ellipsoid(centre, semi_axes, turn, lean) + self._rough(0.05)
            slope = np.radians(turn)
            a, b = -side * float(np.cos(slope)), -side * float(np.sin(slope))

            def inwards(mm: float, at: Point = centre, step: tuple[float, float] = (a, b)) -> Point:
                return at[0] + mm * step[0], at[1] + mm * step[1], at[2]

            notch = self._ellipsoid(inwards(27.0), (11.0, 7.0, 15.0), turn, lean) < 1
            sinus = self._ellipsoid(inwards(11.0), (15.0, 7.5, 27.0), turn, lean) + self._rough(0.2, 12.0) < 1
            pyramids = self._rough(1.0, 11.0) > 0.0
            kidney = self._whole((radius < 1) & ~notch & self.lining)
            self._claim(kidney & sinus, Tissue.KIDNEY_SINUS, organ)
            self._claim(kidney & pyramids & (radius < 0.78), Tissue.KIDNEY_MEDULLA, organ)
            self._claim(kidney, Tissue.KIDNEY_CORTEX, organ)
            # Fat around it, most of it behind, keeps liver and spleen off.
            behind = self._ellipsoid((centre[0], centre[1] + 20, centre[2]), semi_axes, turn, lean) < 1
            self._claim(((radius < 1.1) | behind) & self.lining, Tissue.VISCERAL_FAT)

    def _spleen(self) -> None:
        """A bean at the patient's left and back, hollowed towards the stomach."""
        centre, semi_axes = self._vary((91.0, 20.0, 48.0), (27.0, 43.0, 50.0), 4.0, 0.1)
        turn = self.random.uniform(8, 26)
        radius = self._ellipsoid(centre, semi_axes, turn) + self._rough(0.07)
        hollow = self._ellipsoid((centre[0] - 38, centre[1] - 10, centre[2] - 8), (22.0, 34.0, 50.0), turn) < 1
        self._claim(self._whole((radius < 1) & ~hollow & self.lining), Tissue.SPLEEN, "spleen")

    def _liver(self) -> None:
        """Right and left lobe with vessels, and the gallbladder under them."""
        centre, semi_axes = self._vary((-62.0, -4.0, 32.0), (64.0, 72.0, 68.0), 5.0, 0.07)
        left_centre, left_axes = self._vary((2.0, -46.0, 52.0), (60.0, 26.0, 36.0), 6.0, 0.15)
        right_lobe = self._ellipsoid(centre, semi_axes, 0.0, (0.12, 0.0))
        left_lobe = self._ellipsoid(left_centre, left_axes, self.random.uniform(-14, 2))
        radius = np.minimum(right_lobe, left_lobe) + self._rough(0.06, 34.0)
        bladder_centre, bladder_axes = self._vary((-42.0, -46.0, -8.0), (13.0, 17.0, 22.0), 6.0, 0.25)
        self._claim((self._ellipsoid(bladder_centre, bladder_axes, 30.0) < 1) & self.lining, Tissue.GALLBLADDER)
        beside_spine = np.hypot((self.x - self.spine_x) / 40, (self.y - self.spine_y) / 36) > 1
        liver = self._whole((radius < 1) & beside_spine & self.lining)
        # Two smooth fields are both near zero along curves: a tree-like net of tubes.
        vessels = np.hypot(self._rough(1.0, 26.0), self._rough(1.0, 26.0)) < 0.21
        self._claim(liver & vessels & (radius < 0.85), Tissue.LIVER_VESSEL, "liver")
        self._claim(liver, Tissue.LIVER, "liver")

    def _lungs(self) -> None:
        """Lungs above the diaphragm, and the heart, in the uppermost slices."""
        heart = self._ellipsoid((14.0, -22.0, 118.0), (52.0, 40.0, 30.0), self.random.uniform(10, 30))
        self._claim((heart < 0.8) & self.lining, Tissue.BLOOD)
        self._claim((heart < 1) & self.lining, Tissue.MUSCLE)
        dome = 96 - 46 * ((self.x / 112) ** 2 + (self.y / 74) ** 2)
        self._claim(self.cavity & (self.z > dome) & ((self.y < -5) | (np.abs(self.x - self.spine_x) > 28)), Tissue.LUNG)

    def _hollow_organs(self) -> None:
        """Pancreas, stomach, colon and small bowel: what a method must not mistake for an organ."""
        content = int(Tissue.FIRST_CONTENT)
        pancreas = self._ellipsoid((22.0, -8.0, 18.0), (48.0, 10.0, 15.0), self.random.uniform(-5, 15))
        self._claim((pancreas + self._rough(0.15, 14.0) < 1) & self.lining, Tissue.PANCREAS)
        shapes = [
            (*self._vary((47.0, -26.0, 50.0), (32.0, 30.0, 36.0), 6.0, 0.15), 30.0),
            (*self._vary((-86.0, -2.0, -75.0), (19.0, 20.0, 48.0), 5.0, 0.2), 0.0),
            (*self._vary((92.0, -4.0, -45.0), (14.0, 16.0, 60.0), 5.0, 0.2), 0.0),
        ]
        for _ in range(BOWEL_LOOPS):
            low, high = (-85.0, -68.0, -105.0), (85.0, 8.0, 25.0)
            x, y, z = (float(value) for value in self.random.uniform(low, high))
            a, b, c = (float(value) for value in self.random.uniform((14, 8, 14), (30, 14, 30)))
            shapes.append(((x, y, z), (a, b, c), float(self.random.uniform(-70, 70))))
        rough = self._rough(0.12, 16.0)
        for i, (centre, semi_axes, turn) in enumerate(shapes):
            radius = self._ellipsoid(centre, semi_axes, turn) + rough
            whole = self._claim((radius < 1) & self.lining, Tissue.HOLLOW_ORGAN_WALL)
            self.tissue[whole & (radius < 1 - 2.2 / semi_axes[1])] = content + i
