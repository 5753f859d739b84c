"""Errors of a viewer that have a meaning of their own in HTTP."""

from psmnet.errors import PsmnetError


class NotHere(PsmnetError):
    """No such scan, label set, job or file."""


class InUse(PsmnetError):
    """Something that a job still needs."""


class TooLarge(PsmnetError):
    """More bytes than are taken in."""


class TooMany(PsmnetError):
    """No room for another one."""


STATUS: dict[type[PsmnetError], int] = {NotHere: 404, InUse: 409, TooLarge: 413, TooMany: 429}
UNUSABLE = 422  # every other PsmnetError: what was sent can't be used
