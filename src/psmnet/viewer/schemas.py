"""Requests and answers of the API."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["0123456789abcdef"])]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
Kind = Literal["segment", "learn"]
Origin = Literal["upload", "corrected", "sample"]
Triple = tuple[float, float, float]


class NamedOrgan(BaseModel):
    """A label value with its name and colour."""

    value: int
    name: str
    colour: str = Field(description="as in CSS, #rrggbb")


class LabelSet(BaseModel):
    """Labels of a scan."""

    id: Id
    scan: Id
    name: str
    origin: Origin
    organs: list[NamedOrgan]
    notes: list[str] = Field(description="remarks on how the file was read")
    created: str


class StoredScan(BaseModel):
    """A scan that was uploaded, or a synthetic one."""

    id: Id
    name: str
    size: tuple[int, int, int] = Field(description="voxels along the stored axes, x y z")
    spacing_mm: Triple
    modality: str = Field(description="as in DICOM; CT where the values look like it; else empty")
    sample: bool
    created: str
    expires: str | None
    notes: list[str] = Field(description="remarks on how the file was read")
    labels: list[LabelSet]


class MetricInfo(BaseModel):
    """A metric against a reference."""

    name: str = Field(description="its key in a result's metrics")
    heading: str = Field(description="its name for people, with the unit")
    meaning: str
    digits: int = Field(description="decimals to show")
    higher_is_better: bool


class FoundOrgan(NamedOrgan):
    """An organ of a result."""

    volume_ml: float
    confidence: float = Field(description="mean probability over its voxels, 0..1; 0 where nothing was found")
    flags: list[str]
    metrics: dict[str, float | None] | None = Field(description="against the reference, by name; null where undefined")


class JobResult(BaseModel):
    """Result of a job."""

    organs: list[FoundOrgan]
    notes: list[str]
    seconds: float
    files: list[str]


class LearnedScan(BaseModel):
    """What was learned of one scan: its learned mask beside its first mask."""

    scan: Id
    organs: list[FoundOrgan] = Field(description="of the learned mask")
    first: list[FoundOrgan] = Field(description="of the first mask")
    doubt: float = Field(description="how much a person's correction would help, 0..1")
    least_sure: int = Field(description="label value of the organ to look at first")
    why: str = Field(description="why this scan should be corrected, in one sentence")
    notes: list[str]
    files: list[str]


class LeftOut(BaseModel):
    """A scan that could not be learned from."""

    scan: str
    reason: str


class LearnResult(BaseModel):
    """Result of learning from all scans."""

    scans: list[LearnedScan] = Field(description="the one whose correction would help most comes first")
    left_out: list[LeftOut]
    notes: list[str]
    seconds: float
    files: list[str] = Field(description="weights.safetensors is the learned network")


class Stage(BaseModel):
    """A stage of a learning: finished and all of its scans or steps; 0 of 0 before it begins."""

    name: str
    done: int
    total: int


class QueuedJob(BaseModel):
    """A job: a scan that is segmented from labelled ones, or a learning from labelled and unlabelled scans."""

    id: Id
    kind: Kind = "segment"
    state: State
    supports: list[Id]
    query: Id | None = Field(None, description="the scan to segment; null for a learning")
    reference: Id | None = None
    scans: list[Id] = Field(default_factory=list, description="the unlabelled scans of a learning")
    organs: list[int] | None
    created: str
    started: str | None
    finished: str | None
    progress: float
    stage: str
    stages: list[Stage] = Field(default_factory=list, description="of a learning that is running")
    left_s: float | None = Field(None, description="time left in the present stage of a learning, in seconds")
    error: str | None
    result: JobResult | None = Field(description="of segmenting a scan")
    learned: LearnResult | None = Field(None, description="of a learning")


class JobRequest(BaseModel):
    """A job to start."""

    model_config = ConfigDict(extra="forbid")

    supports: list[Id] = Field(min_length=1, max_length=20, description="label sets")
    query: Id = Field(description="a scan")
    reference: Id | None = Field(None, description="a label set of the query to compare with")
    organs: list[Annotated[int, Field(ge=1, le=2**31 - 1)]] | None = Field(
        None, min_length=1, max_length=255, description="label values to segment; all by default"
    )


class LearnRequest(BaseModel):
    """A learning to start."""

    model_config = ConfigDict(extra="forbid")

    supports: list[Id] = Field(min_length=1, max_length=20, description="label sets, one of each labelled scan")
    scans: list[Id] | None = Field(
        None, min_length=1, max_length=500, description="scans without labels; all that there are by default"
    )
    organs: list[Annotated[int, Field(ge=1, le=2**31 - 1)]] | None = Field(
        None, min_length=1, max_length=255, description="label values to learn; all by default"
    )


class Health(BaseModel):
    """State of the server."""

    status: Literal["ok"]
    version: str
    device: str
    waiting: int
    running: int
    stored_bytes: int
    limit_bytes: int


class ServedSlice(BaseModel):
    """A labelled slice with which a slice of the query was compared."""

    labels: Id
    slice: int
    mm: Triple


class MatchedSlice(BaseModel):
    """A slice of the query in which an organ was searched for; `slice` counts from 1, `mm` is in RAS."""

    slice: int
    mm: Triple
    served: list[ServedSlice]


class Matches(BaseModel):
    """Slices by label value."""

    organs: dict[str, list[MatchedSlice]]


class Problem(BaseModel):
    """What is wrong with a request, and what to do."""

    detail: str
