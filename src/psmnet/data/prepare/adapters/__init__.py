"""Raw downloads as they unpack, one file per data set."""

from psmnet.data.prepare.adapters import chaos_t2, cmr, folder, pelvic, sabs
from psmnet.data.prepare.adapters.raw_case import Adapter, RawCase

ADAPTERS: dict[str, Adapter] = {
    "chaos-t2": chaos_t2,
    "sabs": sabs,
    "cmr": cmr,
    "pelvic": pelvic,
    "folder": folder,
}

__all__ = ["ADAPTERS", "Adapter", "RawCase"]
