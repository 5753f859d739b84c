"""The tables of README.md, results/README.md and results/choices.md, and their pictures, from the records in results/.

    python benchmarks/tables.py            write them between their markers
    python benchmarks/tables.py --check    only say which of them are not what the records give
    python benchmarks/tables.py --take speed=runs/speed.json    take what a script measured into measurements.json

A block stands between `<!-- table: NAME -->` and `<!-- end -->`. Figures stand nowhere else in these pages.
"""

import argparse
import re
import sys
from pathlib import Path

from pages import adapted, learned, log, machine, scratch
from pages.records import ROOT, measured

from psmnet.system import read_json, write_json

PAGES = ("README.md", "results/README.md", "results/choices.md")
BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCKS = {**adapted.BLOCKS, **scratch.BLOCKS, **machine.BLOCKS, **log.BLOCKS, **learned.BLOCKS}
PICTURES = {"results/labelled_scans.svg": learned.picture}  # drawn where a page shows them


def pictures() -> dict[str, str]:
    """Pictures that the pages show, as the records give them."""
    shown = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    return {name: draw() for name, draw in PICTURES.items() if f"({Path(name).name})" in shown or f"({name})" in shown}


def rewritten(text: str) -> str:
    """A page with its blocks as the records give them."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not up to date")
    parser.add_argument(
        "--take", action="append", default=[], metavar="NAME=FILE", help="a section and its new content"
    )
    arguments = parser.parse_args()
    for entry in arguments.take:
        name, _, path = entry.partition("=")
        content = measured() | {name: machine.taken(name, read_json(Path(path)))}
        write_json(ROOT / "results" / "measurements.json", content)
        measured.cache_clear()
    stale = []
    wanted = {name: rewritten((ROOT / name).read_text(encoding="utf-8")) for name in PAGES} | pictures()
    for name, new in wanted.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != new:
            stale.append(name)
            if not arguments.check:
                path.write_text(new, encoding="utf-8")
    print(f"{'not up to date' if arguments.check else 'written'}: {', '.join(stale) or 'none'}")
    sys.exit(1 if arguments.check and stale else 0)


if __name__ == "__main__":
    main()
