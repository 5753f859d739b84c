"""Texts that several rooms print."""


def counted(number: int, what: str) -> str:
    """A number of things, as "1 scan" or "2 scans"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def how_to_install(extra: str) -> str:
    """The remedy for a package that is missing: the extra of psmnet that brings it."""
    return f"pip install -e '.[{extra}]' in the folder of psmnet, or make env"
