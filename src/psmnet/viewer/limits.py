"""Limits of a viewer: sizes, numbers and times."""

from dataclasses import dataclass

from psmnet.errors import require

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """Limits of one viewer.

    Attributes:
        upload_bytes: size of an uploaded file.
        decoded_bytes: size of an upload when unpacked and decoded.
        zip_files: number of files in a zip.
        scans: number of scans.
        label_sets: number of label sets of a scan.
        waiting: number of waiting jobs.
        stored_bytes: size of all results; the oldest are deleted first. Uploads may take as much again and are refused
            beyond that.
        keep_hours: time after which an upload is deleted.
        learn_scans: number of unlabelled scans that one job learns from.
        upload_s, intake_s, job_s, learn_s: time for receiving a file, reading it, a job, and a learning.
    """

    upload_bytes: int = 2 * GIB
    decoded_bytes: int = 4 * GIB
    zip_files: int = 5000
    scans: int = 500
    label_sets: int = 50
    waiting: int = 500
    stored_bytes: int = 10 * GIB
    keep_hours: float = 24.0
    learn_scans: int = 200
    upload_s: float = 900.0
    intake_s: float = 120.0
    job_s: float = 1800.0
    learn_s: float = 6 * 3600.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value > 0, f"{name} is {value}", "give a positive number")
