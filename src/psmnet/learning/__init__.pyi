from .adaptation import (
    adapt,
    adaptation_spec,
)
from .job import (
    LabelledScans,
    LearnJob,
)
from .opinions import (
    Opinions,
)
from .run import (
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
from .student_training import (
    StudentTraining,
)

__all__ = [
    "LabelledScans",
    "LearnJob",
    "LearnSettings",
    "Learned",
    "Opinions",
    "Progress",
    "StudentTraining",
    "adapt",
    "adaptation_spec",
    "as_levels",
    "confidence",
    "learn_network",
    "silent",
]
