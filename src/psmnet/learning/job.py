"""The job of a learning: paths and settings, never images, so that it can be sent to other processes and machines."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from psmnet.errors import InputError
from psmnet.io import OrganName, checksum, digest
from psmnet.learning.settings import LearnSettings
from psmnet.models import Weights, load_weights
from psmnet.runtime import package_version
from psmnet.segmentation import LearnedWeights, StudentView, Supports, load_learned, read_supports, wanted_values

WORK_NAME = "work"


@dataclass(frozen=True)
class LearnJob:
    """Labelled scans, and how a network is learned from them and a cohort.

    Attributes:
        supports: paths of image and labels of each labelled scan.
        out: RUN, the folder of the learning.
        names: organ names of label values, as the user gave them.
        labels: label values to learn; None for all.
        series: SeriesInstanceUIDs to read from DICOM folders.
        trust_grid: use labels of the image's size as if they were on its grid.
        weights: of the network that makes the first masks, as `load_weights` takes them.
        earlier: file of a learned network with which the student begins; None to begin anew.
        device: by name.
        threads: CPU threads of each process; None for torch's default.
        settings: of the learning.
        masks_key: checksum of everything that changes first masks, except the scan; set by `with_key`.
        key: checksum of everything that changes its results, except the cohort; set by `with_key`.
    """

    supports: tuple[tuple[Path, Path], ...]
    out: Path
    names: Mapping[int, OrganName] = field(default_factory=dict)
    labels: tuple[int, ...] | None = None
    series: tuple[str, ...] = ()
    trust_grid: bool = False
    weights: str = "bundled"
    earlier: str | None = None
    device: str = "auto"
    threads: int | None = None
    settings: LearnSettings = field(default_factory=LearnSettings)
    masks_key: str = ""
    key: str = ""

    @property
    def work(self) -> Path:
        """Folder of what the stages leave for each other; it holds images and is removed at the end."""
        return self.out / WORK_NAME

    def load(self) -> "LabelledScans":
        """Read the labelled scans and the weights of the first masks.

        Raises:
            PsmnetError: they can't be used.
        """
        notes: list[str] = []
        weights = load_weights(self.weights)
        supports = read_supports(
            self.supports, names=self.names, series=self.series, trust_grid=self.trust_grid, notes=notes
        )
        names = [(image.name, labels.name) for image, labels in self.supports]
        values = tuple(wanted_values(supports.pairs, self.labels, names))
        if weights.config.encoder != "compact":
            raise InputError(
                f"{self.weights} has the encoder {weights.config.encoder}, which a student can't begin with",
                "give weights with the compact encoder, for example the bundled ones",
                code="learn-encoder",
            )
        earlier = None if self.earlier is None else load_learned(self.earlier)
        if earlier is not None and set(values) != set(earlier.organs):
            own, known = (",".join(map(str, sorted(one))) for one in (values, earlier.organs))
            raise InputError(
                f"labels {own} are to be learned, but the earlier network has learned {known}",
                f"learn labels {known}, or begin without it",
                code="other-organs",
                labels=known,
            )
        return LabelledScans(supports, values, weights, tuple(notes), earlier)

    def with_key(self, loaded: "LabelledScans") -> "LearnJob":
        """The same job with its checksums."""
        masks = {
            "psmnet": package_version(),
            "supports": [[checksum(path) for path in pair] for pair in self.supports],
            "values": loaded.values,
            "organs": {str(value): [organ.name, organ.snomed] for value, organ in loaded.called.items()},
            "series": sorted(self.series),
            "trust_grid": self.trust_grid,
            "weights": loaded.weights.sha256,
            "registration": self.settings.registered,
            "view": asdict(loaded.view),  # an earlier network brings its own
        }
        facts = masks | {
            "earlier": None if loaded.earlier is None else loaded.earlier.sha256,
            "settings": asdict(self.settings),
        }
        masks_key, key = (digest(json.dumps(found, sort_keys=True)) for found in (masks, facts))
        return replace(self, masks_key=masks_key, key=key)


@dataclass(frozen=True)
class LabelledScans:
    """The labelled scans of a job and the weights of the first masks, in memory.

    Attributes:
        supports: images, labels and organ names.
        values: label values to learn, ascending.
        weights: of the first masks.
        notes: remarks for the user.
        earlier: learned network with which the student begins; None to begin anew.
    """

    supports: Supports
    values: tuple[int, ...]
    weights: Weights
    notes: tuple[str, ...]
    earlier: LearnedWeights | None = None

    @property
    def called(self) -> dict[int, OrganName]:
        """Organ names of the values to learn."""
        return {value: self.supports.names[value] for value in self.values}

    @cached_property
    def view(self) -> StudentView:
        """How scans are shown to the student: as to the earlier network, if it begins with one."""
        if self.earlier is not None:
            return self.earlier.view
        return StudentView.of([image for image, _ in self.supports.pairs], self.weights.normalisation)
