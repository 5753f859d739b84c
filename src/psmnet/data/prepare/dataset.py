"""From a raw data set, or a user's own scans, to the normalised layout: case by case, in parallel, resumable.

The label map of a case is written first and its image last, each atomically, so an image means a finished case.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from psmnet.catalog import DATASETS, DataSet
from psmnet.data import DATASET_NAME, DatasetFile, PreparedCase, case_order, read_dataset_file
from psmnet.data.prepare.adapters import ADAPTERS, RawCase
from psmnet.data.prepare.adapters.folder import label_names
from psmnet.data.prepare.case_maker import CaseMaker, is_whole, paths_of
from psmnet.data.prepare.preprocess import PreprocessConstants
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.data.prepare.survey import recipe_for
from psmnet.errors import ConfigError, InputError, PsmnetError, unknown
from psmnet.io import unnamed
from psmnet.runtime import package_version
from psmnet.system import locked, map_cases, sweep

FAULTS_OF_PREPARE = ("crop-origin", "extra-slice", "label-holes", "volume-rescale")


@dataclass(frozen=True)
class PrepareSpec:
    """What to prepare, and how.

    Attributes:
        dataset: name in the catalog.
        legacy: names of known bugs in published preprocessing to reproduce.
        modality: mr or ct, for `folder`; None decides by each scan's minimum.
        spacing_mm: (x, y, z) for `folder`, z None for as stored; None takes the median.
        size_px: rows and columns for `folder`; None takes the largest slice's.

    Raises:
        ConfigError: no such data set or bug, or a value that only `folder` takes.
    """

    dataset: str
    legacy: tuple[str, ...] = ()
    modality: str | None = None
    spacing_mm: tuple[float, float, float | None] | None = None
    size_px: int | None = None

    def __post_init__(self) -> None:
        if self.dataset not in ADAPTERS:
            if self.dataset == "phantom":
                raise ConfigError("phantoms need no preparing", "draw them with psmnet phantom DIR")
            raise unknown("data set", self.dataset, ADAPTERS)
        for name in self.legacy:
            if name not in FAULTS_OF_PREPARE:
                known = ", ".join(FAULTS_OF_PREPARE)
                what = f"{name!r} is not a known bug that preparing can reproduce"
                raise ConfigError(what, f"give any of {known}", code="legacy", known=known)
        own = [name for name in ("modality", "spacing_mm", "size_px") if getattr(self, name) is not None]
        if own and self.dataset != "folder":
            raise ConfigError(
                f"the {own[0].split('_')[0]} of {self.dataset} can't be set: it is the published one",
                "leave it out, or prepare the scans as data set folder",
            )

    @property
    def facts(self) -> DataSet:
        """The catalog's facts about the data set."""
        return DATASETS[self.dataset]


@dataclass
class Prepared:
    """Result of `prepare_dataset`.

    Attributes:
        dataset: content of `dataset.json`.
        made, kept: ids of new cases, and of those that existed already.
        failed: id to reason.
        notes: remarks for the user.
    """

    dataset: DatasetFile
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, PsmnetError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare_dataset(
    spec: PrepareSpec,
    raw_root: Path,
    out: Path,
    *,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
    report: Callable[[int, str, int], None] = lambda done, case_id, total: None,
) -> Prepared:
    """Prepare every case; one that can't be used is reported, and the others continue.

    Args:
        spec: what to prepare, and how.
        raw_root: the download: any folder above its layout, or the zip.
        out: folder for `image_<id>.nii.gz`, `label_<id>.nii.gz` and `dataset.json`. Cases in it are kept if
            their sources are unchanged.
        jobs: processes; more than one only under `if __name__ == "__main__"`, because they are spawned.
        say: called with a line about each step.
        report: called with (done, case id, total) after each case.

    Raises:
        InputError: the raw data can't be used at all.
        ConfigError: `out` holds something else.
    """
    if out.resolve() == raw_root.resolve():
        raise ConfigError(f"{out} is the raw data itself", "write elsewhere")
    raw, cases = _find(spec, raw_root, out)
    with locked(out):
        sweep(out)
        earlier = read_dataset_file(out)
        if earlier is None and (any(out.glob("image_*")) or (out / DATASET_NAME).exists()):
            raise ConfigError(f"{out} holds data that psmnet prepare didn't write", "choose another folder")
        recipe = _recipe(spec, raw, cases, out, earlier, jobs)
        names = spec.facts.labels or label_names(raw)
        dataset = _begin(spec, recipe, names, earlier, out)
        dataset.write_into(out)  # so a run killed before its first case is recognised
        result = Prepared(dataset)
        result.notes += _incomplete(spec, cases) + _passed_over(spec, raw)
        say(f"{len(cases)} cases in {raw.root}")
        maker = CaseMaker(
            spec.dataset, raw, out, recipe, spec.modality, spec.size_px is not None, earlier=dict(dataset.cases)
        )
        for done, (case, made) in enumerate(map_cases(maker.make, cases, jobs), start=1):
            if isinstance(made, PsmnetError):
                result.failed[case.id] = made
                _forget(dataset, case.id, out)
            else:
                record, is_new = made
                (result.made if is_new else result.kept).append(case.id)
                dataset.cases[case.id] = record
                result.notes += record.notes
                if nameless := _add_names(dataset, record):
                    result.notes += [f"case {case.id}: label {', '.join(nameless)} has no name"] if names else []
                dataset.write_into(out)
            report(done, case.id, len(cases))
        sweep(out)  # what killed processes left
        found = {record.modality for record in dataset.cases.values() if record.modality}
        dataset.modality = found.pop() if len(found) == 1 else "mixed" if found else ""
        if dataset.modality == "mixed":
            result.notes.append(
                "some scans were read as CT, others as MR; set the modality (ct or mr) if that is wrong"
            )
        # Always in the same order, whichever case was finished first.
        dataset.cases = {case_id: dataset.cases[case_id] for case_id in sorted(dataset.cases, key=case_order)}
        dataset.labels = dict(sorted(dataset.labels.items(), key=lambda label: label[1]))
        dataset.write_into(out)
    return result


def _find(spec: PrepareSpec, raw_root: Path, out: Path) -> tuple[RawFiles, list[RawCase]]:
    """The cases of a folder, of a zip, or of the zips in a folder."""
    adapter = ADAPTERS[spec.dataset]
    raw = RawFiles.open(raw_root, leave_out=out)
    if cases := adapter.find(raw):
        return raw, cases
    packed = raw.with_zips()
    if cases := adapter.find(packed):
        return packed, cases
    if spec.dataset == "folder":
        raise InputError(
            f"{raw_root} holds no scans",
            "give a folder with images and labels (scan.nii.gz beside scan_label.nii.gz), or an nnU-Net data set",
        )
    raise InputError(
        f"{raw_root} ({len(packed.names)} files) doesn't hold {spec.facts.title}",
        f"give a folder above {spec.facts.raw_layout}, or the zip",
    )


def _recipe(
    spec: PrepareSpec,
    raw: RawFiles,
    cases: Collection[RawCase],
    out: Path,
    earlier: DatasetFile | None,
    jobs: int,
) -> PreprocessConstants:
    """The data set's constants; for own scans those of the first run, or new ones that fit all scans."""
    if spec.dataset != "folder":
        return PreprocessConstants.of(spec.facts, spec.legacy)
    if earlier is not None and earlier.dataset == "folder":
        before = PreprocessConstants.of_constants(earlier.constants)
        return replace(
            before,
            spacing_mm=spec.spacing_mm or before.spacing_mm,
            size_px=spec.size_px or before.size_px,
            faults=tuple(sorted(spec.legacy)),
        )
    recipe = recipe_for(cases, raw, out, spacing_mm=spec.spacing_mm, size_px=spec.size_px, jobs=jobs)
    return replace(recipe, faults=tuple(sorted(spec.legacy)))


def _begin(
    spec: PrepareSpec, recipe: PreprocessConstants, names: Mapping[str, int], earlier: DatasetFile | None, out: Path
) -> DatasetFile:
    """Content of `dataset.json` at the start: the earlier one if data set and constants are the same."""
    constants = recipe.as_constants()
    dataset = DatasetFile(
        dataset=spec.dataset, version=package_version(), legacy=recipe.faults, constants=constants, labels=dict(names)
    )
    if earlier is not None:
        for what, before, now in (
            ("data set", earlier.dataset, dataset.dataset),
            ("known bugs", ", ".join(earlier.legacy) or "none", ", ".join(dataset.legacy) or "none"),
            *((f"constant {name}", earlier.constants.get(name), value) for name, value in constants.items()),
        ):
            if before != now:
                raise ConfigError(f"{out} was prepared with {what} {before}, not {now}", "choose another folder")
        if earlier.version == dataset.version:
            dataset.cases = earlier.cases
    return dataset


def _incomplete(spec: PrepareSpec, cases: Collection[RawCase]) -> list[str]:
    facts = spec.facts
    if facts.cases is None or len(cases) == facts.cases:
        return []
    missing = [case_id for case_id in facts.case_ids if case_id not in {case.id for case in cases}]
    which = f" (missing: {', '.join(missing)})" if missing else ""
    return [f"{len(cases)} cases where {facts.title} has {facts.cases}{which}; the published folds need them all"]


def _forget(dataset: DatasetFile, case_id: str, out: Path) -> None:
    """Remove a failed case, unless it is complete from an earlier run."""
    record = dataset.cases.get(case_id)
    if record is None or not is_whole(record, out, case_id):
        dataset.cases.pop(case_id, None)
        for path in paths_of(out, case_id):
            path.unlink(missing_ok=True)


def _passed_over(spec: PrepareSpec, raw: RawFiles) -> list[str]:
    """A note that nnU-Net's test scans were skipped."""
    count = sum("/imagesTs/" in f"/{name}" for name in raw.names) if spec.dataset == "folder" else 0
    return [f"{count} in imagesTs skipped; give that folder to prepare them"] if count else []


def _add_names(dataset: DatasetFile, record: PreparedCase) -> list[str]:
    """Name labels without a name by their value; returns those values."""
    known = set(dataset.labels.values())
    nameless = [value for value in record.voxels if value not in known]
    dataset.labels |= {unnamed(value).name: value for value in nameless}
    return list(map(str, nameless))
