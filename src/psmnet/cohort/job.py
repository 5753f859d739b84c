"""The job that every worker gets: paths and settings, never images."""

import glob
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from psmnet.errors import ConfigError
from psmnet.io import OrganName, checksum, digest
from psmnet.models import Weights
from psmnet.runtime import package_version
from psmnet.segmentation import (
    ComparingMethod,
    LearnedWeights,
    StudentView,
    Supports,
    UntrainedMethod,
    learned_values,
    load_method,
    method_name,
    read_supports,
    wanted_values,
)

FORMATS = ("nii.gz", "nrrd")
EXTRAS = ("probabilities", "uncertainty", "matches")


@dataclass(frozen=True)
class Outputs:
    """The output files of one query."""

    folder: Path
    name: str
    ending: str

    @property
    def mask(self) -> Path:
        """The mask, a label map."""
        return self.folder / f"{self.name}_seg.{self.ending}"

    @property
    def dicom(self) -> Path:
        """The mask as DICOM Segmentation."""
        return self.folder / f"{self.name}_seg.dcm"

    @property
    def overlay(self) -> Path:
        """The overlay picture."""
        return self.folder / f"{self.name}_overlay.png"

    @property
    def record(self) -> Path:
        """The record: which inputs and settings made the mask."""
        return self.folder / f"{self.name}_seg.json"

    def remove(self) -> None:
        """Delete those that exist."""
        probabilities = self.folder.glob(f"{glob.escape(self.name)}_prob_*.{self.ending}")
        for path in (self.mask, self.dicom, self.overlay, self.uncertainty, self.matches, *probabilities, self.record):
            path.unlink(missing_ok=True)

    def probability(self, value: int) -> Path:
        """The probabilities of one label value."""
        return self.folder / f"{self.name}_prob_{value}.{self.ending}"

    @property
    def uncertainty(self) -> Path:
        """The uncertainty map."""
        return self.folder / f"{self.name}_uncertainty.{self.ending}"

    @property
    def matches(self) -> Path:
        """Which support slices were matched to which query slice."""
        return self.folder / f"{self.name}_matches.json"


@dataclass(frozen=True)
class StoredProbabilities:
    """Probabilities that were computed before, from which masks are decided (see `decided_from`).

    Attributes:
        folder: with `NAME.npy` of each query.
        key: checksum of all that they were made from.
        view: whose pixels they have; None for the view of the labelled scans.
    """

    folder: Path
    key: str
    view: StudentView | None = None


@dataclass(frozen=True)
class CohortJob:
    """Supports, and how queries are segmented from them; or a learned network, which needs no support.

    Attributes:
        supports: paths of image and labels of each support; none for a learned network.
        out: folder of the outputs.
        names: organ names of label values, as the user gave them.
        labels: label values to segment; None for all.
        series: SeriesInstanceUIDs to read from DICOM folders.
        trust_grid: use labels of the image's size as if they were on its grid.
        method, weights: as `load_method` takes them.
        device: by name.
        precision: of the encoder.
        threads: CPU threads of each worker; None for torch's default.
        ending: file format of masks, in FORMATS.
        save: additional outputs, from EXTRAS.
        overwrite: replace masks made from other inputs or settings.
        anonymise: no output contains the name of an input file.
        stored: probabilities of the queries; None to compute them.
        key: checksum of the supports and of all settings that change masks; set by `with_key`.
    """

    supports: tuple[tuple[Path, Path], ...]
    out: Path
    names: Mapping[int, OrganName] = field(default_factory=dict)
    labels: tuple[int, ...] | None = None
    series: tuple[str, ...] = ()
    trust_grid: bool = False
    method: str | None = None
    weights: str | None = None
    device: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    ending: str = FORMATS[0]
    save: frozenset[str] = frozenset()
    overwrite: bool = False
    anonymise: bool = False
    stored: StoredProbabilities | None = None
    key: str = ""

    def outputs(self, name: str) -> Outputs:
        """The output files of a query of this name."""
        return Outputs(self.out, name, self.ending)

    def load(self) -> "Loaded":
        """Read the supports and the weights.

        Raises:
            PsmnetError: they can't be used.
        """
        method = load_method(self.method, self.weights)
        if isinstance(method, LearnedWeights):
            return self._load_learned(method)
        if not self.supports:
            raise ConfigError("no support scan", "give at least one labelled scan", code="no-support")
        if self.save and isinstance(method, UntrainedMethod):
            raise ConfigError(
                f"{method.name} has no {', '.join(sorted(self.save))} to save",
                "leave save out",
                code="registration-save",
            )
        if self.precision != "float32" and isinstance(method, UntrainedMethod):
            raise ConfigError(
                f"{method.name} has no network to set a precision for",
                "leave precision out",
                code="registration-precision",
            )
        notes: list[str] = []
        supports = read_supports(
            self.supports, names=self.names, series=self.series, trust_grid=self.trust_grid, notes=notes
        )
        names = [(image.name, labels.name) for image, labels in self.supports]
        values = wanted_values(supports.pairs, self.labels, names)
        return Loaded(supports, tuple(values), method, tuple(notes))

    def _load_learned(self, weights: LearnedWeights) -> "Loaded":
        """The same of a learned network, whose organs take the place of the supports'."""
        network = f"{self.weights} is a learned network, which"
        if self.supports:
            raise ConfigError(
                f"{network} needs no support ({self.supports[0][0].name} is given)",
                "leave the supports out, or give other weights",
                code="learned-support",
            )
        if self.trust_grid:
            raise ConfigError(f"{network} has no support grid to trust", "leave trust_grid out", code="learned-grid")
        if "matches" in self.save:
            raise ConfigError(
                f"{network} compares no slices: no matches to save", "save others", code="learned-matches"
            )
        if self.precision != "float32":
            raise ConfigError(f"{network} computes in float32", "leave precision out", code="learned-precision")
        organs = {value: self.names.get(value, organ) for value, organ in weights.organs.items()}
        return Loaded(
            Supports((), organs, weights.modalities), tuple(learned_values(weights, self.labels)), weights, ()
        )

    def with_key(self, loaded: "Loaded") -> "CohortJob":
        """The same job with its checksum."""
        facts: dict[str, object] = {
            "psmnet": package_version(),
            "supports": [[checksum(path) for path in pair] for pair in self.supports],
            "organs": {str(value): [organ.name, organ.snomed] for value, organ in loaded.called.items()},
            "series": sorted(self.series),
            "trust_grid": self.trust_grid,
            "method": method_name(loaded.method),
            "weights": loaded.weights_sha256 or loaded.settings,
            "precision": self.precision,
            "ending": self.ending,
            "save": sorted(self.save),
            "anonymise": self.anonymise,
        }
        if self.stored is not None:
            facts["probabilities"] = self.stored.key
        return replace(self, key=digest(json.dumps(facts, sort_keys=True)))


@dataclass(frozen=True)
class Loaded:
    """The supports and the method of a job, read into memory.

    Attributes:
        supports: images, labels and organ names; for a learned network the names and modalities that it learned.
        values: label values to segment.
        method: weights, a method without weights, or a learned network.
        notes: remarks for the user.
    """

    supports: Supports
    values: tuple[int, ...]
    method: ComparingMethod | LearnedWeights
    notes: tuple[str, ...]

    @cached_property
    def student(self) -> tuple[StudentView, dict[int, int]]:
        """How a student would see scans, and the number of connected parts of each value in the supports."""
        assert isinstance(self.method, Weights)
        view = StudentView.of([image for image, _ in self.supports.pairs], self.method.normalisation)
        return view, self.supports.parts(self.values)

    @property
    def called(self) -> dict[int, OrganName]:
        """Organ names of the values to segment."""
        return {value: self.supports.names[value] for value in self.values}

    @property
    def weights_sha256(self) -> str | None:
        """Checksum of the weights file; None for a method without weights."""
        return None if isinstance(self.method, UntrainedMethod) else self.method.sha256

    @property
    def settings(self) -> dict[str, object]:
        """Settings of a method without weights."""
        return asdict(self.method.settings) if isinstance(self.method, UntrainedMethod) else {}
