"""Words that print well."""


def counted(number: int, what: str) -> str:
    """A number of things, as "1 scan" or "2 scans"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
