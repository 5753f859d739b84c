"""Where the repository and the material beside it lie."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
CHAOS = SHARED / "data" / "chaos_t2"
CT = SHARED / "data" / "ct_dicom"
