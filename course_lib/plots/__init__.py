"""Pictures: static figures for the notebooks, all in one look and each with its alt text.

`show(fig, alt=...)` ends every figure; `landscape` draws an energy; `marginals`, `trace`, `acceptance`,
`heatmap` and `metric_table` show what a sampler did. Colours come from `colours`: Okabe-Ito for things,
viridis for energies, cividis for numbers; meaning never hangs on colour alone.
"""

from course_lib.plots.chains import acceptance, marginals, trace
from course_lib.plots.landscape import landscape, scatter, track
from course_lib.plots.show import show
from course_lib.plots.slices import slices
from course_lib.plots.style import CYCLE, MARKERS, colours
from course_lib.plots.tables import heatmap, metric_table

__all__ = [
    "CYCLE",
    "MARKERS",
    "acceptance",
    "colours",
    "heatmap",
    "landscape",
    "marginals",
    "metric_table",
    "scatter",
    "show",
    "slices",
    "trace",
    "track",
]
