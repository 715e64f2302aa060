"""One patient's suppressive programmes: molecules in each library's myeloid and CD4 T cells.

What needs the counts happens here, a patient at a time; what is raised is judged over the cohort
from these small tables (`suppression.py`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.libraries.library_rna import LibraryRna, read_library
from relapsescope.microenvironment.suppressive_programmes import (
    MYELOID,
    POPULATIONS,
    marking_genes,
    programmes,
)
from relapsescope.tables import read_columns, write_parquet

GENE, MARKED = "gene", "marked_cells"
TEXT = ("patient_id", "sample_id", "timepoint", "kind", "population", "gene")
NUMBERS = ("n_cells", "exposure", "umi", "variance", "ambient", "ambient_sd")


def tally_niche(
    libraries: Sequence[Mapping[str, Any]],
    *,
    car_cells_path: str | None,
    output: str,
    matched_umi: int,
) -> None:
    """Write a patient's rows: a library × population × gene each, and one of marked cells.

    Parameters
    ----------
    libraries
        One mapping a library: the sheet's `sample_id`, `patient_id`, `timepoint`, and the paths
        `counts`, `cells`, `genes`, `summary` that its job wrote. Failed libraries are left out.
    car_cells_path
        The patient's CAR-T calls (`sample_id`, `barcode`, `car_status`); None where there are none.
    output
        Path of the Parquet table.
    matched_umi
        Native UMIs at which cells are compared for the share of marked cells.
    """
    car = car_barcodes(car_cells_path)
    rows: list[dict[str, Any]] = []
    for library in libraries:
        summary = json.loads(Path(library["summary"]).read_text(encoding="utf-8"))
        if summary["verdict"] == "fail":
            continue
        rna = read_library(library, summary)
        cells = read_columns(
            Path(library["cells"]),
            ["barcode", "qc_pass", "contradiction", "lineage", "cell_type"],
        )
        infused = np.isin(cells["barcode"].astype(str), list(car.get(library["sample_id"], ())))
        place = {name: library[name] for name in ("patient_id", "sample_id", "timepoint")}
        for population, members in population_members(cells, infused).items():
            if not members.any():
                continue
            genes = [g for one in programmes() if one.population == population for g in one.symbols]
            rows += [
                place | {"population": population} | row
                for row in gene_rows(rna, members, list(dict.fromkeys(genes)))
            ]
            if population == MYELOID:
                marked = marked_row(rna, members, marking_genes(), matched_umi)
                rows.append(place | {"population": population} | marked)
    text = {name: np.array([row[name] for row in rows], dtype=object) for name in TEXT}
    number = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in NUMBERS}
    write_parquet(Path(output), text | number)


def car_barcodes(path: str | None) -> dict[str, set[str]]:
    """Return by sample the barcodes in which the transgene is detected."""
    if path is None:
        return {}
    columns = read_columns(Path(path), ["sample_id", "barcode", "car_status"])
    detected = columns["car_status"].astype(str) == "detected"
    found: dict[str, set[str]] = {}
    for sample, barcode in zip(
        columns["sample_id"][detected], columns["barcode"][detected], strict=True
    ):
        found.setdefault(str(sample), set()).add(str(barcode))
    return found


def population_members(
    cells: Mapping[str, np.ndarray], infused: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the barcodes of each population, (n_barcodes,) bool: usable cells only.

    `infused` cells, in which the transgene is detected, are in none: an activated CAR-T cell shows
    IL2RA and CTLA4 as a regulatory T cell does.
    """
    usable = cells["qc_pass"].astype(bool) & (cells["contradiction"].astype(str) == "") & ~infused
    return {
        name: usable & np.isin(cells[column].astype(str), values)
        for name, (column, values) in POPULATIONS.items()
    }


def gene_rows(rna: LibraryRna, members: np.ndarray, genes: Sequence[str]) -> list[dict[str, Any]]:
    """Return each gene's molecules in the members; genes that the library lacks have no row.

    `variance` is that of the sum with cells as they differ; `exposure` the native UMIs.
    """
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    known = [gene for gene in genes if gene in place]
    columns = [place[gene] for gene in known]
    inside = rna.columns[:, columns][members].toarray().astype(float)
    native = np.maximum(rna.native[members], 0.0)
    exposure, umi = float(native.sum()), inside.sum(axis=0)
    residual = inside - np.outer(native, umi / max(exposure, 1.0))
    variance = np.maximum((residual**2).sum(axis=0), umi)
    ambient = float(rna.ambient_umi[members].sum()) * rna.profile[columns]
    # As in rates.tally: the amount's error, and that of a share counted from few molecules.
    share_cv2 = 1 / (np.maximum(rna.profile_umi[columns], 0.0) + 0.5)
    ambient_sd = ambient * np.sqrt(np.expm1(rna.log_sd**2) + share_cv2)
    return [
        {
            "kind": GENE,
            "gene": gene,
            "n_cells": int(members.sum()),
            "exposure": exposure,
            "umi": umi[i],
            "variance": variance[i],
            "ambient": ambient[i],
            "ambient_sd": ambient_sd[i],
        }
        for i, gene in enumerate(known)
    ]


def marked_row(
    rna: LibraryRna, members: np.ndarray, genes: Sequence[str], matched_umi: int
) -> dict[str, Any]:
    """Return how many members would hold a molecule of `genes` at a common depth.

    Of a cell with `n` native UMIs and `k` molecules of the genes, a share 1 - (1 - d/n)^k holds
    one among `d` UMIs drawn at random. Depth does so move the number of cells that are compared,
    and not the share. Cells below `matched_umi` are left out.

    Returns
    -------
    `n_cells` the cells deep enough, `umi` the expected number that hold a molecule, `ambient` that
    which ambient RNA alone would give, `exposure` the UMIs compared.
    """
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    columns = [place[gene] for gene in genes if gene in place]
    deep = members & (rna.native >= matched_umi)
    share = matched_umi / np.maximum(rna.native[deep], 1.0)
    molecules = np.asarray(rna.columns[:, columns][deep].sum(axis=1)).ravel()
    foreign = rna.ambient_umi[deep] * rna.profile[columns].sum()
    return {
        "kind": MARKED,
        "gene": "",
        "n_cells": int(deep.sum()),
        "exposure": float(matched_umi) * int(deep.sum()),
        "umi": float((1 - (1 - share) ** molecules).sum()),
        "ambient": float((1 - np.exp(-foreign * share)).sum()),
    }
