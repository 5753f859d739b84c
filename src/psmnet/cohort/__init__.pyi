from .cluster import require_safe
from .job import (
    EXTRAS,
    FORMATS,
    CohortJob,
    Loaded,
    Outputs,
)
from .records import (
    CohortReport,
    FailedScan,
    SegmentedScan,
)
from .run import (
    TIMEOUT_S,
    segment_cohort,
)
from .summary import (
    REPORT_NAME,
    SHEET_NAME,
    TABLE_NAME,
    Cohort,
    notes_of,
)
from .worker import (
    Worker,
    failure,
)

__all__ = [
    "EXTRAS",
    "FORMATS",
    "REPORT_NAME",
    "SHEET_NAME",
    "TABLE_NAME",
    "TIMEOUT_S",
    "Cohort",
    "CohortJob",
    "CohortReport",
    "FailedScan",
    "Loaded",
    "Outputs",
    "SegmentedScan",
    "Worker",
    "failure",
    "notes_of",
    "require_safe",
    "segment_cohort",
]
