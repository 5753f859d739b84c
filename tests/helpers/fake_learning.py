"""A learning for tests of what is scored of it: its masks are known, and it takes no time."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from psmnet.evaluation.bench.cohort_learning import LearningInputs, StageMasks
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.learning import FINAL, STAGES
from psmnet.volume import Volume


@dataclass
class FakeLearning:
    """The final masks are the true ones; those of each earlier stage lack one more slice.

    Attributes:
        failing: cases that have no masks.
        done: the inputs of each learning that was begun.
    """

    failing: tuple[str, ...] = ()
    done: list[LearningInputs] = field(default_factory=list)

    def __call__(self, inputs: LearningInputs, run: Path) -> StageMasks:
        self.done.append(inputs)
        run.mkdir(parents=True, exist_ok=True)
        weights = run / "weights.safetensors"
        weights.write_bytes(repr(sorted(inputs.cohort)).encode())
        masks: dict[str, dict[str, Path]] = {stage: {} for stage in STAGES}
        for number, stage in enumerate(STAGES):
            images = dict(inputs.cohort) | (dict(inputs.left_out) if stage == FINAL else {})
            for case, image in images.items():
                if case not in self.failing:
                    path = run / stage / f"{case}.nii.gz"
                    path.parent.mkdir(exist_ok=True)
                    write_volume(_worse(image, inputs.values, len(STAGES) - 1 - number), path)
                    masks[stage][case] = path
        failed = dict.fromkeys(self.failing, "it is damaged")
        return StageMasks(masks, weights, failed)


def _worse(image_path: Path, values: tuple[int, ...], slices: int) -> Volume:
    labels = read_labels(image_path.with_name(image_path.name.replace("image_", "label_")))
    array = labels.array_zyx.copy()
    shown = np.flatnonzero(np.isin(array, values).any(axis=(1, 2)))
    array[shown[:slices]] = 0
    return read_volume(image_path).with_array(array)
