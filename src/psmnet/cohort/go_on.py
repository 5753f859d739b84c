"""A learning that goes on from an earlier one: its labelled scans and its network are used again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from psmnet.cohort.corrections import edited_masks, read_run
from psmnet.cohort.learn_record import LabelledPair
from psmnet.errors import ConfigError, InputError
from psmnet.io import checksum
from psmnet.learning import LearnJob
from psmnet.models import WEIGHTS_NAME
from psmnet.segmentation import load_learned
from psmnet.system import counted


def go_on_from(job: LearnJob, run: Path) -> tuple[LearnJob, list[str]]:
    """The same job, going on from an earlier learning.

    Its labelled scans are found where they were, seen from its folder. One that is given again (the same image,
    wherever it is now) is taken as it is given: moved, or with other labels.

    Args:
        job: with further labelled scans, or none.
        run: folder of the earlier learning.

    Returns:
        the job, and remarks for the user: on labels that were edited, and on edited masks that are not among the
        labelled scans.

    Raises:
        ConfigError: the job's folder is the earlier one.
        InputError: the earlier learning is not finished, has no network, or one of its labelled scans is gone.
    """
    record = read_run(run)
    if record.weights_sha256 is None:
        raise InputError(f"{run} has no network, only masks of the vote", "begin without it", code="vote-only-run")
    if run.resolve() == job.out.resolve():
        raise ConfigError(f"{run} is the earlier learning itself", "choose another folder for this one", code="out")
    network = load_learned(run / WEIGHTS_NAME)
    given = {checksum(image) for image, _ in job.supports}
    kept: list[tuple[Path, Path]] = []
    notes: list[str] = []
    for pair in record.supports:
        if pair.image_sha256 not in given:
            kept.append(_found(pair, run, notes))
    supports = (*kept, *job.supports)
    if unused := _not_given(edited_masks(run, record), supports):
        notes.append(
            f"{counted(len(unused), 'mask')} edited in {run.name} and not given as a labelled scan: {', '.join(unused)}"
        )
    weights = str((run / WEIGHTS_NAME).absolute())
    return replace(job, supports=supports, names={**network.organs, **job.names}, earlier=weights), notes


def _found(pair: LabelledPair, run: Path, notes: list[str]) -> tuple[Path, Path]:
    """Where a labelled scan of the earlier learning is.

    Raises:
        InputError: it is no longer there.
    """
    image, labels = pair.paths(run)
    for path in (image, labels):
        if not path.exists():
            raise InputError(
                f"{run} learned from {path.name}, which is no longer in {path.parent}",
                "give this labelled scan again",
                code="moved-support",
            )
    if checksum(image) != pair.image_sha256:
        raise InputError(
            f"{image} is not the scan any more that {run} learned from",
            "give this labelled scan again",
            code="moved-support",
        )
    if checksum(labels) != pair.labels_sha256:
        notes.append(f"{labels.name} was edited since {run.name} learned from it: it is used as it is now")
    return image, labels


def _not_given(edited: Mapping[str, Path], supports: Sequence[tuple[Path, Path]]) -> list[str]:
    known = {checksum(labels) for _, labels in supports}
    return [mask.name for mask in edited.values() if checksum(mask) not in known]
