"""What a results file says, as one schema: who made it, and one record for each organ of each query scan.

A table of records (`results_table`) has a column for each field of `ResultsFile` and of `Record`.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from psmnet.catalog import PROTOCOLS
from psmnet.config import PRESETS
from psmnet.evaluation.metrics import METRICS
from psmnet.models import current_names, current_texts

_CONFIG = ConfigDict(frozen=True, strict=True, extra="ignore")


class Training(NamedTuple):
    """What must be equal between trained methods that are compared.

    Attributes:
        dataset: name of the data, or `synthetic`.
        pseudolabels: their kind, None for none.
        steps: of training.
        start_weights: checksum of the weights that training began with, None from scratch.
        pairs: image pairs in a batch, None where as many as the preset has.
    """

    dataset: str
    pseudolabels: str | None
    steps: int
    start_weights: str | None = None
    pairs: int | None = None

    @property
    def length(self) -> str:
        """For people."""
        return f"{self.steps:,} steps" + (f" of {self.pairs} pairs" if self.pairs else "")


class Record(BaseModel):
    """One organ of one query scan.

    Attributes:
        case, organ: which.
        slices: number of slices that were scored; None where the file doesn't say.
        values: metric to value, None where it is undefined; a metric that was not measured is not there.
        false_positive_ml: predicted volume where the reference lacks the organ, else None.
        empty_prediction: whether nothing was predicted where something is.
    """

    model_config = _CONFIG

    case: str
    organ: str
    slices: int | None = None
    values: dict[str, float | None]
    false_positive_ml: float | None = Field(ge=0)
    empty_prediction: bool = False

    @field_validator("values")
    @classmethod
    def _possible(cls, values: dict[str, float | None]) -> dict[str, float | None]:
        for metric, value in values.items():
            low, high = METRICS[metric].limits
            if value is not None and not (low <= value <= high and math.isfinite(value)):
                raise ValueError(f"{metric} is {value}")
        return values

    @model_validator(mode="after")
    def _present_or_absent(self) -> Self:
        if "dice" not in self.values:
            raise ValueError("dice is missing")
        if (self.values["dice"] is None) != (self.false_positive_ml is not None):
            raise ValueError("an organ has either a dice or, where it is absent, false_positive_ml")
        return self


class ResultsFile(BaseModel):
    """One cell of a benchmark: a method on one fold with one choice of supports, and what made it.

    Attributes:
        source: path of the results file in the folder it was found in: no home, no user.
        source_sha256: of the results file.
        method, variant: whose results.
        dataset, protocol, setting, group, setting2, folds, institution, fold, shots, postprocess: as evaluated.
        supports: ids of the labelled scans, sorted.
        own_support: whether they are those that the fold names.
        seed: of training, None where there was none.
        legacy: known bugs of published preprocessing, in the data and in training.
        organs: that were tested.
        trained_on: data set of the training; None for methods without training, as are the next six.
        pseudolabels: superpixels or supervoxels.
        preset, steps, training_precision: of the training.
        pairs: image pairs in a batch; None where it was not recorded.
        start_weights: SHA-256 of the weights that training, or its encoder, began with; None from scratch.
        trained_as: method of the training.
        weights_sha256: of the weights that were evaluated.
        model: their settings.
        note: what the protocol wants said beside its figures.
        checksums: SHA-256 of each image, query or support, by case.
        allow_seen, seen_in_training: whether cases that training saw were allowed, and which there were.
        version, libraries: psmnet's version, and those of what its numbers depend on.
        machine, device: processor, cores and threads; where the network ran, None where it was not recorded.
        seconds: that the evaluation took.
        records: of each query scan and organ.
        path: of the file; None where it comes from a table.
    """

    model_config = _CONFIG

    source: str
    source_sha256: str | None = None
    method: str
    variant: str | None = None
    dataset: str
    protocol: str
    setting: int = Field(ge=0)
    group: str | None = None
    setting2: str | None = None
    folds: str
    institution: str | None = None
    fold: int = Field(ge=0)
    shots: int = Field(ge=0)
    supports: tuple[str, ...]
    own_support: bool = True
    seed: int | None = Field(None, ge=0)
    postprocess: str | None = None
    legacy: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()
    trained_on: str | None = None
    pseudolabels: str | None = None
    preset: str | None = None
    steps: int | None = Field(None, ge=0)
    pairs: int | None = Field(None, ge=0)
    training_precision: str | None = None
    start_weights: str | None = None
    trained_as: str | None = None
    weights_sha256: str | None = None
    model: dict[str, Any] = Field(default_factory=dict)
    note: str | None = None
    checksums: dict[str, str] = Field(default_factory=dict)
    allow_seen: bool = False
    seen_in_training: tuple[str, ...] = ()
    version: str | None = None
    libraries: str | None = None
    machine: str | None = None
    device: str | None = None
    seconds: float | None = None
    records: tuple[Record, ...] = ()
    path: Path | None = None

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, protocol: str) -> str:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}, none of {', '.join(PROTOCOLS)}")
        return protocol

    @field_validator("variant")
    @classmethod
    def _variant_in_present_words(cls, variant: str | None) -> str | None:
        return None if variant is None else ",".join(current_texts(variant.split(","), warn=False))

    @field_validator("model")
    @classmethod
    def _model_in_present_words(cls, model: dict[str, Any]) -> dict[str, Any]:
        return current_names(model)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.supports:
            raise ValueError("names no support cases")
        if self.trained_on is not None and self.steps is None:
            raise ValueError("trained_on: steps is missing")
        if not self.records:
            raise ValueError("no scores: cases is empty")
        seen = set()
        for record in self.records:
            if (record.case, record.organ) in seen:
                raise ValueError(f"two records of {record.organ} in case {record.case}")
            seen.add((record.case, record.organ))
        metrics = {metric for record in self.records for metric in record.values}
        for number, record in enumerate(self.records, start=1):
            for metric in METRICS:  # of a metric that the others have, a gap would pass for an undefined value
                if metric in metrics and metric not in record.values:
                    raise ValueError(f"record {number} of cases: {metric} is missing")
        return self

    @property
    def training(self) -> Training | None:
        """What must be equal in a comparison; None for methods without training."""
        if self.trained_on is None:
            return None
        usual = PRESETS[self.preset].train.pairs if self.preset in PRESETS else None
        pairs = None if self.pairs in (0, usual) else self.pairs  # early files have 0 or none
        return Training(self.trained_on, self.pseudolabels, self.steps or 0, self.start_weights, pairs)

    @property
    def configuration(self) -> dict[str, str]:
        """What two networks of one name may differ in, as text."""
        found: dict[str, Any] = {"preset": self.preset}
        if self.trained_as not in (None, self.method):
            found["trained as"] = self.trained_as
        if self.trained_on is not None:
            found["init"] = "from other weights" if self.start_weights else "from scratch"
        for name, value in self.model.items():
            found |= value if isinstance(value, dict) else {name: value}
        return {str(name): plain(value) for name, value in sorted(found.items()) if name != "method"}


def plain(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def wrong(error: ValidationError) -> str:
    """What is wrong with a file, in one line: the first thing that pydantic found."""
    first = error.errors()[0]
    where, value, loc = "", first["input"], list(first["loc"])
    if loc[:1] == ["records"]:
        where, loc = f"record {int(loc[1]) + 1} of cases", loc[2:]
        where += ": " if loc or first["type"] == "value_error" else " "
    if first["type"] == "value_error":
        return where + str(first["ctx"]["error"])
    name = ".".join(str(part) for part in loc if part != "values")
    text = "missing" if first["type"] == "missing" or value is None else repr(value)
    return f"{where}{name}{' ' if name else ''}is {text if len(text) <= 60 else f'{text[:57]}...'}"
