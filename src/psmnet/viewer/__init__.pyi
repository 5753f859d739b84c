from .folder import (
    DataFolder,
    default_folder,
)
from .limits import (
    Limits,
)
from .runner import (
    Engine,
)
from .server import (
    Address,
    require_web,
    serve,
)
from .service import (
    Service,
)

__all__ = [
    "Address",
    "DataFolder",
    "Engine",
    "Limits",
    "Service",
    "default_folder",
    "require_web",
    "serve",
]
