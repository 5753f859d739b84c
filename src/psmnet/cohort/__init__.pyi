from .corrections import (
    CorrectNext,
    NextScan,
    correct_next,
)
from .job import (
    EXTRAS,
    FORMATS,
    CohortJob,
    Loaded,
    Outputs,
    StoredProbabilities,
)
from .learn_quality import (
    quality_warning,
)
from .learn_record import (
    JudgedOrgan,
    JudgedScan,
    LearnRecord,
)
from .learn_run import (
    LearnedCohort,
    learn_cohort,
)
from .learn_scans import (
    learn,
)
from .mask_measures import (
    MEASURES,
    measure_masks,
)
from .records import (
    CohortReport,
    FailedScan,
    ScanRecord,
    SegmentedOrgan,
    SegmentedScan,
)
from .run import (
    segment_cohort,
)
from .scans_to_label import (
    RankedScan,
    ScanRanking,
    rank_scans,
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
    "MEASURES",
    "REPORT_NAME",
    "SHEET_NAME",
    "TABLE_NAME",
    "Cohort",
    "CohortJob",
    "CohortReport",
    "CorrectNext",
    "FailedScan",
    "JudgedOrgan",
    "JudgedScan",
    "LearnRecord",
    "LearnedCohort",
    "Loaded",
    "NextScan",
    "Outputs",
    "RankedScan",
    "ScanRanking",
    "ScanRecord",
    "SegmentedOrgan",
    "SegmentedScan",
    "StoredProbabilities",
    "Worker",
    "correct_next",
    "failure",
    "learn",
    "learn_cohort",
    "measure_masks",
    "notes_of",
    "quality_warning",
    "rank_scans",
    "segment_cohort",
]
