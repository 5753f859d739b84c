from .cluster import (
    require_safe,
)
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
from .process_errors import (
    MAIN_GUARD,
    process_died,
)
from .stored_file import (
    StoredFile,
    StoredPart,
)
from .unzip import (
    TOO_LARGE,
    files_in_zip,
    open_zip,
    unpack,
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
from .words import (
    counted,
    how_to_install,
)
from .worker_process import (
    Isolated,
)
from .workers import (
    ITEM_TIMEOUT_S,
    ONE_AT_A_TIME,
    Workers,
)

__all__ = [
    "BLOCK",
    "ITEM_TIMEOUT_S",
    "LOCK_NAME",
    "MAIN_GUARD",
    "ONE_AT_A_TIME",
    "TEMPORARY_PREFIX",
    "TOO_LARGE",
    "Isolated",
    "Lost",
    "Refused",
    "StoredFile",
    "StoredPart",
    "Workers",
    "atomic_path",
    "blocks",
    "checked",
    "counted",
    "files_in_zip",
    "how_to_install",
    "locked",
    "map_cases",
    "open_url",
    "open_zip",
    "process_died",
    "read",
    "read_json",
    "require_safe",
    "require_writable",
    "sha256_of",
    "sweep",
    "unpack",
    "write_json",
    "write_text",
]
