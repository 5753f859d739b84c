"""Makes docs/phantoms.png, the README's picture: a labelled phantom patient, and another segmented from it.

python docs/make_picture.py
"""

import tempfile
from pathlib import Path

from PIL import Image

from psmnet import Segmenter, draw_patient
from psmnet.catalog import dataset
from psmnet.report import draw_overlay

SLICES = (6, 10, 14, 18)
SEEDS = (2026, 2027)  # as in the demo


def main() -> None:
    (support, support_labels), (query, reference) = (draw_patient(seed) for seed in SEEDS)
    segmenter = Segmenter.from_pretrained("cpu")
    segmenter.set_support([(support, support_labels)])
    found = segmenter.segment(query)
    rows = (
        ("labelled once", support, support_labels, None),
        ("segmented by psmnet (dashes: the reference)", query, found, reference),
    )
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, image, labels, reference) in enumerate(rows):
            path = Path(folder) / f"{number}.png"
            draw_overlay(
                image,
                labels.array_zyx,
                dataset("phantom").names(),
                path,
                reference_zyx=reference and reference.array_zyx,
                title=title,
                slices=SLICES,
            )
            pictures.append(Image.open(path).convert("RGB"))
    width, height = max(p.width for p in pictures), sum(p.height for p in pictures)
    whole = Image.new("RGB", (width, height))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    whole.save(Path(__file__).with_name("phantoms.png"), optimize=True)


if __name__ == "__main__":
    main()
