from .augment import (
    generator_of,
    random_grids,
    random_intensities,
)
from .checkpoint import (
    restore_checkpoint,
    save_checkpoint,
)
from .distributed import (
    ALONE,
    Ranks,
    gradients_kept,
    joined,
)
from .episodes import (
    SelfSupervisedEpisodes,
    SliceBank,
)
from .log import (
    METRICS_NAME,
    RunLog,
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
    "ALONE",
    "FAULTS_OF_TRAINING",
    "METRICS_NAME",
    "Ranks",
    "RunLog",
    "RunSpec",
    "SelfSupervisedEpisodes",
    "SliceBank",
    "StepCallback",
    "episode_losses",
    "generator_of",
    "gradients_kept",
    "joined",
    "random_grids",
    "random_intensities",
    "require_room",
    "restore_checkpoint",
    "run_training",
    "save_checkpoint",
    "train",
]
