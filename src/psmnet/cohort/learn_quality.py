"""Whether the masks of a learning are likely to be poor."""

from statistics import fmean

from psmnet.cohort.learn_record import JudgedOrgan, LearnRecord

LOWEST = 0.6  # provisional, see `quality_warning`


def quality_warning(record: LearnRecord) -> str | None:
    """A warning where the masks are likely to be poor; None where they are not.

    The rule is provisional, figure and measure: the mean over all organs of all scans of the smaller of two numbers,
    the agreement of vote and network (Dice) and the final confidence, is below 0.6. Without a network the final
    confidence counts alone.
    """
    found = [_trust(organ) for scan in record.scans for organ in scan.organs.values()]
    if not found or (mean := fmean(found)) >= LOWEST:
        return None
    return (
        f"warning: the masks are probably poor (confidence and agreement {mean:.2f}, below {LOWEST:.2f}): look at many "
        "of them, correct a few, and learn again with these as labelled scans"
    )


def _trust(organ: JudgedOrgan) -> float:
    return organ.final if organ.vote_student is None else min(organ.vote_student, organ.final)
