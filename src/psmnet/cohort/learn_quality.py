"""Whether the masks of a learning are likely to be poor."""

from statistics import fmean

from psmnet.cohort.learn_record import LearnRecord

LOWEST = 0.78  # mean trust below which the true mean Dice is likely below 0.75; fixed on phantoms and the new sets
LOWEST_OF_AN_ORGAN = 0.5  # mean trust of an organ below which it is likely in the wrong place


def quality_warning(record: LearnRecord) -> str | None:
    """A warning where the masks are likely to be poor; None where they are not.

    The mean over the organs' mean trust (`JudgedOrgan.trust`) is below 0.78, or an organ's own is below 0.5.
    """
    if not record.scans:
        return None
    trust = {
        organ: fmean(scan.organs[organ].trust for scan in record.scans if organ in scan.organs)
        for organ in record.scans[0].organs
    }
    mean, lost = fmean(trust.values()), [organ for organ, value in trust.items() if value < LOWEST_OF_AN_ORGAN]
    if mean >= LOWEST and not lost:
        return None
    what = f", {' and '.join(lost)} most of all" if lost else ""
    return (
        f"warning: the masks are probably poor{what} (estimated mean Dice {mean:.2f}): look at many of them, correct "
        "a few, and learn again with these as further labelled scans"
    )
