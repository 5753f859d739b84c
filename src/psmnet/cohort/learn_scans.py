"""`psmnet.learn`: the same as `psmnet learn`, in Python."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from psmnet.cohort.job import FORMATS, CohortJob
from psmnet.cohort.learn_run import LearnedCohort, learn_cohort
from psmnet.errors import require
from psmnet.io import OrganName, find_queries
from psmnet.learning import LearnJob, LearnSettings, Progress, silent
from psmnet.system import ONE_AT_A_TIME, Workers

Place = str | os.PathLike[str]


def learn(
    scans: Place | Sequence[Place],
    supports: Sequence[tuple[Place, Place]],
    out: Place,
    *,
    earlier: Place | None = None,
    settings: LearnSettings | None = None,
    names: Mapping[int, str] | None = None,
    labels: Sequence[int] | None = None,
    series: Sequence[str] = (),
    trust_grid: bool = False,
    weights: Place = "bundled",
    ending: str = CohortJob.ending,
    device: str = "auto",
    threads: int | None = None,
    workers: Workers = ONE_AT_A_TIME,
    progress: Progress = silent,
) -> LearnedCohort | None:
    """Learn a network from one or a few labelled scans and many unlabelled ones, and segment all of these with it.

    The scans get first masks by the example of the labelled scans; these, averaged over several examples and compared
    with registration, teach a network, and the network's masks are the result. A learning that was killed goes on
    where it was when it is called again, and one that has finished is not done again. Masks that somebody has edited
    are kept. Scans are worked on in processes of their own, so that a script needs `if __name__ == "__main__":`.

    Args:
        scans: the unlabelled scans, at least four: files, DICOM folders, folders of these, or patterns. Copies of
            labelled scans are left out.
        supports: image and labels of each labelled scan. Labels are a label map, a .seg.nrrd, a DICOM Segmentation or
            a folder of masks.
        out: folder for the result; new, or of the same learning.
        earlier: folder of a learning to go on from: its labelled scans and its network are used, too.
        settings: of the learning.
        names: organ names by label value (default: those in the label files).
        labels: label values to learn (default: all).
        series: SeriesInstanceUIDs to read from DICOM folders.
        trust_grid: use labels of the image's size as if they were on its grid.
        weights: of the network that makes the first masks.
        ending: file format of the masks, "nii.gz" or "nrrd".
        device: "auto", "cpu", "cuda" or "mps".
        threads: CPU threads of each process (default: torch's).
        workers: who works on the scans.
        progress: called with the stage, finished and all of its scans or steps, and a note.

    Returns:
        The masks, the network and what is known of each scan; None in a process of torchrun that is not the first.
        Scans that failed are in `failed`, with their errors; the others are learned from all the same.

    Raises:
        ConfigError: `out` holds what was learned from other scans or with other settings.
        InputError: fewer than four scans can be used, an organ is found in none of them, or a labelled scan, the
            weights or `out` can't be used.

    Example:
        >>> import psmnet
        >>> learned = psmnet.learn("scans", [("old.nii.gz", "old_labels.nii.gz")], "run")     # doctest: +SKIP
        >>> learned.masks["new"]                                                              # doctest: +SKIP
        PosixPath('run/masks/new_seg.nii.gz')
        >>> psmnet.Segmenter.from_checkpoint("run").segment(another)                          # doctest: +SKIP

    Source: [ours], after label propagation and self-training; docs/decisions.md has what was tried.
    """
    require(ending in FORMATS, f"ending is {ending}", f"give one of {', '.join(FORMATS)}")
    patterns = [scans] if isinstance(scans, str | os.PathLike) else list(scans)
    pairs = tuple((Path(image).absolute(), Path(mask).absolute()) for image, mask in supports)
    require(bool(pairs) or earlier is not None, "no labelled scan", "give at least one", code="no-support")
    folder = Path(out)
    found, skipped = find_queries(
        [os.fspath(one) for one in patterns], [path for pair in pairs for path in pair], folder
    )
    job = LearnJob(
        supports=pairs,
        out=folder.absolute(),
        names={value: OrganName(name) for value, name in (names or {}).items()},
        labels=None if labels is None else tuple(labels),
        series=tuple(series),
        trust_grid=trust_grid,
        weights=str(Path(weights).absolute()) if Path(weights).exists() else os.fspath(weights),
        device=device,
        threads=threads,
        settings=settings or LearnSettings(),
    )
    return learn_cohort(
        job,
        found,
        skipped,
        earlier=None if earlier is None else Path(earlier),
        ending=ending,
        workers=workers,
        progress=progress,
    )
