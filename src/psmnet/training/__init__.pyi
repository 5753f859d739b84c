from .distributed import (
    joined,
)
from .episodes import (
    SelfSupervisedEpisodes,
    SliceBank,
    resize_images,
)
from .loop import (
    METRICS_NAME,
    Report,
    episode_losses,
    train,
)
from .run import (
    FAULTS_OF_TRAINING,
    RunSpec,
    require_room,
    run_training,
)

__all__ = [
    "FAULTS_OF_TRAINING",
    "METRICS_NAME",
    "Report",
    "RunSpec",
    "SelfSupervisedEpisodes",
    "SliceBank",
    "episode_losses",
    "joined",
    "require_room",
    "resize_images",
    "run_training",
    "train",
]
