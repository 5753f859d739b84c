"""psmnet download."""

import shlex
from pathlib import Path

import rich_click as click

from psmnet.catalog import dataset
from psmnet.cli import console
from psmnet.cli.options import DATA
from psmnet.data.prepare import fetch, find_files, size_text
from psmnet.errors import ConfigError
from psmnet.system import counted

MIB = 1 << 20


@click.command("download")
@click.argument("name")
@click.argument("folder", type=DATA, metavar="DIR")
@click.option(
    "--mirror", metavar="URL", help="Download from URL/<file> instead. Sizes and checksums are still those of Zenodo."
)
def command(name: str, folder: Path, mirror: str | None) -> None:
    """Download the free data set NAME to DIR, or show where to register for it.

    psmnet info lists the names. Run the same command again to continue a download that was interrupted.
    """
    facts = dataset(name)
    following = f"psmnet prepare {name} {shlex.quote(str(folder))} OUT"
    if facts.access and not facts.zenodo_records:
        if mirror:
            raise ConfigError(f"data set {name!r} can't be downloaded freely, so --mirror has no use", facts.access)
        console.out.print(f"no free download: {facts.title}")
        console.out.print(f"to do: {facts.access}")
        console.out.print(f"licence: {facts.licence}")
        console.out.print(f"put into {folder}: {facts.raw_layout}")
        console.out.print(f"then: {following}")
        return
    files = find_files(name, mirror)
    total = sum(file.size for file in files)
    console.say(f"{facts.title}: {counted(len(files), 'file')}, {size_text(total)}")
    with console.progress("MiB", -(-total // MIB)) as advance:
        fetched = fetch(files, folder, lambda done, note: advance(-(-done // MIB), note))
    for file in fetched:
        console.out.print(
            f"{file.path} ({size_text(file.size)}){': already here, checksum is right' if file.kept else ''}"
        )
    console.out.print(f"source: {facts.source}")
    console.out.print(f"licence: {facts.licence}")
    console.out.print(f"please cite: {facts.citation}")
    console.out.print(f"then: {following}")
