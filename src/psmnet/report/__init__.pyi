from .contact_sheet import (
    Card,
    write_contact_sheet,
)
from .csv_table import (
    Value,
    csv_text,
    printable,
)
from .curves import (
    curve_plot,
)
from .demo import (
    Demo,
    write_demo,
)
from .learning_page import (
    StageCard,
    write_learning_page,
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
from .stages import (
    draw_stages,
)
from .svg import (
    MOST_LETTERS,
    SVG_STYLE,
    svg_chart,
    svg_dot,
    svg_line,
    svg_text,
)
from .table import (
    results_table,
)

__all__ = [
    "MOST_LETTERS",
    "SVG_STYLE",
    "Card",
    "Colour",
    "Demo",
    "PageTable",
    "SlicePainter",
    "StageCard",
    "Value",
    "colour_of",
    "css_colour",
    "csv_text",
    "curve_plot",
    "draw_overlay",
    "draw_previews",
    "draw_stages",
    "escape",
    "paragraph",
    "picture_block",
    "printable",
    "results_table",
    "svg_chart",
    "svg_dot",
    "svg_line",
    "svg_text",
    "table_block",
    "write_contact_sheet",
    "write_demo",
    "write_document",
    "write_learning_page",
    "write_report",
]
