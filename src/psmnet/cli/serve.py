"""psmnet serve."""

import os
from contextlib import closing
from pathlib import Path

import rich_click as click

from psmnet import runtime
from psmnet.cli import console
from psmnet.cli.options import DATA, default_of, device_option, threads_option, weights_option
from psmnet.errors import ConfigError
from psmnet.models import load_weights
from psmnet.system import locked
from psmnet.viewer import Address, DataFolder, Engine, Limits, Service, default_folder, require_web, serve

MIB = 2**20


@click.command("serve")
@click.option(
    "--host",
    metavar="NAME",
    default=default_of(Address, "host"),
    show_default=True,
    help="Address to listen on. The default can only be reached from this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=default_of(Address, "port"),
    show_default=True,
    help="Port to listen on. 0: any free one.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option("--demo", is_flag=True, help="Add synthetic patients to try it with.")
@click.option("--data", type=DATA, metavar="DIR", help="Folder for uploads and results (default: one in your home).")
@click.option("--purge", is_flag=True, help="Delete all uploads and results, then stop.")
@click.option(
    "--keep-hours",
    type=click.FloatRange(0, min_open=True),
    metavar="HOURS",
    default=default_of(Limits, "keep_hours"),
    show_default=True,
    help="Uploads are deleted after this time.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(1),
    metavar="MIB",
    default=default_of(Limits, "upload_bytes") // MIB,
    show_default=True,
    help="Largest file that can be uploaded.",
)
@click.option(
    "--max-stored",
    type=click.IntRange(1),
    metavar="MIB",
    default=default_of(Limits, "stored_bytes") // MIB,
    show_default=True,
    help="Space for all results. The oldest are deleted first.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Name by which other machines reach this one. Can be repeated.",
)
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
    """Start a page in the browser to segment scans, view masks in three planes and correct them.

    Only this machine can reach the page, and all data stay here. The printed address contains a token: anyone who has
    it can see the scans. With another --host, token and scans are sent unencrypted; use a proxy with TLS then.
    """
    os.umask(0o077)  # only the user may read what is written
    root = data or default_folder()
    if purge and not root.exists():
        raise ConfigError(f"nothing to delete: no folder {root}", "give the --data folder that psmnet serve used")
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
            console.err.print(f"uploads and results: {root}; press Ctrl-C to stop", highlight=False)
            if not address.is_local:
                console.err.print(f"note: other machines can reach {host}; without TLS they can read what is sent")

        service = Service(folder, limits, Engine(weights or "bundled", device, threads))
        with closing(service):
            if demo:
                service.add_samples()
            serve(service, address, open_browser=open_browser, say=say)
