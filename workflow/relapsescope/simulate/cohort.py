"""Writing a simulated cohort to disk, as a user's data would arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from relapsescope.errors import InputProblem
from relapsescope.simulate.antibodies import antibody_counts, background_counts
from relapsescope.simulate.clinical import clinical_tables, course_truth
from relapsescope.simulate.contigs import tcr_contigs
from relapsescope.simulate.counts import Library, draw_library
from relapsescope.simulate.donors import donor
from relapsescope.simulate.expression import Genome, genome
from relapsescope.simulate.mechanisms import car_t_truth, mechanism_truth
from relapsescope.simulate.plan import (
    SIMULATE_RESOURCES,
    CohortPlan,
    LibraryPlan,
    PatientPlan,
    check_plan,
    read_plan,
)
from relapsescope.simulate.tenx import write_tenx
from relapsescope.simulate.truth import (
    CELL_COLUMNS,
    Simulated,
    antigen_truth,
    anxa1_truth,
    cell_truth,
    clone_truth,
    sample_truth,
)

FILTERED, RAW = "filtered_feature_bc_matrix.h5", "raw_feature_bc_matrix.h5"
CONTIGS = "filtered_contig_annotations.csv"
SHEET_COLUMNS = [
    "sample_id", "patient_id", "timepoint", "day", "tissue", "sorting", "matrix", "raw_matrix",
    "car_feature", "tcr_contigs", "bcr_contigs", "chemistry", "site",
]  # fmt: skip


def simulate_cohort(
    folder: Path,
    *,
    plan: CohortPlan | Path | str | None = None,
    seed: int = 1,
    scale: float = 1.0,
    overwrite: bool = False,
) -> None:
    """Write a marrow cohort with known truth: sheet, 10x matrices, clinical tables, truth.

    Parameters
    ----------
    folder
        Where to write: ``samples.tsv``, ``matrices/<sample_id>/``, ``clinical/`` and ``truth/``.
    plan
        What the cohort holds: a `CohortPlan`, a YAML file, the name of a shipped plan
        (``demo``, ``null``), or None for ``demo``.
    seed
        Any integer from 0. Plan, seed and scale fix every byte that is written; a library does
        not change when others are added to the plan.
    scale
        Factor on the cells (not the genes) of every library: 0.2 for a quick look.
    overwrite
        Write into a folder that holds something already.

    Raises
    ------
    InputProblem
        When the plan cannot be read or contradicts itself, scale or seed make no sense, or the
        folder is not empty and `overwrite` is False.
    """
    folder = Path(folder)
    chosen = _chosen_plan(plan)
    problems = check_plan(chosen)
    if not 0 < scale <= 100:
        problems.append(f"scale {scale}: must be over 0 and at most 100")
    if seed < 0:
        problems.append(f"seed {seed}: must be 0 or more")
    if folder.exists() and not folder.is_dir():
        problems.append(f"{folder}: is a file; name a folder")
    elif folder.is_dir() and any(folder.iterdir()) and not overwrite:
        problems.append(f"{folder}: is not empty; name another folder or allow overwriting")
    if problems:
        raise InputProblem(*problems)
    genes = genome(chosen.genes)
    feature_ids = np.append(genes.gene_ids, chosen.car_feature)
    feature_names = np.append(genes.symbols, chosen.car_feature)
    items, soups = [], {}
    for patient in chosen.patients:
        person = donor(chosen, patient, genes, seed)
        for library in patient.libraries:
            sample_id = patient.sample_id(library)
            drawn = draw_library(chosen, patient, library, person, genes, seed=seed, scale=scale)
            cells = cell_truth(patient, library, drawn, genes)
            place = folder / "matrices" / sample_id
            if chosen.antibodies:
                drawn = with_antibodies(
                    drawn, cells, chosen.antibodies, patient, sample_id, seed=seed
                )
            _write_matrices(
                place,
                drawn,
                sample_id,
                np.append(feature_ids, chosen.antibodies),
                np.append(feature_names, chosen.antibodies),
                n_antibodies=len(chosen.antibodies),
            )
            if library.contigs:
                table = tcr_contigs(cells, patient.patient_id, sample_id, seed)
                table.to_csv(place / CONTIGS, index=False, lineterminator="\n")
            soups[sample_id] = drawn.soup.astype(np.float32)
            items.append(Simulated(patient, library, person, drawn.without_counts(), cells))
    _write_tables(folder, chosen, items, genes, seed)
    _write_parquet(
        folder / "truth" / "ambient.parquet", pd.DataFrame({"gene_id": feature_ids} | soups)
    )


def with_antibodies(
    library: Library,
    cells: pd.DataFrame,
    names: tuple[str, ...],
    patient: PatientPlan,
    sample_id: str,
    *,
    seed: int,
) -> Library:
    """Return the library with antibody counts beside its genes, in cells and empty droplets."""
    own = antibody_counts(cells, names, patient, sample_id, seed)
    everywhere = background_counts(library.raw.shape[0], len(names), sample_id, seed).tolil()
    place = {barcode: i for i, barcode in enumerate(library.raw_barcodes)}
    everywhere[[place[barcode] for barcode in cells["barcode"]]] = own
    return replace(
        library,
        filtered=sparse.hstack([library.filtered, own], format="csr"),
        raw=sparse.hstack([library.raw, everywhere.tocsr()], format="csr"),
    )


def _chosen_plan(plan: CohortPlan | Path | str | None) -> CohortPlan:
    if isinstance(plan, CohortPlan):
        return plan
    if plan is None or str(plan) in ("demo", "null"):
        return read_plan(SIMULATE_RESOURCES / f"{plan or 'demo'}.yaml")
    return read_plan(Path(plan))


def _write_matrices(
    place: Path,
    library: Library,
    sample_id: str,
    feature_ids: np.ndarray,
    feature_names: np.ndarray,
    *,
    n_antibodies: int,
) -> None:
    place.mkdir(parents=True, exist_ok=True)
    named = {"feature_ids": feature_ids, "feature_names": feature_names, "library": sample_id}
    named["n_antibodies"] = n_antibodies
    barcodes = library.cells["barcode"].to_numpy(object)
    write_tenx(place / FILTERED, library.filtered, barcodes=barcodes, **named)
    write_tenx(place / RAW, library.raw, barcodes=library.raw_barcodes, **named)


def _write_tables(
    folder: Path, plan: CohortPlan, items: list[Simulated], genes: Genome, seed: int
) -> None:
    (folder / "clinical").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    sheet = [_sheet_row(plan, i.patient, i.plan) for i in items]
    _write_tsv(folder / "samples.tsv", pd.DataFrame(sheet, columns=SHEET_COLUMNS))
    for name, table in clinical_tables(plan, seed).items():
        _write_tsv(folder / "clinical" / f"{name}.tsv", table)
    tables = {
        "samples": pd.DataFrame([sample_truth(item) for item in items]),
        "clones": clone_truth(items),
        "antigens": antigen_truth(items, genes),
        "anxa1": anxa1_truth(items, genes),
        "car_t": car_t_truth(items),
        "course": course_truth(plan),
        "mechanisms": mechanism_truth(items),
    }
    for name, table in tables.items():
        _write_tsv(folder / "truth" / f"{name}.tsv", table)
    cells = pd.concat([item.cells for item in items], ignore_index=True)
    _write_parquet(folder / "truth" / "cells.parquet", cells[CELL_COLUMNS])


def _sheet_row(plan: CohortPlan, patient: PatientPlan, library: LibraryPlan) -> dict:
    place = f"matrices/{patient.sample_id(library)}"
    return {
        "sample_id": patient.sample_id(library),
        "patient_id": patient.patient_id,
        "timepoint": library.timepoint,
        "day": library.day,
        "tissue": library.tissue,
        "sorting": library.sorting,
        "matrix": f"{place}/{FILTERED}",
        "raw_matrix": f"{place}/{RAW}",
        "car_feature": plan.car_feature if patient.car_product else None,
        "tcr_contigs": f"{place}/{CONTIGS}" if library.contigs else None,
        "chemistry": "10x 3' v3",
        "site": library.site or None,
    }


def _write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a table; whole numbers stay whole beside missing values, a missing value is empty."""
    table = table.copy()
    for column in table.select_dtypes(float).columns:
        values = table[column].dropna()
        if (values == values.round()).all() and not column.endswith(("_g_dl", "_mg_l", "_dl")):
            table[column] = table[column].astype("Int64")
    table.to_csv(path, sep="\t", index=False, lineterminator="\n")


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
    pq.write_table(arrow, path, compression="zstd")
