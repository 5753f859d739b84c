"""Which scans a learning may use; copies of labelled scans and of left-out queries are found by content."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from psmnet.data import Case, choose
from psmnet.errors import InputError, PsmnetError
from psmnet.evaluation.bench.cohort_recipe import STUDENT, Learning
from psmnet.volume import content_digest


@dataclass(frozen=True)
class LearningCases:
    """The cases of one learning. Labels are read of the supports only.

    Attributes:
        supports: labelled scans.
        cohort: unlabelled scans.
        queries: scans that are scored, in the cohort or not.
        copies: ids of cases that are none of these, since they are copies of a support or of a query.
    """

    supports: tuple[Case, ...]
    cohort: tuple[Case, ...]
    queries: tuple[Case, ...]
    copies: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[Case, ...]:
        """Queries that are not in the cohort."""
        return tuple(case for case in self.queries if case not in self.cohort)


def learning_cases(learning: Learning, cases: Sequence[Case]) -> LearningCases:
    """Sort cases by their part in a learning.

    A copy of a labelled scan is neither learned from nor scored. Where queries are left out, so are their copies.

    Args:
        learning: which cases are labelled, left out and scored.
        cases: all cases of the data.

    Raises:
        InputError: every query of a fold is a copy of a labelled scan.
    """
    same = _same_content(cases)
    supports, queries = choose(cases, learning.supports), choose(cases, learning.queries)
    labelled = {case.id for case in supports}
    copies = {copy for case in learning.supports for copy in same[case]} - labelled
    queries = [case for case in queries if case.id not in copies]
    for scoring in learning.scorings:
        if copies.issuperset(scoring.queries):
            what = f"{learning.title()}: every query of fold {scoring.fold} is a copy of a labelled scan"
            raise InputError(what, "remove the copies from the data")
    copies |= {copy for case in learning.left_out for copy in same[case]} - set(learning.left_out) - labelled
    cohort = [case for case in cases if case.id not in {*labelled, *copies, *learning.left_out}]
    if learning.entry.method == STUDENT:
        cohort, copies = [], copies & set(learning.queries)
    ids = tuple(case.id for case in cases if case.id in copies)
    return LearningCases(tuple(supports), tuple(cohort), tuple(queries), ids)


def _same_content(cases: Sequence[Case]) -> dict[str, set[str]]:
    """Case to all cases of its content, itself among them."""
    digests = {case.id: _digest(case) for case in cases}
    groups: dict[str, set[str]] = defaultdict(set)
    for case, found in digests.items():
        groups[found].add(case)
    return {case: groups[found] for case, found in digests.items()}


def _digest(case: Case) -> str:
    """Of a scan that can't be read, its path: learning names it, and goes on without it."""
    try:
        return content_digest(case.image())
    except PsmnetError:
        return str(case.image_path)
