"""Workers on a Dask cluster: tasks carry paths and settings, and all machines share the same folders.

The package distributed is optional and imported when needed.
"""

import importlib
import ipaddress
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.runtime import package_version
from psmnet.system.words import how_to_install
from psmnet.system.worker_process import Isolated

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_S = 20.0

_here: dict[tuple[str, str], Isolated[Any, Any]] = {}  # on a Dask worker: one process for each thread and key


def require_safe(address: str, *, insecure: bool) -> None:
    """Refuse an unencrypted scheduler on another machine: anybody who can reach it can run any code on the workers.

    Raises:
        ConfigError: the address is neither tls:// nor on this machine, and `insecure` is off.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
        raise ConfigError(f"{address!r} is not the address of a Dask scheduler", "give it as tls://host:8786")
    if parts.scheme == "tls" or insecure:
        return
    try:
        loopback = ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        loopback = parts.hostname == "localhost"
    if not loopback:
        raise ConfigError(
            f"{address} is on another machine, and the connection is not encrypted",
            "give a tls:// address (certificates go into Dask's configuration), or allow it with insecure=True",
            code="cluster-insecure",
        )


def on_cluster(
    factory: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    address: str,
    timeout_s: float,
    *,
    key: str,
    folder: Path,
) -> Generator[tuple[Item, Result | PsmnetError]]:
    """Items on a scheduler's workers, each in its own process there, as with `in_processes`.

    The items of a worker that is lost go to another.

    Args:
        factory, items: as `Workers.map` takes them.
        address: of the scheduler.
        timeout_s: for one item.
        key: of the factory; a worker keeps a process only for the same key.
        folder: that all workers must see.

    Raises:
        InputError: there is no scheduler or worker, or a worker has another version or can't see the folder.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # TypeError: TLS without certificates
        said = " ".join(str(error).split())
        raise InputError(
            f"no scheduler at {address} ({said:.120})", "start the scheduler, or check the address"
        ) from error
    try:
        _require_workers(client, folder)
        futures = {client.submit(_work, factory, key, item, timeout_s, pure=False): item for item in items}
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                yield futures[future], _result(future)
        finally:
            client.cancel(list(futures))
    finally:
        client.close()


def _require_workers(client: Any, folder: Path) -> None:
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise InputError("the scheduler has no worker", "start workers with one thread each: dask worker ADDRESS")
    seen = client.run(_about, str(folder))
    versions = {version for version, _ in seen.values()}
    if versions != {package_version()}:
        raise InputError(
            f"workers have psmnet {', '.join(sorted(versions))}, this is {package_version()}", "install one version"
        )
    blind = sum(not there for _, there in seen.values())
    if blind:
        workers = "1 worker doesn't" if len(seen) == 1 else f"{len(seen)} workers don't"
        raise InputError(f"{blind} of {workers} see {folder}", "choose a folder that all machines share")


def _about(folder: str) -> tuple[str, bool]:
    return package_version(), Path(folder).is_dir()


def _work(
    factory: Callable[[], Callable[[Item], Result]], key: str, item: Item, timeout_s: float
) -> Result | PsmnetError:
    """Work on one item, on a worker."""
    place = threading.current_thread().name, key
    if place not in _here:
        for other in [known for known in _here if known[0] == place[0]]:
            _here.pop(other).close()  # earlier work: its weights and supports take memory
        _here[place] = Isolated(factory)
    try:
        result: Result = _here[place].run(item, timeout_s)
        return result
    except PsmnetError as error:
        return error


def _result(future: Any) -> Any:
    if future.status == "finished":
        return future.result()
    if future.status == "cancelled" or future.status == "lost":
        return InputError("the cluster lost this scan", "run again")
    return InputError(f"the workers that had this scan were lost ({type(future.exception()).__name__})", "run again")


def _distributed() -> Any:
    """The package distributed; typed Any because it is optional.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise InputError(
            "a cluster needs the package distributed, which is not installed", how_to_install("cluster")
        ) from error
