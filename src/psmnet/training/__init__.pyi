from .distributed import (
    joined,
)
from .episodes import (
    SelfSupervisedEpisodes,
    SliceBank,
)
from .log import (
    METRICS_NAME,
    StepCallback,
)
from .loop import (
    train,
)
from .losses import (
    episode_losses,
)
from .run import (
    run_training,
)
from .run_folder import (
    require_room,
)
from .run_source import (
    FAULTS_OF_TRAINING,
)
from .run_spec import (
    RunSpec,
)

__all__ = [
    "FAULTS_OF_TRAINING",
    "METRICS_NAME",
    "RunSpec",
    "SelfSupervisedEpisodes",
    "SliceBank",
    "StepCallback",
    "episode_losses",
    "joined",
    "require_room",
    "run_training",
    "train",
]
