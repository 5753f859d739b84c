"""What psmnet raises when an input or a setting can't be used: one line, with the value and the remedy."""


class PsmnetError(Exception):
    """Base of every error a user can mend; the command line prints it as one line and exits with 2.

    Args:
        what: what is wrong, with the value received.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.what = " ".join(what.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.what}; {self.remedy}")

    def __reduce__(self) -> tuple[type["PsmnetError"], tuple[str, str]]:
        """Pickle with both arguments: errors of cases come back from other processes."""
        return type(self), (self.what, self.remedy)


class InputError(PsmnetError):
    """A file, array or label map that can't be used."""


class ConfigError(PsmnetError):
    """An option, preset or combination of settings that can't be used."""


class LeakageError(PsmnetError):
    """A test or support case that the weights were trained on."""


def require(good: bool, what: str, remedy: str) -> None:
    """Raise a ConfigError unless a setting is good."""
    if not good:
        raise ConfigError(what, remedy)
