"""Facts, each in one place: data sets, organs, folds, settings, protocols, licences. No torch, no work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from psmnet.errors import unknown


@dataclass(frozen=True)
class DataSet:
    """Facts about a data set.

    Attributes:
        title: full name.
        modality: `mr` or `ct`, or `any`.
        labels: organ name to label value in the data set.
        tested: organs in published tables.
        fold_cuts: positions in the sorted cases where folds begin, and the end; empty for equal parts.
        folds: number of folds.
        groups: Setting 2's test classes by group; empty without a Setting 2.
        spacing_mm: (x, y, z) of the normalised layout; None for as stored.
        size_px: in-plane size of the normalised layout.
        normalisation: published rule for its intensities.
        window_hu: intensity window of CT; None for others.
        clip_percentile: upper percentile at which raw MR intensities are clipped.
        body_threshold: intensity in the normalised layout above which a voxel is body; None for data without fixed
            intensities, which are rescaled before superpixels are drawn.
        supervoxel_voxels: voxels of the smallest supervoxel; None for as many as fill 60 ml.
        raw_layout: what the download unpacks to.
        border_px: pixels cut from each side of a 512 pixel slice before resampling, in proportion for other sizes.
        las_order: whether `prepare` stores axes left, anterior, superior; else they stay as stored.
        cases: number of labelled cases.
        case_ids: their ids, if the download has others too.
        slices: min and max number of slices of a prepared case.
        licence, source, citation: terms, origin and paper.
        zenodo_records: records that may hold the download, the likeliest first; empty if one must register.
        files: names of the files to take from such a record; empty for all.
        access: how to get a data set that is not a free download.
    """

    title: str
    modality: str
    labels: Mapping[str, int] = field(default_factory=dict)
    tested: tuple[str, ...] = ()
    fold_cuts: tuple[int, ...] = ()
    folds: int = 5
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spacing_mm: tuple[float, float, float | None] | None = None
    size_px: int | None = 256
    normalisation: str = "zscore"
    window_hu: tuple[float, float] | None = None
    clip_percentile: float | None = None
    body_threshold: float | None = 50.0
    supervoxel_voxels: int | None = None
    border_px: int = 0
    las_order: bool = False
    raw_layout: str = ""
    cases: int | None = None
    case_ids: tuple[str, ...] = ()
    slices: tuple[int, int] | None = None
    licence: str = ""
    source: str = ""
    citation: str = ""
    zenodo_records: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    access: str = ""

    def names(self) -> dict[int, str]:
        """Label value to organ name."""
        return {value: name for name, value in self.labels.items()}


CT_WINDOW_HU = (-125.0, 275.0)  # soft tissue, as published for SABS
HU_MINIMUM = -500.0  # a scan that reaches this low is in Hounsfield units: no MR does

_ABDOMEN_GROUPS = {"upper": ("liver", "spleen"), "lower": ("right_kidney", "left_kidney")}

DATASETS: dict[str, DataSet] = {
    "chaos-t2": DataSet(
        title="CHAOS-T2: abdominal MRI, T2-SPIR",
        modality="mr",
        labels={"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4},
        tested=("liver", "right_kidney", "left_kidney", "spleen"),
        fold_cuts=(0, 4, 8, 12, 16, 20),
        groups=_ABDOMEN_GROUPS,
        spacing_mm=(1.25, 1.25, 7.70),
        clip_percentile=99.5,
        las_order=True,
        supervoxel_voxels=5000,
        raw_layout="Train_Sets/MR/<id>/T2SPIR/{DICOM_anon/*.dcm,Ground/*.png}",
        cases=20,
        case_ids=(
            "1",
            "2",
            "3",
            "5",
            "8",
            "10",
            "13",
            "15",
            "19",
            "20",
            "21",
            "22",
            "31",
            "32",
            "33",
            "34",
            "36",
            "37",
            "38",
            "39",
        ),
        licence="CC BY-NC-SA 4.0",
        source="Zenodo, doi 10.5281/zenodo.3362844 (free, no account)",
        citation="Kavur et al., Medical Image Analysis 69 (2021) 101950",
        zenodo_records=("3431873", "3362844"),
        files=("CHAOS_Train_Sets.zip",),
    ),
    "sabs": DataSet(
        title="Synapse BTCV (SABS): abdominal CT",
        modality="ct",
        labels={
            "spleen": 1,
            "right_kidney": 2,
            "left_kidney": 3,
            "gallbladder": 4,
            "oesophagus": 5,
            "liver": 6,
            "stomach": 7,
            "aorta": 8,
            "inferior_vena_cava": 9,
            "portal_and_splenic_vein": 10,
            "pancreas": 11,
            "right_adrenal_gland": 12,
            "left_adrenal_gland": 13,
        },
        tested=("spleen", "right_kidney", "left_kidney", "liver"),
        fold_cuts=(0, 6, 12, 18, 24, 30),
        groups=_ABDOMEN_GROUPS,
        normalisation="ct-fold",
        window_hu=CT_WINDOW_HU,
        body_threshold=1e-4,
        border_px=32,
        las_order=True,
        supervoxel_voxels=5000,
        raw_layout="RawData/Training/{img/imgNNNN.nii.gz,label/labelNNNN.nii.gz}",
        cases=30,
        licence="Synapse terms of use (account needed)",
        source="Synapse, syn3193805 (registration needed)",
        citation="Landman et al., MICCAI Multi-Atlas Labeling Beyond the Cranial Vault, 2015",
        access="register at https://www.synapse.org (free), join the challenge syn3193805, and fetch RawData.zip of "
        "Abdomen from its Files page: 30 scans in RawData/Training/img with their maps in RawData/Training/label",
    ),
    "cmr": DataSet(
        title="MS-CMRSeg 2019: cardiac MR, bSSFP",
        modality="mr",
        labels={"lv_myocardium": 200, "lv_blood_pool": 500, "right_ventricle": 600},
        tested=("lv_myocardium", "lv_blood_pool", "right_ventricle"),
        fold_cuts=(0, 7, 14, 21, 28, 35),
        spacing_mm=(1.25, 1.25, 7.99),
        clip_percentile=99.5,
        supervoxel_voxels=1000,
        raw_layout="{c0t2lge/patientN_C0.nii.gz,c0gt/patientN_C0_manual.nii.gz}, N = 1..35",
        cases=35,
        slices=(11, 19),
        licence="the organisers' terms (registration needed)",
        source="MS-CMRSeg 2019 challenge (registration; the official link is reported dead now and then)",
        citation="Zhuang, IEEE TPAMI 41 (2019) 2933",
        access="register with the organisers at https://zmiclab.github.io/zxh/0/mscmrseg19 (the official link is "
        "reported dead now and then: write to them), and fetch the images (c0t2lge) and manual labels (c0gt)",
    ),
    "pelvic": DataSet(
        title="Male pelvic MR, T2-weighted, 7 institutions",
        modality="mr",
        labels={
            "bladder": 1,
            "bone": 2,
            "obturator_internus": 3,
            "transition_zone": 4,
            "central_gland": 5,
            "rectum": 6,
            "seminal_vesicle": 7,
            "neurovascular_bundle": 8,
        },
        tested=(
            "bladder",
            "bone",
            "obturator_internus",
            "transition_zone",
            "central_gland",
            "rectum",
            "seminal_vesicle",
            "neurovascular_bundle",
        ),
        spacing_mm=(0.75, 0.75, 2.5),
        clip_percentile=99.5,
        las_order=True,
        raw_layout="data/{<pid>_img.nii,<pid>_mask.nii}, institution.txt",
        cases=589,
        licence="see the record",
        source="Zenodo, record 7013610 (free, no account)",
        citation="Li et al., Prototypical few-shot segmentation for cross-institution male pelvic structures, 2022",
        zenodo_records=("7013610",),
    ),
    "phantom": DataSet(
        title="synthetic abdomens drawn by this program",
        modality="mr",
        labels={"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4, "aorta": 5},
        tested=("liver", "right_kidney", "left_kidney", "spleen", "aorta"),
        groups=_ABDOMEN_GROUPS,
        size_px=None,
        raw_layout="made by: psmnet phantom DIR",
        licence="Apache-2.0",
        source="drawn by psmnet phantom",
    ),
    "folder": DataSet(
        title="your own scans in the normalised layout",
        modality="any",
        size_px=None,
        body_threshold=None,
        raw_layout="image_<id>.nii.gz, label_<id>.nii.gz",
        licence="yours",
    ),
}


@dataclass(frozen=True)
class Relation:
    """Where organs are relative to others in a patient, by the mean of their centroids.

    Attributes:
        organs: organ names.
        is_: "right of" (the patient's right), "behind" or "above".
        others: names of the organs to compare with.
    """

    organs: tuple[str, ...]
    is_: str
    others: tuple[str, ...]


RELATIONS = (
    Relation(("liver",), "right of", ("spleen",)),
    Relation(("right_kidney",), "right of", ("left_kidney",)),
    Relation(("right_kidney", "left_kidney"), "behind", ("liver",)),
    Relation(("liver",), "above", ("right_kidney", "left_kidney")),
)
"""True in nearly every abdomen (situs inversus: 1 in 10,000), to find scans that are turned or mirrored."""

INSTITUTIONS = {
    "1": "UCL",
    "2": "Prostate3T",
    "3": "ProstateDx",
    "4": "ProstateMRI",
    "5": "Bergen",
    "6": "Nijmegen",
    "7": "Rutgers",
}
"""Institutions of the pelvic data set by their number in its list; the order is that of public code, not certain."""

FAULTS: dict[str, str] = {
    "superpixel-ids": "superpixels numbered as in published notebooks: one id lost, one empty, the last never drawn",
    "class-slices": "a slice counts for a class only if its label values, over all classes, add up to 100 or more",
    "volume-rescale": "CT rescaled by each volume's own minimum and maximum after the window",
    "crop-origin": "cropping leaves the origin unchanged",
    "label-holes": "labels resampled class by class and rounded, which leaves holes between organs",
    "extra-slice": "resampled to int(n + 1) slices, rows and columns from the first voxel on",
}
"""Known bugs of published preprocessing that can be reproduced, by name."""


PROTOCOLS: dict[str, str] = {
    "ep1": "EP1 knows where each organ begins and ends in the query.",
    "ep1-labelled": "EP1 on labelled slices knows which slices of the query show each organ.",
    "ep2": "EP2 has no information about the query: one support slice segments every slice of it.",
    "blind": "Blind has no information about the query: the program locates organs and decides between them itself; of "
    "slice-wise methods' masks the largest parts are kept, as many as the support shows.",
    "cohort": "Cohort has no information about the query but the scan itself: a network is learned from labelled and "
    "unlabelled scans. In rows called transductive the queries, without labels, were among the unlabelled ones; in "
    "rows called inductive they were not.",
}
"""Evaluation protocols, and what each knows about the query; shown wherever its figures are (docs/protocols.md)."""

SETTINGS: dict[int, str] = {
    1: "trains on all slices of the training cases (test classes may be visible, unlabelled)",
    2: "drops from training every slice that contains a test class; one training per group",
}


SETTING2_RULES: dict[str, str] = {
    "any": "drops slices that show any test class (SSL-ALPNet)",
    "all": "drops only slices that show all test classes (Q-Net, RPT, GMRD)",
}

FOLDS: dict[str, str] = {
    "ouyang": "fold f tests cases [b_f, b_f+1); the case after them is the support (SSL-ALPNet)",
    "adnet": "the same, but in the last fold its last case is the support, and the first case a query (ADNet)",
    "qnet": "of the fold and the case after it, number 2 counted from 0 is the support (Q-Net, RPT, GMRD)",
    "li": "one institution is held out, and structures f + 1 and f + 5 tested (Li et al.; pelvic)",
}


def dataset(name: str) -> DataSet:
    """The facts of a data set.

    Raises:
        ConfigError: no such data set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]
