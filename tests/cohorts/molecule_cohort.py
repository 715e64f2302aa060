"""A cohort small enough to write down: tallies of a few groups of cells, as the tests want them."""

import numpy as np
import pandas as pd
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.records import Measure, Subset
from relapsescope.statistics.library_effects import LibraryEffects, Pooled
from relapsescope.statistics.rates import Tally
from relapsescope.statistics.retention import CellCounts

NO_POOL = Pooled(np.array([], dtype=object), {}, *(np.zeros((0, 0)) for _ in range(3)), np.zeros(0))
STEADY = LibraryEffects(0.1, 0.05, 1000)
CLONES = Clones({"relapse": ("B",)}, frozenset())
EXPOSURE = 1e6


def group(sample, kind, clone, gene, umi, *, n_cells=200, exposure=EXPOSURE, **further):
    """Return one row of a molecules table; `subset`, `stratum` and the like may be given."""
    timepoint = {"before": "pre_infusion", "relapse": "relapse"}.get(sample, "untreated")
    counted = vars(Tally(n_cells, umi, exposure, 0.0, 0.0, 1 / n_cells, 0.3))
    return (
        {
            "patient_id": "P" if sample in ("before", "relapse") else sample,
            "sample_id": sample,
            "timepoint": timepoint,
            "tissue": "bone_marrow",
            "umi_ceiling": False,
            "kind": kind,
            "clone_id": clone,
            "gene": gene,
            "subset": Subset.OWN,
            "measure": Measure.RNA,
            "stratum": -1,
            "detected": min(umi, n_cells),
            "detected_twice": min(umi // 2, n_cells),
            "detected_above_ambient": min(umi, n_cells),
            "mixed": np.nan,
            "mixed_sd": np.nan,
        }
        | counted
        | further
    )


def even_cells(row):
    """Return the cells of a row as if each held the same, but for what does not divide."""
    n, umi = row["n_cells"], row["umi"]
    least, more = divmod(round(umi), n)
    cells = np.array([n - more, more], float)
    depth, ambient = (np.full(2, row[name] / n) for name in ("exposure", "ambient"))
    return CellCounts(np.array([least, least + 1.0]), depth, ambient, cells)


def molecules(*rows, cells=None):
    """Return the molecules of these rows; `cells` by (sample, kind, clone, gene) where uneven."""
    even = {
        tuple(row[name] for name in ("sample_id", "kind", "clone_id", "gene")): even_cells(row)
        for row in rows
        if (row["subset"], row["measure"], row["stratum"]) == (Subset.OWN, Measure.RNA, -1)
    }
    return Molecules(pd.DataFrame(rows), even | (cells or {}))
