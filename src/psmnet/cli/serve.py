"""psmnet serve."""

import os
from contextlib import closing
from pathlib import Path

import rich_click as click

from psmnet import runtime
from psmnet.cli import console
from psmnet.cli.options import DATA, device_option, threads_option, weights_option
from psmnet.errors import ConfigError
from psmnet.models import load_weights
from psmnet.system import locked
from psmnet.viewer import Address, DataFolder, Engine, Limits, Service, default_folder, require_web, serve

MIB = 2**20


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; this machine alone by default.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 for any that is free.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option("--demo", is_flag=True, help="With synthetic patients in it.")
@click.option("--data", type=DATA, metavar="DIR", help="Where uploads and results are kept; the user's own by default.")
@click.option("--purge", is_flag=True, help="Delete all uploads and results, and end.")
@click.option(
    "--keep-hours", type=click.FloatRange(0, min_open=True), default=24.0, show_default=True, help="Of uploads."
)
@click.option("--max-upload", type=click.IntRange(1), default=2048, show_default=True, metavar="MIB", help="Of a file.")
@click.option(
    "--max-stored", type=click.IntRange(1), default=10240, show_default=True, metavar="MIB", help="Of all results."
)
@click.option("--name", "names", multiple=True, metavar="HOST", help="By which browsers elsewhere may call it.")
@weights_option()
@device_option()
@threads_option()
def command(
    host: str,
    port: int,
    open_browser: bool,
    demo: bool,
    data: Path | None,
    purge: bool,
    keep_hours: float,
    max_upload: int,
    max_stored: int,
    names: tuple[str, ...],
    weights: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Open a page to segment scans, look at masks in three planes, correct them and go on from there.

    It listens on this machine alone, and everything stays on it. The line that it prints holds a token: whoever has
    it can see the scans. With another --host the token and the scans travel unencrypted: put a proxy with TLS before
    it.
    """
    os.umask(0o077)  # whatever is written is the user's alone
    root = data or default_folder()
    if purge and not root.exists():
        raise ConfigError(f"nothing is to be deleted: there is no folder {root}", "give the --data that serve had")
    if not purge:
        require_web()
    with locked(root):
        folder = DataFolder(root)
        if purge:
            console.out.print(f"deleted: {folder.purge() / MIB:.1f} MiB in {root}")
            return
        runtime.pick_device(device)
        if weights is not None:
            load_weights(weights)  # a job would only fail later
        limits = Limits(keep_hours=keep_hours, upload_bytes=max_upload * MIB, stored_bytes=max_stored * MIB)
        address = Address(host, port, names)

        def say(line: str) -> None:
            console.out.print(line)
            console.err.print(f"uploads and results: {root}; Ctrl-C ends it", highlight=False)
            if not address.is_local:
                console.err.print(f"note: other machines can reach {host}, and without TLS they can read along")

        service = Service(folder, limits, Engine(weights or "bundled", device, threads))
        with closing(service):
            if demo:
                service.add_samples()
            serve(service, address, open_browser=open_browser, say=say)
