from .files import (
    TEMPORARY_PREFIX,
    atomic_path,
    read_json,
    require_writable,
    sha256_of,
    sweep,
    write_json,
    write_text,
)
from .locks import (
    LOCK_NAME,
    locked,
)
from .parallel import (
    map_cases,
)
from .stored_file import (
    StoredFile,
    StoredPart,
)
from .web import (
    BLOCK,
    Lost,
    Refused,
    blocks,
    checked,
    open_url,
    read,
)
from .worker_process import (
    Isolated,
)

__all__ = [
    "BLOCK",
    "LOCK_NAME",
    "TEMPORARY_PREFIX",
    "Isolated",
    "Lost",
    "Refused",
    "StoredFile",
    "StoredPart",
    "atomic_path",
    "blocks",
    "checked",
    "locked",
    "map_cases",
    "open_url",
    "read",
    "read_json",
    "require_writable",
    "sha256_of",
    "sweep",
    "write_json",
    "write_text",
]
