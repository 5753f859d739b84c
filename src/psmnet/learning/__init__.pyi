from .adaptation import (
    adapt,
    adaptation_spec,
)
from .job import (
    LabelledScans,
    LearnJob,
)
from .run import (
    Learned,
    Progress,
    final_probabilities,
    learn_network,
    silent,
)
from .settings import (
    LearnSettings,
)
from .student_training import (
    StudentTraining,
)

__all__ = [
    "LabelledScans",
    "LearnJob",
    "LearnSettings",
    "Learned",
    "Progress",
    "StudentTraining",
    "adapt",
    "adaptation_spec",
    "final_probabilities",
    "learn_network",
    "silent",
]
