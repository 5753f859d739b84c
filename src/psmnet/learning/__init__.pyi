from .adaptation import (
    adapt,
    adaptation_spec,
)
from .first_masks import (
    FIRST,
)
from .from_labels import (
    learn_from_labels,
)
from .job import (
    WORK_NAME,
    LabelledScans,
    LearnJob,
)
from .opinions import (
    Opinions,
)
from .run import (
    FEWEST,
    Learned,
    Progress,
    learn_network,
    silent,
)
from .settings import (
    LearnSettings,
)
from .soft_labels import (
    as_levels,
    confidence,
)
from .stage_labels import (
    StageLabels,
)
from .stage_masks import (
    FINAL,
    STAGES,
    first_labels,
    write_stage_masks,
)
from .student_training import (
    StudentTraining,
)

__all__ = [
    "FEWEST",
    "FINAL",
    "FIRST",
    "STAGES",
    "WORK_NAME",
    "LabelledScans",
    "LearnJob",
    "LearnSettings",
    "Learned",
    "Opinions",
    "Progress",
    "StageLabels",
    "StudentTraining",
    "adapt",
    "adaptation_spec",
    "as_levels",
    "confidence",
    "first_labels",
    "learn_from_labels",
    "learn_network",
    "silent",
    "write_stage_masks",
]
