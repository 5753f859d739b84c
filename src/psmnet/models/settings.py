"""Bases of the methods' settings: each setting is one field, with its only default.

A method's file holds its settings, which build it; `registry.METHODS` names the class.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from psmnet.errors import require


@dataclass(frozen=True)
class MethodSettings:
    """Base of all methods' settings; fields are bool, int, float or str."""


@dataclass(frozen=True)
class SliceSettings(MethodSettings, ABC):
    """Base of the settings of slice-wise methods, which are networks with the three verbs (`models.Method`).

    Attributes:
        alignment: weight of the prototype alignment loss [PANet] in training; 0 means that it is not computed.
    """

    alignment: float = 1.0

    def __post_init__(self) -> None:
        require(self.alignment >= 0, f"alignment is {self.alignment}", "give 0 or more")

    @abstractmethod
    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """The method over an encoder.

        Args:
            encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
            channels: C.
        """
