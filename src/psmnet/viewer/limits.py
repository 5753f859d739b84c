"""What a viewer takes in, how much of it, and for how long."""

from dataclasses import dataclass

from psmnet.errors import require

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """Bounds of one viewer.

    Attributes:
        upload_bytes: of one uploaded file.
        decoded_bytes: of one upload once it is unpacked.
        zip_files: in one zip.
        scans: scans that are kept at a time.
        label_sets: of one scan.
        waiting: jobs that may wait.
        stored_bytes: of results; the oldest go first. As much again may be taken by uploads, which are refused then.
        keep_hours: until an upload is deleted.
        upload_s, intake_s, job_s: that receiving a file, reading it, and a job may take.
    """

    upload_bytes: int = 2 * GIB
    decoded_bytes: int = 4 * GIB
    zip_files: int = 5000
    scans: int = 500
    label_sets: int = 50
    waiting: int = 500
    stored_bytes: int = 10 * GIB
    keep_hours: float = 24.0
    upload_s: float = 900.0
    intake_s: float = 120.0
    job_s: float = 1800.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value > 0, f"{name} is {value}", "give a positive number")
