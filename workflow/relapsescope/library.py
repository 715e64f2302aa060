"""One library from its matrix to flagged, typed cells: everything that needs no other library."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from relapsescope.ambient import AmbientLimits, estimate_ambient
from relapsescope.doublets import DoubletLimits, call_doublets
from relapsescope.errors import InputProblem
from relapsescope.lineage import LineageLimits, call_lineages
from relapsescope.matrix import Counts, read_counts, write_fragment
from relapsescope.quality import (
    QualityLimits,
    cell_metrics,
    flag_cells,
)
from relapsescope.tables import write_json, write_parquet
from relapsescope.vocabulary import LINEAGES


def process_library(
    row: Mapping[str, Any],
    *,
    counts_path: str,
    cells_path: str,
    genes_path: str,
    summary_path: str,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Read, judge and type one library, write its four files, and return its summary.

    A matrix that turns out to be unreadable makes the library's verdict `fail`, with the
    reason; the other libraries go on.

    Parameters
    ----------
    row
        The sheet's row: `sample_id`, `matrix`, `raw_matrix` and so on.
    settings
        The configuration's `seed` and its sections `quality`, `ambient`, `doublets`,
        `lineage` and `gene_ranks`.
    """
    raw = None
    try:
        counts = read_counts(row["matrix"])
        if row["raw_matrix"]:
            raw = read_counts(row["raw_matrix"])
        unreadable = ""
    except InputProblem as problem:
        counts = no_counts()
        unreadable = "; ".join(problem.problems)
    cells, genes, summary = assess(counts, raw, settings=settings)
    if unreadable:
        summary |= {"verdict": "fail", "reason": unreadable}
    summary |= {"sample_id": row["sample_id"], "notes": [*counts.notes, *summary["notes"]]}
    write_fragment(Path(counts_path), counts)
    write_parquet(Path(cells_path), cells)
    write_parquet(Path(genes_path), genes)
    write_json(Path(summary_path), summary)
    return summary


def no_counts() -> Counts:
    """Return counts without cells and genes, what is left of a matrix that cannot be read."""
    nothing = np.array([], dtype=object)
    return Counts(sparse.csr_matrix((0, 0), dtype=np.int32), nothing, nothing, nothing, {}, ())


def assess(
    counts: Counts, raw: Counts | None, *, settings: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]:
    """Return the columns of the cells, the columns of the genes, and the library's summary."""
    seed = settings["seed"]
    limits = QualityLimits(**settings["quality"])
    metrics = cell_metrics(counts)
    flags = flag_cells(metrics, limits)
    ambient = estimate_ambient(
        counts,
        raw=raw,
        use=flags.qc_pass,
        limits=AmbientLimits(**settings["ambient"]),
        seed=seed,
    )
    calls = call_lineages(
        counts,
        use=flags.qc_pass,
        ambient=ambient,
        limits=LineageLimits(**settings["lineage"]),
        seed=seed,
    )
    doublets = call_doublets(
        counts,
        use=flags.qc_pass,
        lineage_probability=calls.posterior,
        lineages=LINEAGES,
        ambient=ambient,
        limits=DoubletLimits(**settings["doublets"]),
        seed=seed,
    )
    contradicted = flags.qc_pass & (calls.contradiction != "")
    doublet = flags.qc_pass & (doublets.predicted | contradicted)
    reason = flags.qc_reason.copy()
    reason[doublet] = "doublet"
    keep = flags.qc_pass & ~doublet
    return metrics, flags, ambient, calls, doublets, reason, keep
