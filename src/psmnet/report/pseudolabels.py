"""Pictures of superpixels and supervoxels, to see what training uses in place of organs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from psmnet.data import Case
from psmnet.data.pseudolabels import PseudolabelStore
from psmnet.errors import PsmnetError
from psmnet.report.overlay import draw_overlay
from psmnet.system import map_cases

PREVIEW_FOLDER = "preview"


def draw_previews(
    cases: Sequence[Case],
    store: PseudolabelStore,
    *,
    jobs: int = 1,
    report: Callable[[int, str], None] = lambda done, case_id: None,
) -> Path:
    """Draw up to eight slices of each case with the borders of its pseudo-labels.

    Args:
        cases: with pseudo-labels in the store.
        store: of the pseudo-labels.
        jobs: processes.
        report: called with (done, case id) after each case.

    Returns:
        the folder of the pictures, `<id>.png`.

    Raises:
        InputError: a picture can't be made.
    """
    folder = store.folder / PREVIEW_FOLDER
    for done, (case, result) in enumerate(map_cases(partial(_draw, store=store, folder=folder), cases, jobs), 1):
        if isinstance(result, PsmnetError):
            raise result
        report(done, case.id)
    return folder


def _draw(case: Case, *, store: PseudolabelStore, folder: Path) -> None:
    ids = store.read(case)
    title = f"case {case.id}: {store.rule.kind}"
    draw_overlay(case.image(), ids, {}, folder / f"{case.id}.png", title=title, borders_only=True)
