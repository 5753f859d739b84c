"""What psmnet raises when an input or a setting can't be used: what is wrong, with the value, and what to do."""

import difflib
from collections.abc import Iterable, Mapping


class PsmnetError(Exception):
    """Base of every error that a user can fix; the command line prints it as one line and exits with 2.

    Args:
        what: what is wrong, with the value received.
        remedy: what to do about it, in the words of the library (argument names, not command-line options).
        code: name of the situation, by which the command line and the viewer word the remedy their own way
            (`cli/hints.py`, `viewer/words.py`); None where the remedy is the same for everyone.
        values: what those wordings need, by name.
    """

    def __init__(self, what: str, remedy: str, *, code: str | None = None, **values: object) -> None:
        self.what = " ".join(what.split())
        self.remedy = " ".join(remedy.split())
        self.code = code
        self.values = values
        super().__init__(f"{self.what}; {self.remedy}")

    def remedy_in(self, remedies: Mapping[str, str]) -> str:
        """The remedy that stands under the error's code; its own if none does."""
        remedy = remedies.get(self.code or "")
        return remedy.format(**self.values) if remedy else self.remedy

    def worded(self, remedies: Mapping[str, str]) -> str:
        """The error as one line, with `remedy_in`."""
        return f"{self.what}; {self.remedy_in(remedies)}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all arguments: errors of cases come back from other processes."""
        return _restored, (type(self), self.what, self.remedy, self.code, self.values)


class InputError(PsmnetError):
    """A file, array or label map that can't be used."""


class ConfigError(PsmnetError):
    """An option, preset or combination of settings that can't be used."""


class LeakageError(PsmnetError):
    """A test or support case that the weights were trained on."""


def unknown(what: str, name: str, known: Iterable[str], otherwise: str = "give one of") -> ConfigError:
    """The error for a name that does not exist; it suggests the closest one, or lists all where none is close.

    Args:
        what: it names, as "method".
        name: that was given.
        known: the names that exist.
        otherwise: what stands before the list.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)  # lower, unet would be taken for qnet
    remedy = f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(names)}"
    return ConfigError(f"unknown {what} {name!r}", remedy)


def require(good: bool, what: str, remedy: str, *, code: str | None = None, **values: object) -> None:
    """Raise a ConfigError unless a setting is good."""
    if not good:
        raise ConfigError(what, remedy, code=code, **values)


def _restored(
    kind: type[PsmnetError], what: str, remedy: str, code: str | None, values: dict[str, object]
) -> PsmnetError:
    return kind(what, remedy, code=code, **values)
