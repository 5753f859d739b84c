"""Which of many unlabelled scans to label."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from psmnet.errors import PsmnetError, require
from psmnet.io import Query, read_scan
from psmnet.models import Weights
from psmnet.segmentation import require_contrast, suggest
from psmnet.system import counted
from psmnet.volume import Volume


@dataclass(frozen=True)
class RankedScan:
    """A scan and how much it is worth labelling.

    Attributes:
        scan: where it is.
        choice: 1 for the first to label; None for a scan that need not be.
        agreement: with the other scans on average, 0 to 1.
    """

    scan: Query
    choice: int | None
    agreement: float


@dataclass(frozen=True)
class ScanRanking:
    """Scans in the order in which they are worth labelling.

    Attributes:
        scans: those to label first, then the others by agreement.
        failed: scans that can't be used, by name.
        notes: remarks on scans, for the user.
    """

    scans: list[RankedScan]
    failed: dict[str, PsmnetError]
    notes: list[str]


def rank_scans(
    queries: Sequence[Query],
    weights: Weights,
    *,
    k: int = 1,
    device: torch.device,
    series: Sequence[str] = (),
    report: Callable[[int, str], None] = lambda done, name: None,
) -> ScanRanking:
    """Read scans one after another and choose k to label, so that the others are segmented best from them.

    Args:
        queries: the scans.
        weights: whose encoder compares them.
        k: how many to label; fewer than there are scans.
        device: where to compute.
        series: SeriesInstanceUIDs to read from DICOM folders; the largest series where none is named.
        report: called with the number of scans that are read and the name of the last one.

    Raises:
        ConfigError: fewer than two scans, or k is not smaller than their number.
    """
    require(len(queries) > 1, counted(len(queries), "scan"), "give at least 2 to compare", code="one-scan")
    require(
        k < len(queries),
        f"k is {k}, but the number of scans is {len(queries)}",
        "choose fewer than there are",
        code="too-many-k",
    )
    usable: list[Query] = []
    failed: dict[str, PsmnetError] = {}
    notes: list[str] = []

    def read() -> Iterator[Volume]:
        for done, query in enumerate(queries, 1):
            try:
                scan = read_scan(query.path, series=series, notes=notes).volume
                require_contrast(scan, "the scan")
            except PsmnetError as error:
                failed[query.name] = error
            else:
                usable.append(query)
                yield scan
            report(done, query.name)

    suggestion = suggest(read(), weights, k=k, device=device)
    rest = sorted(set(range(len(usable))) - set(suggestion.chosen), key=lambda i: -suggestion.agreement[i])
    order = [*enumerate(suggestion.chosen, 1), *((None, i) for i in rest)]
    scans = [RankedScan(usable[i], choice, float(suggestion.agreement[i])) for choice, i in order]
    return ScanRanking(scans, failed, notes)
