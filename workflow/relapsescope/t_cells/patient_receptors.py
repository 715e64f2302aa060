"""A patient's T cell receptors: contigs of every library to clonotypes of its T cells, on disk."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.contigs import Receptors, of_barcodes, read_contigs
from relapsescope.t_cells.receptors import FIRST, SECOND, ReceptorCells, call_receptors, primary
from relapsescope.tables import read_columns, write_json, write_parquet

CELL_COLUMNS = (
    *("patient_id", "sample_id", "barcode", "clonotype_id", "joined_by", "chain_pairing"),
    *("receptor_subtype", "cdr3_first", "v_first", "j_first", "cdr3_second", "v_second"),
    *("j_second",),
)
NO_CONTIGS = "no TCR contigs in the sample sheet"
FEWEST_SHARED = 0.1


def call_patient_receptors(
    rows: Sequence[Mapping[str, Any]],
    *,
    cells_paths: Sequence[str],
    summary_paths: Sequence[str],
    outputs: Mapping[str, str],
) -> dict[str, Any]:
    """Call one patient's clonotypes, write its files and return the summary.

    Clonotypes are made of the receptors of cells that passed QC and are T cells: receptors of
    other barcodes are doublets, ambient RNA or cells that were set aside. A library whose contigs
    cannot be used is named with the reason, and the others go on.

    Parameters
    ----------
    rows
        The sheet's rows of this patient, in the order of the paths.
    cells_paths, summary_paths
        As written by the libraries' jobs.
    outputs
        Paths of `cells` (one row a T cell with a receptor) and `summary`.
    """
    kept: dict[str, Receptors] = {}
    libraries = []
    for row, cells_path, summary_path in zip(rows, cells_paths, summary_paths, strict=True):
        summary = json.loads(Path(summary_path).read_text(encoding="utf-8"))
        receptors, found = _library(row, cells_path, summary["verdict"])
        kept[row["sample_id"]] = receptors
        libraries.append(found)
    cells = call_receptors(kept)
    for found in libraries:
        own = cells.sample_id == found["sample_id"]
        found["pairing"] = dict(sorted(Counter(cells.pairing[own]).items()))
        found["joined_by"] = dict(
            sorted(Counter(way for way in cells.joined_by[own] if way is not None).items())
        )
    summary = {"patient_id": str(rows[0]["patient_id"]), "libraries": libraries}
    write_parquet(Path(outputs["cells"]), cell_columns(summary["patient_id"], cells))
    write_json(Path(outputs["summary"]), summary)
    return summary


def _library(
    row: Mapping[str, Any], cells_path: str, verdict: str
) -> tuple[Receptors, dict[str, Any]]:
    """Return the receptors of a library's T cells, and what became of its contigs."""
    found: dict[str, Any] = {"sample_id": row["sample_id"], "assessable": False, "n_contigs": 0}
    path = row.get("tcr_contigs")
    if not path:
        return {}, found | {"reason": NO_CONTIGS}
    if verdict == "fail":
        return {}, found | {"reason": "the library failed"}
    try:
        receptors = read_contigs(Path(path), "tcr_contigs")
    except InputProblem as problem:
        return {}, found | {"reason": "; ".join(problem.problems)}
    cells = read_columns(Path(cells_path), ["barcode", "lineage", "qc_pass"])
    present, share = of_barcodes(receptors, cells["barcode"])
    found["n_contigs"] = len(receptors)
    found["share_in_matrix"] = share
    if not receptors:
        return {}, found | {"reason": f"{Path(path).name} holds no productive TCR contig"}
    if share < FEWEST_SHARED:
        reason = (
            f"{Path(path).name}: {share:.0%} of its {len(receptors)} barcodes are in the matrix; "
            "check that both are of one library"
        )
        return {}, found | {"reason": reason}
    kept = cells["qc_pass"].astype(bool)
    is_t = cells["lineage"] == "T"
    t_cells = set(cells["barcode"][kept & is_t])
    others = set(cells["barcode"][kept & ~is_t])
    own = {barcode: chains for barcode, chains in present.items() if barcode in t_cells}
    found |= {
        "n_in_matrix": len(present),
        "n_t_cells": len(t_cells),
        "n_with_receptor": len(own),
        "n_receptor_not_t": sum(barcode in others for barcode in present),
        "assessable": bool(t_cells),
        "reason": "" if t_cells else "no T cells",
    }
    return own, found


def cell_columns(patient_id: str, cells: ReceptorCells) -> dict[str, np.ndarray]:
    """Return the columns of `receptors.parquet`: chains are the cell's, alpha or gamma first."""
    n = len(cells.barcode)
    columns = {
        "patient_id": np.full(n, patient_id, dtype=object),
        "sample_id": cells.sample_id,
        "barcode": cells.barcode,
        "clonotype_id": cells.clonotype,
        "joined_by": cells.joined_by,
        "chain_pairing": cells.pairing,
        "receptor_subtype": cells.subtype,
    }
    for place, loci in (("first", FIRST), ("second", SECOND)):
        best = [primary(chains, loci) for chains in cells.chains]
        for name, field in (("cdr3", "cdr3"), ("v", "v_gene"), ("j", "j_gene")):
            values = [None if chain is None else getattr(chain, field) or None for chain in best]
            columns[f"{name}_{place}"] = np.array(values, dtype=object)
    return {name: columns[name] for name in CELL_COLUMNS}
