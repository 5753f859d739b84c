"""What every slice-wise method's settings have in common.

A method's file holds its settings, which build its network; `models.build` lists them by name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from psmnet.errors import require


@dataclass(frozen=True)
class MethodSettings(ABC):
    """Base of the methods' settings; each states its own defaults, which are those its paper published.

    Attributes:
        alignment: weight of the prototype alignment loss [PANet] in training; a loss weighted 0 is not computed.
    """

    alignment: float = 1.0

    def __post_init__(self) -> None:
        require(self.alignment >= 0, f"alignment is {self.alignment}", "give 0 or more")

    @abstractmethod
    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """The method over an encoder whose matched map has `channels`."""
