"""JSON files in the output folder: a record of each scan, and the report of the whole run."""

from typing import Any, ClassVar

from pydantic import AliasChoices, Field

from psmnet.system import StoredFile, StoredPart


class SegmentedOrgan(StoredPart):
    """One organ of a mask.

    Attributes:
        value: its label value.
        volume_ml: of its voxels.
        confidence: mean probability over its voxels, 0..1.
        cut_off: whether it reaches the scan's first or last slice, and in no labelled scan does.
    """

    value: int
    volume_ml: float
    confidence: float
    cut_off: bool = False


class SegmentedScan(StoredPart):
    """One scan that was segmented.

    Attributes:
        query: name of its file or folder, or of the scan where names of files are kept secret.
        name: what the names of its outputs begin with.
        mask, overlay: names of files.
        confidence: the lowest of its organs'.
        labels: organ name to organ.
        notes: remarks for the user.
        seconds: that it took.
    """

    query: str
    name: str
    mask: str
    overlay: str
    confidence: float
    labels: dict[str, SegmentedOrgan]
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0


class ScanRecord(StoredFile):
    """`NAME_seg.json`: by which inputs and settings a mask was made.

    Attributes:
        settings: checksum of the supports and of all settings that change masks.
        scan_sha256: of the scan.
        mask_sha256: of the mask as it was written; None before that.
        edited_sha256: of the mask after somebody edited it; None if nobody did.
        entry: what reports say of the scan; None while it is being segmented.
    """

    SCHEMA: ClassVar[str] = "psmnet-query-1"

    settings: str
    scan_sha256: str
    mask_sha256: str | None = None
    # Earlier versions wrote mended_sha256.
    edited_sha256: str | None = Field(default=None, validation_alias=AliasChoices("edited_sha256", "mended_sha256"))
    entry: SegmentedScan | None = None


class ReportedScan(SegmentedScan):
    """A scan in a report, with the flags of each organ."""

    flags: dict[str, list[str]]


class FailedScan(StoredPart):
    """A scan that could not be segmented, and why."""

    query: str
    name: str
    reason: str


class SkippedFile(StoredPart):
    """A file that is not a query, and why."""

    file: str
    reason: str


class CohortReport(StoredFile):
    """`report.json`: all scans of a run.

    Attributes:
        supports: names of image and labels of each labelled scan.
        labels: label value to organ name.
        queries: scans that were segmented.
        failed, skipped: scans and files that were not.
        notes: remarks on the labelled scans.
        method: that segmented.
        weights_sha256: None for a method without weights.
        settings_sha256: checksum of the supports and of all settings that change masks.
        versions: of psmnet and the libraries that its numbers depend on.
        seconds: that the run took.
    """

    SCHEMA: ClassVar[str] = "psmnet-segment-2"

    supports: list[dict[str, str]] = Field(default_factory=list)
    labels: dict[int, str] = Field(default_factory=dict)
    queries: list[ReportedScan] = Field(default_factory=list)
    failed: list[FailedScan] = Field(default_factory=list)
    skipped: list[SkippedFile] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    method: str = ""
    weights_sha256: str | None = None
    settings_sha256: str = ""
    versions: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 0.0
