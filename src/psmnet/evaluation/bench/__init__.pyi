from .cohort_recipe import (
    CohortRecipe,
)
from .comparison import (
    Cell,
    Lottery,
    Row,
    Summary,
    Table,
    cell_of,
    common_scans,
    lotteries,
)
from .gather import (
    WHOLE_SUPPORT,
    gather_tables,
)
from .paired import (
    DRAWS,
    FEWEST_SCANS,
    Paired,
    compare_paired,
)
from .plan import (
    results_done,
    unfinished,
)
from .recipe import (
    BenchRecipe,
    read_recipe,
)
from .run import (
    BenchFolders,
    found_finished,
    run_benchmark,
    steps_done,
)

__all__ = [
    "DRAWS",
    "FEWEST_SCANS",
    "WHOLE_SUPPORT",
    "BenchFolders",
    "BenchRecipe",
    "Cell",
    "CohortRecipe",
    "Lottery",
    "Paired",
    "Row",
    "Summary",
    "Table",
    "cell_of",
    "common_scans",
    "compare_paired",
    "found_finished",
    "gather_tables",
    "lotteries",
    "read_recipe",
    "results_done",
    "run_benchmark",
    "steps_done",
    "unfinished",
]
