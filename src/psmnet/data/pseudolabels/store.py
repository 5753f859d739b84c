"""Pseudo-labels on disk, `superpix-MIDDLE_<id>.nii.gz` (the published name) or `supervox_<id>.nii.gz`, and their list.

Superpixels that are not on the list come from published notebooks and have their numbering bug (one id lost, one
empty). They are used only where that bug is requested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.data import Case, without_257th
from psmnet.data.pseudolabels.rule import Kind, PseudolabelRule
from psmnet.errors import PsmnetError
from psmnet.io import read_labels, write_volume
from psmnet.system import map_cases, read_json, write_json

LIST_NAME = "pseudolabels.json"
_PREFIX: dict[Kind, str] = {"superpixels": "superpix-MIDDLE_", "supervoxels": "supervox_"}
Entry = dict[str, Any]


@dataclass(frozen=True)
class PseudolabelStore:
    """The pseudo-labels of one rule in one folder.

    Attributes:
        folder: where they are.
        rule: how they are made.
    """

    folder: Path
    rule: PseudolabelRule

    def path_of(self, case_id: str) -> Path:
        """File of a case's pseudo-labels."""
        return self.folder / f"{_PREFIX[self.rule.kind]}{case_id}.nii.gz"

    def listed(self) -> dict[str, Entry]:
        """Case id to its entry on the list; empty without a list."""
        return _entries(self.folder).get(self.rule.kind, {})

    def current(self, cases: Sequence[Case]) -> list[Case]:
        """The cases whose pseudo-labels exist and were made by this rule from the same image."""
        entries = self.listed()
        return [case for case in cases if self._fits(entries.get(case.id), case)]

    def foreign(self, cases: Sequence[Case]) -> list[Case]:
        """The cases whose pseudo-labels exist but are not listed: those of published notebooks."""
        entries = self.listed()
        return [case for case in cases if case.id not in entries and self.path_of(case.id).exists()]

    def write(
        self,
        cases: Sequence[Case],
        *,
        jobs: int = 1,
        report: Callable[[int, str], None] = lambda done, case_id: None,
    ) -> tuple[int, dict[str, PsmnetError]]:
        """Make the pseudo-labels that are missing.

        Args:
            cases: scans of a data set.
            jobs: processes.
            report: called with (done, case id) after each case.

        Returns:
            number of cases made, and the error of each case that failed.

        Raises:
            InputError: the folder can't be written.
        """
        kept = {case.id for case in self.current(cases)}
        missing = [case for case in cases if case.id not in kept]
        failed: dict[str, PsmnetError] = {}
        if missing:
            # A run may be killed between a file and its entry, so until then none of them is listed as finished.
            self._list({case.id: {} for case in missing})
        for done, (case, outcome) in enumerate(map_cases(partial(_make, store=self), missing, jobs), len(kept) + 1):
            if isinstance(outcome, PsmnetError):
                failed[case.id] = outcome
            else:
                self._list({case.id: outcome})
            report(done, case.id)
        return len(missing) - len(failed), failed

    def read(self, case: Case) -> npt.NDArray[np.int32]:
        """A case's ids, (Z, Y, X), without the 257th row and column of published files."""
        return without_257th(read_labels(self.path_of(case.id))).array_zyx.astype(np.int32)

    def _list(self, new: dict[str, Entry]) -> None:
        entries = _entries(self.folder)
        entries[self.rule.kind] = entries.get(self.rule.kind, {}) | new
        write_json(self.folder / LIST_NAME, entries)

    def _fits(self, entry: Entry | None, case: Case) -> bool:
        if not isinstance(entry, dict) or not self.path_of(case.id).exists():
            return False
        return entry.get("parameters") == self.rule.parameters() and entry.get("image_sha256") == case.checksum()


def _make(case: Case, *, store: PseudolabelStore) -> Entry:
    image = case.image()
    ids = store.rule.make(image)
    write_volume(image.with_array(ids.astype(np.uint16)), store.path_of(case.id))
    by_slice = [int(np.count_nonzero(np.unique(slice_ids))) for slice_ids in ids]
    return {
        "image_sha256": case.checksum(),
        "parameters": store.rule.parameters(),
        "ids_by_slice": by_slice,
        "share_of_scan": round(float(np.count_nonzero(ids)) / ids.size, 4),
    }


def _entries(folder: Path) -> dict[Kind, dict[str, Entry]]:
    path = folder / LIST_NAME
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        return {}
    return {kind: content[kind] for kind in _PREFIX if isinstance(content.get(kind), dict)}
