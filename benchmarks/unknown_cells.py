r"""Cells of a lineage that the marker table lacks, known cells lost, and calibration.

    python benchmarks/unknown_cells.py [--shared FOLDER] [--seeds 11 12 13]

Simulated: marrows and blood of 1,500 to 2,000 cells in which HSPC, mast cells, pDC, macrophages and
dendritic cells are 3 % each. Real, in FOLDER: blood cells with published labels (`soupx/`), and
single cells of five lung cancer lines (`doublets/`), alone and put into that blood. Each lineage
in turn is left out of the table with the genes that it alone names; counted is the share of its
cells that are then Unknown, and of the other cells that were not Unknown before.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.intake.counts import Counts  # noqa: E402
from relapsescope.intake.judged_genes import judged_genes  # noqa: E402
from relapsescope.libraries import lineage as calling  # noqa: E402
from relapsescope.libraries.ambient import estimate_ambient  # noqa: E402
from relapsescope.libraries.markers import Markers, read_markers  # noqa: E402
from relapsescope.libraries.quality import cell_metrics, flag_cells  # noqa: E402
from relapsescope.libraries.settings import (  # noqa: E402
    AmbientLimits,
    LineageLimits,
    QualityLimits,
)
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.simulate import cells as simulated_cells  # noqa: E402
from relapsescope.simulate.counts import draw_library  # noqa: E402
from relapsescope.simulate.donors import donor  # noqa: E402
from relapsescope.simulate.expression import genome, profile_table  # noqa: E402
from relapsescope.simulate.plan import (  # noqa: E402
    ClonePlan,
    CohortPlan,
    LibraryPlan,
    PatientPlan,
)

# Tissue, cells, depth and ambient share of the simulated libraries of each seed.
SIMULATED = (
    ("bone_marrow", 2000, 1.0, 0.05),
    ("bone_marrow", 1500, 0.5, 0.10),
    ("blood", 1500, 0.7, 0.20),
)
RARE = ("HSPC", "Mast", "pDC", "Macrophage", "cDC")
RARE_SHARE = 0.03
LINES = ("sc_celseq2_5cl_p1", "sc_celseq2_5cl_p2")
LINE_SHARE = 0.1  # of the blood cells that each line's cells, put into it, amount to at most
BLOOD = {"T_CD4": "T", "T_CD8": "T", "B": "B", "NK": "NK", "MNP": "Monocyte"}
BINS = np.linspace(0, 1, 11)


@dataclasses.dataclass(frozen=True)
class Library:
    """Counts with the true lineage and cell type of each barcode ("" where none is known)."""

    name: str
    counts: Counts
    lineage: np.ndarray
    cell_type: np.ndarray


def simulated(seed: int, tissue: str, cells: int, depth: float, ambient: float) -> Library:
    """Return a library with enough rare cells to count; doublets and dying cells have no truth."""
    genes = genome(14000)
    library = LibraryPlan(
        "relapse",
        tissue=tissue,
        cells=cells,
        depth=depth,
        ambient=ambient,
        plasma=0.05,
        clones={"A": 1.0},
    )
    patient = PatientPlan("P", (library,), clones=(ClonePlan("A"),), involved_chain="kappa")
    plan = CohortPlan((patient,))
    usual = simulated_cells._weights

    def with_rare(*arguments: Any) -> np.ndarray:
        weights = usual(*arguments)
        for profile in RARE:
            weights[profile_table().index.get_loc(profile)] = RARE_SHARE
        return weights / weights.sum()

    with mock.patch.object(simulated_cells, "_weights", with_rare):
        drawn = draw_library(
            plan, patient, library, donor(plan, patient, genes, seed), genes, seed=seed, scale=1.0
        )
    truth = drawn.cells
    known = ((truth["quality"] == "live") & ~truth["doublet"].astype(bool)).to_numpy()
    counts = Counts(
        matrix=drawn.filtered[:, :-1].tocsr(),
        barcodes=truth["barcode"].to_numpy(object),
        gene_ids=genes.gene_ids,
        symbols=genes.symbols,
        blocks={},
        notes=(),
    )
    words = (np.where(known, truth[name], "").astype(object) for name in ("lineage", "cell_type"))
    return Library(f"{tissue}, depth {depth}, ambient {ambient}", counts, *words)


def blood(shared: Path) -> Library:
    """Return the published blood cells with their authors' labels."""
    data = anndata.read_h5ad(shared / "soupx" / "PBMC4k_soupx_2170.h5ad")
    label = data.obs["Annotation"].astype(str).map(BLOOD).fillna("").to_numpy(object)
    counts = _counts(data.X, data.var_names.to_numpy(object), data.obs_names.to_numpy(object))
    return Library("blood cells", counts, label, np.full(len(label), "", object))


def lines(shared: Path) -> Library:
    """Return single cells of both mixtures of lines; their true lineage is that of the line."""
    symbols = pd.read_csv(REPOSITORY / "resources" / "genes.tsv", sep="\t", dtype=str)
    symbols = symbols.drop_duplicates("gene_id").set_index("gene_id")["symbol"]
    both = [anndata.read_h5ad(shared / "doublets" / f"{name}.h5ad") for name in LINES]
    data = anndata.concat([part[part.obs["demuxlet_cls"] == "SNG"] for part in both])
    data = data[:, data.var_names.isin(symbols.index)]
    names = symbols[data.var_names].to_numpy(object)
    line = data.obs["cell_line_demuxlet"].astype(str).to_numpy(object)
    counts = _counts(data.X, names, np.array([f"line{i}" for i in range(len(line))], object))
    return Library("lung cancer lines", counts, line, np.full(len(line), "", object))


def put_into(host: Library, guests: Library, of: str, seed: int = 0) -> Library:
    """Return the host with cells of one line among its own, thinned to the host's depth."""
    rng = np.random.default_rng(seed)
    at = np.flatnonzero(guests.lineage == of)[: int(LINE_SHARE * len(host.lineage))]
    place = pd.Series(np.arange(len(host.counts.symbols)), index=host.counts.symbols)
    place = place[~place.index.duplicated()]
    shared = np.isin(guests.counts.symbols, place.index)
    matrix = guests.counts.matrix[at][:, shared].tocoo()
    wanted = np.median(np.asarray(host.counts.matrix.sum(axis=1))) * np.exp(
        rng.normal(0, 0.4, len(at))
    )
    total = np.asarray(matrix.sum(axis=1)).ravel()
    share = np.minimum(wanted / np.maximum(total, 1), 1)
    kept = rng.binomial(matrix.data.astype(int), share[matrix.row])
    columns = place[guests.counts.symbols[shared]].to_numpy()[matrix.col]
    added = sparse.csr_matrix(
        (kept, (matrix.row, columns)), (len(at), host.counts.matrix.shape[1]), dtype=np.int32
    )
    added.eliminate_zeros()
    both = sparse.vstack([host.counts.matrix, added], format="csr")
    names = np.concatenate([host.counts.barcodes, guests.counts.barcodes[at]])
    empty = np.full(len(at), "", object)
    return Library(
        f"{host.name} with {of}",
        _counts(both, host.counts.symbols, names),
        np.concatenate([host.lineage, guests.lineage[at]]),
        np.concatenate([host.cell_type, empty]),
    )


def _counts(matrix: Any, symbols: np.ndarray, barcodes: np.ndarray) -> Counts:
    matrix = sparse.csr_matrix(matrix).astype(np.int32)
    matrix.sort_indices()
    return Counts(matrix, barcodes, symbols, symbols, {}, ())


def without(lineage: str) -> Callable[..., Markers]:
    """Return `read_markers` of a table that lacks a lineage and the genes that it alone names."""

    def read(*arguments: Any, **options: Any) -> Markers:
        markers = read_markers(*arguments, **options)
        kept = [k for k, state in enumerate(markers.states) if state.lineage != lineage]
        only = markers.rates[:, kept].max(axis=1) <= markers.rates[:, -1]
        return dataclasses.replace(
            markers,
            states=tuple(markers.states[k] for k in kept),
            features=tuple(np.array(markers.features, dtype=object)[~only]),
            rates=markers.rates[~only][:, kept],
            identity={k: v[~only] for k, v in markers.identity.items() if k != lineage},
            type_identity=markers.type_identity[~only],
        )

    return read


def call(library: Library, left_out: str = "") -> tuple[calling.LineageCalls, np.ndarray]:
    """Return the calls of a library, and which barcodes passed quality control."""
    config = default_values()
    config |= {"judged_genes": judged_genes(config)}
    metrics = cell_metrics(library.counts)
    limits = settings_of(QualityLimits, config["quality"], name="quality")
    ambient = estimate_ambient(
        library.counts,
        raw=None,
        use=flag_cells(metrics, limits).qc_pass,
        limits=settings_of(AmbientLimits, config["ambient"], name="ambient"),
        seed=0,
    )
    use = flag_cells(metrics, limits, ambient_umi=ambient.per_cell).qc_pass
    reader = without(left_out) if left_out else read_markers
    with mock.patch.object(calling, "read_markers", reader):
        called = calling.call_lineages(
            library.counts,
            use=use,
            ambient=ambient,
            limits=settings_of(LineageLimits, config["lineage"], name="lineage"),
            judged=judged_genes(config),
        )
    return called, use


def left_out(library: Library) -> Iterator[dict[str, Any]]:
    """Yield a row for each lineage of the library that has ten cells and more."""
    full, use = call(library)
    known = use & (library.lineage != "")
    yield {
        "library": library.name,
        "left_out": "",
        "cells": int(known.sum()),
        "others_lost": np.mean(full.lineage[known] == "Unknown"),
    }
    for lineage in np.unique(library.lineage[known].astype(str)):
        own = known & (library.lineage == lineage)
        if own.sum() < 10 or lineage not in calling.LINEAGES:
            continue
        called, _ = call(library, lineage)
        others = known & ~own & (full.lineage != "Unknown")
        taken = pd.Series(called.lineage[own]).value_counts()
        yield {
            "library": library.name,
            "left_out": lineage,
            "cells": int(own.sum()),
            "unknown": taken.get("Unknown", 0) / own.sum(),
            "others_lost": np.mean(called.lineage[others] == "Unknown"),
            "called": ", ".join(f"{k} {v}" for k, v in taken.items() if k != "Unknown"),
        }


def foreign(shared: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for the lines alone, and one for each of them in blood."""
    host, guests = blood(shared), lines(shared)
    before, _ = call(host)
    for name in ("", *np.unique(guests.lineage)):
        library = put_into(host, guests, name) if name else guests
        called, use = call(library)
        own = use & np.isin(library.lineage, guests.lineage)
        of_host = []
        if name:
            of_host = np.flatnonzero(use[: len(host.lineage)] & (before.lineage != "Unknown"))
        taken = pd.Series(called.lineage[own]).value_counts()
        yield {
            "library": library.name,
            "left_out": name or "all",
            "cells": int(own.sum()),
            "unknown": taken.get("Unknown", 0) / max(own.sum(), 1),
            "others_lost": np.mean(called.lineage[of_host] == "Unknown") if name else np.nan,
            "called": ", ".join(f"{k} {v}" for k, v in taken.items() if k != "Unknown"),
        }


def calibration(libraries: list[Library]) -> pd.DataFrame:
    """Return the expected calibration error of the cell type, over all cells and by lineage."""
    parts = []
    for library in libraries:
        called, use = call(library)
        keep = use & (library.cell_type != "") & (called.lineage != "Unknown")
        parts.append(
            pd.DataFrame(
                {
                    "lineage": called.lineage[keep],
                    "probability": called.probability[keep],
                    "right": called.cell_type[keep] == library.cell_type[keep],
                }
            )
        )
    cells = pd.concat(parts)
    groups = [("all", cells), *cells.groupby("lineage")]
    return pd.DataFrame(
        {
            "lineage": [name for name, _ in groups],
            "cells": [len(part) for _, part in groups],
            "right": [part["right"].mean() for _, part in groups],
            "error": [calibration_error(part["probability"], part["right"]) for _, part in groups],
        }
    )


def calibration_error(probability: pd.Series, right: pd.Series) -> float:
    """Return the mean distance between claimed and true shares over ten bins of equal width."""
    of_bin = np.clip(np.digitize(probability, BINS) - 1, 0, len(BINS) - 2)
    gap = (right.astype(float) - probability).groupby(of_bin).sum().abs().sum()
    return float(gap / max(len(right), 1))


def main() -> None:
    """Print a line a lineage left out, then the calibration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with soupx/ and doublets/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    arguments = parser.parse_args()
    libraries = [simulated(seed, *row) for seed in arguments.seeds for row in SIMULATED]
    rows = [row for library in libraries for row in left_out(library)]
    if arguments.shared:
        rows += [*left_out(blood(arguments.shared)), *foreign(arguments.shared)]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    of_simulated = table[table["library"].isin({library.name for library in libraries})]
    by_lineage = of_simulated.groupby("left_out").apply(
        lambda part: pd.Series(
            {
                "cells": part["cells"].sum(),
                "unknown": np.average(part["unknown"], weights=part["cells"]),
                "others_lost": part["others_lost"].mean(),
            }
        ),
        include_groups=False,
    )
    print(by_lineage.round(4).to_string())
    print(calibration(libraries).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
