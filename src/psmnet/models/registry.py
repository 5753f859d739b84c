"""All methods by name: a table of facts, and where the code of each is. Needs no torch until a method is loaded.

A method in another package is found by its entry point in the group `psmnet.methods`: see docs/add-a-method.md.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from psmnet.errors import ConfigError, unknown

if TYPE_CHECKING:
    from psmnet.models.settings import MethodSettings

ENTRY_POINT_GROUP = "psmnet.methods"


@dataclass(frozen=True)
class MethodSpec:
    """What is known about a method without importing it.

    Attributes:
        title: its name as written.
        idea: what it does, in one line.
        citation: its source.
        settings: class of its settings as `module:Class`: a `models.SliceSettings`, or a
            `segmentation.WholeScanSettings` where it is not trained.
        trained: whether it needs trained weights.
    """

    title: str
    idea: str
    citation: str
    settings: str
    trained: bool = True

    def settings_class(self) -> "type[MethodSettings]":
        """Import the class of its settings.

        Raises:
            ConfigError: there is no such module or class.
        """
        module, _, name = self.settings.partition(":")
        remedy = "correct `settings` in its MethodSpec"
        try:
            found: type[MethodSettings] = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise ConfigError(f"method {self.title}: {module} can't be imported ({error})", remedy) from error
        except AttributeError as error:
            raise ConfigError(f"method {self.title}: {module} has no class {name}", remedy) from error
        return found


class Methods(Mapping[str, MethodSpec]):
    """Our own methods, then those of installed packages, whose modules are imported when their facts are read."""

    def __init__(self, own: Mapping[str, MethodSpec]) -> None:
        self._own = own

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in _installed() if name not in self._own)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _installed()

    def __getitem__(self, name: str) -> MethodSpec:
        """The facts of a method.

        Raises:
            ConfigError: no such method, or its package can't be used.
        """
        if name in self._own:
            return self._own[name]
        if name not in _installed():
            raise unknown("method", name, self)
        return _loaded(_installed()[name])

    def usable(self) -> tuple[dict[str, MethodSpec], dict[str, str]]:
        """The facts of the methods that can be used, and by name why others can't be."""
        specs, broken = {}, {}
        for name in self:
            try:
                specs[name] = self[name]
            except ConfigError as error:
                broken[name] = str(error.values["reason"])
        return specs, broken

    def trained(self) -> list[str]:
        """Names of the methods that need trained weights; and of broken ones, so that using one says why it fails."""
        specs, broken = self.usable()
        return [name for name in self if name in broken or specs[name].trained]


@cache
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _loaded(entry: EntryPoint) -> MethodSpec:
    package = entry.dist.name if entry.dist else entry.value
    remedy = f"update or uninstall {package}"
    try:
        spec = entry.load()
    except Exception as error:  # somebody else's code
        what = f"method {entry.name} of {package} can't be imported ({error})"
        raise ConfigError(what, remedy, reason=str(error)) from error
    if not isinstance(spec, MethodSpec):
        reason = f"{entry.value} is not a MethodSpec"
        raise ConfigError(f"method {entry.name} of {package}: {reason}", remedy, reason=reason)
    return spec


METHODS = Methods(
    {
        "psmnet": MethodSpec(
            "PSMNet",
            "prototype splitting, multi-level cross attention",
            "Teng et al., Neurocomputing 597 (2024) 127990",
            "psmnet.models.psm_net:PSMNetSettings",
        ),
        "panet": MethodSpec(
            "PANet",
            "one prototype per class, alignment loss",
            "Wang et al., ICCV 2019",
            "psmnet.models.panet:PANetSettings",
        ),
        "alpnet": MethodSpec(
            "ALPNet",
            "adaptive local prototypes on a grid",
            "Ouyang et al., ECCV 2020; IEEE Transactions on Medical Imaging 41 (2022) 1837",
            "psmnet.models.alpnet:ALPNetSettings",
        ),
        "adnet": MethodSpec(
            "ADNet",
            "a foreground prototype, a learned threshold on the anomaly score",
            "Hansen et al., Medical Image Analysis 78 (2022) 102385",
            "psmnet.models.adnet:ADNetSettings",
        ),
        "qnet": MethodSpec(
            "Q-Net",
            "ADNet with a threshold from the query, two scales, a prototype refined on the query",
            "Shen et al., IntelliSys 2023, arXiv 2208.11451",
            "psmnet.models.qnet:QNetSettings",
        ),
        "registration": MethodSpec(
            "Registration",
            "the support warped onto the query: affine, then B-spline",
            "Mattes et al., IEEE Transactions on Medical Imaging 22 (2003) 120; Rueckert et al., ibid. 18 (1999) 712",
            "psmnet.segmentation.registration:RegistrationSettings",
            trained=False,
        ),
    }
)
"""Every method, our own and those of installed packages."""
