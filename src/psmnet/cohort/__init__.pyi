from .cluster import (
    on_cluster,
    require_safe,
)
from .engines import (
    Outcomes,
    in_processes,
    in_this_process,
)
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
from .summary import (
    REPORT_NAME,
    SHEET_NAME,
    TABLE_NAME,
    Cohort,
    notes_of,
    write_summary,
)
from .worker import (
    Done,
    Worker,
    failure,
    require_own,
)

__all__ = [
    "EXTRAS",
    "FORMATS",
    "REPORT_NAME",
    "SHEET_NAME",
    "TABLE_NAME",
    "Cohort",
    "CohortJob",
    "CohortReport",
    "Done",
    "FailedScan",
    "Loaded",
    "Outcomes",
    "Outputs",
    "SegmentedScan",
    "Worker",
    "failure",
    "in_processes",
    "in_this_process",
    "notes_of",
    "on_cluster",
    "require_own",
    "require_safe",
    "write_summary",
]
