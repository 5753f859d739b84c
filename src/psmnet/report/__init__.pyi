from .contact_sheet import (
    Card,
    write_contact_sheet,
)
from .csv_table import (
    Value,
    csv_text,
    printable,
)
from .demo import (
    Demo,
    write_demo,
)
from .overlay import (
    colour_of,
    css_colour,
    draw_overlay,
)
from .page import (
    PageTable,
    escape,
    paragraph,
    picture_block,
    table_block,
    write_document,
)
from .prepared import (
    write_report,
)
from .pseudolabels import (
    draw_previews,
)
from .slices import (
    Colour,
    SlicePainter,
)
from .table import (
    results_table,
)

__all__ = [
    "Card",
    "Colour",
    "Demo",
    "PageTable",
    "SlicePainter",
    "Value",
    "colour_of",
    "css_colour",
    "csv_text",
    "draw_overlay",
    "draw_previews",
    "escape",
    "paragraph",
    "picture_block",
    "printable",
    "results_table",
    "table_block",
    "write_contact_sheet",
    "write_demo",
    "write_document",
    "write_report",
]
