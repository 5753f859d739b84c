"""Pseudo-labels on disk, `superpix-MIDDLE_<id>.nii.gz` (the published name) or `supervox_<id>.nii.gz`, and their list.

Superpixels that are not on the list come from published notebooks and have their numbering bug (one id lost, one
empty). They are used only where that bug is requested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from psmnet.data import Case, without_257th
from psmnet.data.pseudolabels.rule import Kind, PseudolabelRule
from psmnet.errors import PsmnetError
from psmnet.io import read_labels, write_volume
from psmnet.system import StoredFile, StoredPart, map_cases

LIST_NAME = "pseudolabels.json"
_PREFIX: dict[Kind, str] = {"superpixels": "superpix-MIDDLE_", "supervoxels": "supervox_"}


class ListedCase(StoredPart):
    """How a case's pseudo-labels were made; all empty while they are being made.

    Attributes:
        image_sha256: of the image they were made from.
        parameters: of the rule.
        ids_by_slice: number of superpixels or supervoxels in each slice.
        share_of_scan: share of the voxels that have one.
    """

    image_sha256: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    ids_by_slice: list[int] = Field(default_factory=list)
    share_of_scan: float = 0.0


class PseudolabelList(StoredFile):
    """`pseudolabels.json`: by case id, what lies in a folder."""

    REMEDY: ClassVar[str] = "delete it and the pseudo-labels beside it, and make them again"

    superpixels: dict[str, ListedCase] = Field(default_factory=dict)
    supervoxels: dict[str, ListedCase] = Field(default_factory=dict)

    def of(self, kind: Kind) -> dict[str, ListedCase]:
        """The cases of one kind."""
        return self.superpixels if kind == "superpixels" else self.supervoxels


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

    def listed(self) -> dict[str, ListedCase]:
        """Case id to its entry on the list; empty without a list.

        Raises:
            InputError: the list is damaged.
        """
        return self._read_list().of(self.rule.kind)

    def current(self, cases: Sequence[Case]) -> list[Case]:
        """The cases whose pseudo-labels exist and were made by this rule from the same image."""
        listed = self.listed()
        return [case for case in cases if self._fits(listed.get(case.id), case)]

    def foreign(self, cases: Sequence[Case]) -> list[Case]:
        """The cases whose pseudo-labels exist but are not listed: those of published notebooks."""
        listed = self.listed()
        return [case for case in cases if case.id not in listed and self.path_of(case.id).exists()]

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
            self._list({case.id: ListedCase() for case in missing})
        for done, (case, result) in enumerate(map_cases(partial(_make, store=self), missing, jobs), len(kept) + 1):
            if isinstance(result, PsmnetError):
                failed[case.id] = result
            else:
                self._list({case.id: result})
            report(done, case.id)
        return len(missing) - len(failed), failed

    def read(self, case: Case) -> npt.NDArray[np.int32]:
        """A case's ids, (Z, Y, X), without the 257th row and column of published files."""
        return without_257th(read_labels(self.path_of(case.id))).array_zyx.astype(np.int32)

    def _read_list(self) -> PseudolabelList:
        path = self.folder / LIST_NAME
        return PseudolabelList.read(path) if path.exists() else PseudolabelList()

    def _list(self, new: dict[str, ListedCase]) -> None:
        listed = self._read_list()
        listed.of(self.rule.kind).update(new)
        listed.write(self.folder / LIST_NAME)

    def _fits(self, listed: ListedCase | None, case: Case) -> bool:
        if listed is None or not self.path_of(case.id).exists():
            return False
        return listed.parameters == self.rule.parameters() and listed.image_sha256 == case.checksum()


def _make(case: Case, *, store: PseudolabelStore) -> ListedCase:
    image = case.image()
    ids = store.rule.make(image)
    write_volume(image.with_array(ids.astype(np.uint16)), store.path_of(case.id))
    by_slice = [int(np.count_nonzero(np.unique(slice_ids))) for slice_ids in ids]
    return ListedCase(
        image_sha256=case.checksum(),
        parameters=store.rule.parameters(),
        ids_by_slice=by_slice,
        share_of_scan=round(float(np.count_nonzero(ids)) / ids.size, 4),
    )
