"""Makes the pictures of docs/learn.md: how masks are made (SVG), and what learning from synthetic patients leaves.

python docs/make_learn_pictures.py diagram   docs/learn.svg
python docs/make_learn_pictures.py           that, docs/learn_stages.png and docs/learn_report.png

The last needs Chromium and Playwright, as docs/make_viewer_picture.py does.
"""

import io
import shutil
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

import psmnet
from psmnet.catalog import dataset
from psmnet.data.phantom import write_patients
from psmnet.io import OrganName, find_queries
from psmnet.learning import FINAL, FIRST, LearnJob, StudentTraining, learn_network, write_stage_masks
from psmnet.report import draw_overlay

DOCS = Path(__file__).parent
PATIENTS, SEED = 6, 0  # as the page's `psmnet phantom` draws them
SETTINGS = psmnet.LearnSettings(training=StudentTraining(steps=200))  # fewer than usual: minutes are enough here
SHOWN, SLICES = "image_2", (6, 10, 14, 18)
TITLES = {FIRST: "first masks", "vote": "vote", FINAL: "final masks (dashes: the reference)"}
WIDTH, HEIGHT = 880, 420
BOX = 52  # height of a box


@dataclass(frozen=True)
class Box:
    """A step: where it is, its colour, name and a line about it."""

    left: int
    top: int
    width: int
    fill: str
    name: str
    text: str

    def draw(self) -> str:
        """As SVG."""
        middle = self.left + self.width // 2
        return (
            f'<rect x="{self.left}" y="{self.top}" width="{self.width}" height="{BOX}" rx="6" fill="{self.fill}" '
            'stroke="#94a3b8"/>'
            f'<text x="{middle}" y="{self.top + 21}" text-anchor="middle" font-weight="bold">{escape(self.name)}</text>'
            f'<text x="{middle}" y="{self.top + 40}" text-anchor="middle" fill="#334155">{escape(self.text)}</text>'
        )


SCANS, LABELS, NETWORK, MASKS = "#f1f5f9", "#dbeafe", "#dcfce7", "#fef3c7"
BOXES = (
    Box(20, 20, 260, SCANS, "one labelled scan", "drawn by hand"),
    Box(600, 20, 260, SCANS, "many unlabelled scans", "at least four"),
    Box(20, 122, 260, LABELS, "first masks", "matched with the labelled scan"),
    Box(600, 122, 260, LABELS, "registration", "the labelled scan, bent to each scan"),
    Box(20, 214, 260, LABELS, "vote", "mean of several supports"),
    Box(310, 214, 260, NETWORK, "first training", "where both agree; judges both"),
    Box(310, 306, 260, NETWORK, "second training", "on both, weighed by organ"),
    Box(20, 348, 260, MASKS, "final masks", "of all scans"),
    Box(600, 348, 260, MASKS, "network", "segments new scans by itself"),
)
ARROWS = (
    "M150 72V122",  # labelled scan to first masks
    "M280 56L600 134",  # labelled scan to registration
    "M600 56L280 134",  # unlabelled scans to first masks
    "M730 72V122",  # unlabelled scans to registration
    "M150 174V214",  # first masks to vote
    "M280 240H310",  # vote to first training
    "M730 174V240H570",  # registration to first training
    "M440 266V306",  # first to second training
    "M310 345L280 366",  # second training to final masks
    "M570 345L600 366",  # second training to network
)


def diagram() -> str:
    """How masks are made, as SVG."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="14">',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            '<g fill="none" stroke="#64748b" stroke-width="1.5" marker-end="url(#head)">',
            *(f'<path d="{arrow}"/>' for arrow in ARROWS),
            "</g>",
            *(box.draw() for box in BOXES),
            "</svg>\n",
        ]
    )


def learn(scans: Path, run: Path, stages: Path) -> dict[str, dict[str, Path]]:
    """Learn as the page does; returns the masks of every stage."""
    support = scans / "image_1.nii.gz", scans / "label_1.nii.gz"
    queries, _ = find_queries([str(scans)], support, run)
    names = dataset("phantom").names()
    job = LearnJob(
        (support,),
        run,
        names={value: OrganName(name) for value, name in names.items()},
        device="cpu",
        settings=SETTINGS,
    )
    masks = write_stage_masks(learn_network(job, queries, progress=show), stages)
    # Goes on from what there is.
    psmnet.learn(scans, [support], run, names=names, device="cpu", settings=SETTINGS, progress=show)
    return masks


def show(stage: str, done: int, total: int, note: str = "") -> None:
    print(f"\r{stage} {done}/{total}    ", end="", flush=True)


def draw_stages(scans: Path, masks: dict[str, dict[str, Path]], folder: Path, path: Path) -> None:
    """The masks of one patient by stage, one below the other; `folder` is for what is in between."""
    image = psmnet.read_volume(scans / f"{SHOWN}.nii.gz")
    reference = psmnet.read_labels(scans / f"{SHOWN.replace('image', 'label')}.nii.gz").array_zyx
    pictures = []
    for stage, title in TITLES.items():
        one = folder / f"{stage}.png"
        labels = psmnet.read_labels(masks[stage][SHOWN]).array_zyx
        names = dataset("phantom").names()
        draw_overlay(image, labels, names, one, reference_zyx=reference, title=title, slices=SLICES)
        pictures.append(Image.open(one).convert("RGB"))
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    whole.save(path, optimize=True)


def print_scores(scans: Path, masks: dict[str, dict[str, Path]]) -> None:
    """Mean Dice of every stage."""
    organs = dataset("phantom").labels.values()
    for stage, files in masks.items():
        found = []
        for name, file in files.items():
            mask = psmnet.read_labels(file)
            reference = psmnet.read_labels(scans / f"{name.replace('image', 'label')}.nii.gz").array_zyx
            found += [psmnet.score(mask.array_zyx == v, reference == v, mask.spacing_mm).dice or 0.0 for v in organs]
        print(f"{stage}: mean Dice {sum(found) / len(found):.3f}")


def photograph(page: Path, out: Path) -> None:
    """A picture of the upper part of a page."""
    from playwright.sync_api import sync_playwright  # here, since the diagram does without

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1100, "height": 1150}, color_scheme="light")
        shown.goto(page.as_uri())
        Image.open(io.BytesIO(shown.screenshot())).convert("RGB").save(out, optimize=True)
        browser.close()


def main(*arguments: str) -> None:
    (DOCS / "learn.svg").write_text(diagram(), encoding="utf-8")
    if arguments == ("diagram",):
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_patients(folder / "scans", PATIENTS, SEED)
        masks = learn(folder / "scans", folder / "learned", folder / "stages")
        print_scores(folder / "scans", masks)
        draw_stages(folder / "scans", masks, folder, DOCS / "learn_stages.png")
        photograph(folder / "learned" / "report.html", DOCS / "learn_report.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
