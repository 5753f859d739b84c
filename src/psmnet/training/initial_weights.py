"""Weights that a training begins with."""

from dataclasses import dataclass, field

from torch import Tensor, nn

from psmnet.config import Preset
from psmnet.errors import ConfigError
from psmnet.models import TrainingRecord, Weights, build_model, load_weights
from psmnet.training.run_spec import RunSpec

ENCODER = "encoder."  # prefix of the encoder's tensors


@dataclass(frozen=True)
class Beginning:
    """What a training begins with; from scratch, nothing.

    Attributes:
        tensors: values for tensors of the new network, by name.
        trained_on: what the initial weights were trained on.
        cases: cases that they saw, as the new weights record them.
        sha256: of their file, None from scratch.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    trained_on: TrainingRecord = field(default_factory=lambda: TrainingRecord("synthetic"))
    cases: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None


def initial_weights(spec: RunSpec, preset: Preset) -> Beginning:
    """Read the weights that a run begins with.

    Raises:
        ConfigError: they are of another network, or saw what Setting 2 must not see.
        InputError: they can't be read.
    """
    if spec.init is None:
        return Beginning()
    initial = load_weights(spec.init)
    same_method = initial.config.method == spec.method
    tensors = _shared(initial.model, same_method)
    own = _shared(build_model(preset.model), same_method)
    if {name: t.shape for name, t in own.items()} != {name: t.shape for name, t in tensors.items()}:
        raise ConfigError(f"{spec.init} holds another network than this run's", "use its own preset and settings")
    if spec.setting == 2:
        _require_setting_2(spec, initial)
    before = initial.trained_on
    prefix = "" if before.dataset == spec.dataset else f"{before.dataset}/"
    cases = {f"{prefix}{case_id}": checksum for case_id, checksum in before.cases.items()}
    return Beginning(tensors, before, cases, initial.sha256)


def _require_setting_2(spec: RunSpec, initial: Weights) -> None:
    """Refuse initial weights that saw slices which this run must not see.

    Raises:
        ConfigError: they did.
    """
    before = initial.trained_on
    if before.setting == 1:
        raise ConfigError(
            f"{spec.init} was trained in Setting 1, where test classes were visible",
            "begin with weights trained in Setting 2, or from scratch",
        )
    if before.setting == 2 and before.group != spec.group:
        raise ConfigError(
            f"{spec.init} was trained for group {before.group}, where classes of {spec.group} were visible",
            "begin with weights of the same group",
        )
    if before.setting2 == "all" and spec.setting2 == "any":
        raise ConfigError(
            f"{spec.init} was trained by rule all of Setting 2, where slices with one test class were visible",
            "begin with weights of the same rule",
        )


def _shared(model: nn.Module, same_method: bool) -> dict[str, Tensor]:
    """Tensors that initial weights provide: all, or only the encoder's for another method."""
    return {name: tensor for name, tensor in model.state_dict().items() if same_method or name.startswith(ENCODER)}
