"""The tables of the microenvironment: composition, suppression, ligands and receptors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from relapsescope.microenvironment.composition import (
    COLUMNS,
    INTERVAL_COLUMNS,
    composition,
    with_intervals,
)
from relapsescope.microenvironment.composition_shifts import COLUMNS as SHIFT_COLUMNS
from relapsescope.microenvironment.composition_shifts import shift_rows
from relapsescope.microenvironment.interactions import CLONE
from relapsescope.microenvironment.interactions import COLUMNS as PAIR_COLUMNS
from relapsescope.microenvironment.settings import CompositionSettings, SuppressionSettings
from relapsescope.microenvironment.suppression import COLUMNS as SUPPRESSION_COLUMNS
from relapsescope.microenvironment.suppression import EARLIER, PANEL, suppression_rows
from relapsescope.microenvironment.suppressive_programmes import programmes
from relapsescope.settings import settings_of
from relapsescope.tables import is_true, read_tsv, write_tsv

PAIR, PROGRAMME_KIND = "ligand_receptor", "programme"
INTERACTION_COLUMNS = (
    *PAIR_COLUMNS[:5],
    "kind",
    *PAIR_COLUMNS[5:10],
    *("source_is_relapse_clone", "target_is_relapse_clone"),
    *PAIR_COLUMNS[10:-1],
    *("programme_cells", "programme_cpm", "programme_ci_low", "programme_ci_high"),
    *("log2_vs_earlier", "log2_vs_untreated", "reason"),
)
CELLS = ("sample_id", "patient_id", "timepoint", "cell_type", "qc_pass")


def write_microenvironment(
    libraries: Sequence[Mapping[str, Any]],
    *,
    cells_path: str,
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `microenvironment.tsv`: one row a sample × cell type.

    Parameters
    ----------
    libraries
        The sheet's rows.
    settings
        Section `microenvironment` of the configuration.
    """
    limits = settings_of(CompositionSettings, settings, name="microenvironment")
    cells = pd.read_parquet(cells_path, columns=list(CELLS))
    sorting = {row["sample_id"]: row.get("sorting") or "none" for row in libraries}
    table = composition(cells, sorting=sorting, pseudocount=limits.pseudocount)
    table = with_intervals(table, libraries, limits)
    write_tsv(Path(output), (*COLUMNS, *INTERVAL_COLUMNS), table.to_dict("records"))


def write_composition_shifts(
    libraries: Sequence[Mapping[str, Any]],
    *,
    microenvironment_path: str,
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `composition_shifts.tsv`; `settings` is the section `microenvironment`."""
    limits = settings_of(CompositionSettings, settings, name="microenvironment")
    table = read_tsv(microenvironment_path)
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in ("n_cells", "clr")}
    rows = shift_rows(libraries, table.assign(**numbers), limits)
    write_tsv(Path(output), SHIFT_COLUMNS, rows)


def write_suppression(
    libraries: Sequence[Mapping[str, Any]],
    *,
    microenvironment_path: str,
    niche_paths: Sequence[str],
    reference_libraries: str | None = None,
    reference_composition: str | None = None,
    reference_niche: str | None = None,
    output: str,
    settings: Mapping[str, Any],
) -> None:
    """Write `suppression.tsv`: the join job.

    Parameters
    ----------
    niche_paths
        What `niche_tallies.tally_niche` wrote, of all patients and donors.
    reference_libraries, reference_composition, reference_niche
        The same of a reference's marrows, which serve where the cohort has no panel; None
        without them.
    settings
        Section `suppression` of the configuration.
    """
    limits = settings_of(SuppressionSettings, settings, name="suppression")
    table, paths = read_tsv(microenvironment_path), list(niche_paths)
    reference: list[dict[str, Any]] = []
    if reference_libraries and reference_composition and reference_niche:
        reference = read_tsv(reference_libraries).to_dict("records")
        table = pd.concat([table, read_tsv(reference_composition)], ignore_index=True)
        paths.append(reference_niche)
    rows: list[dict[str, Any]] = []
    if libraries:
        tallies = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
        rows = suppression_rows(libraries, table, tallies, limits, reference=reference)
    write_tsv(Path(output), SUPPRESSION_COLUMNS, rows)


def write_interactions(
    libraries: Sequence[Mapping[str, Any]],
    *,
    pair_paths: Sequence[str],
    clones_path: str,
    suppression_path: str,
    output: str,
) -> None:
    """Write `interactions.tsv`: the join job.

    One row set a ligand–receptor pair (sample × sender × receiver) and one a suppressive programme
    (sample), told apart by `kind`.

    Parameters
    ----------
    pair_paths
        What `interactions.patient_interactions` wrote, of all patients and donors.
    clones_path, suppression_path
        `clones.tsv` (which clones came back) and `suppression.tsv` (the programmes' rates).
    """
    clones = read_tsv(clones_path)
    back = clones[is_true(clones["is_relapse_clone"])]
    relapse = set(zip(back["patient_id"], CLONE + back["clone_id"], strict=True))
    rows: list[dict[str, Any]] = []
    for path in pair_paths:
        for row in pd.read_parquet(path).to_dict("records"):
            sides = {
                f"{side}_is_relapse_clone": (row["patient_id"], row[side]) in relapse
                for side in ("source", "target")
            }
            rows.append(row | sides | {"kind": PAIR})
    rows += _programme_rows(libraries, suppression_path)
    write_tsv(Path(output), INTERACTION_COLUMNS, [_whole_numbers(row) for row in rows])


def _programme_rows(
    libraries: Sequence[Mapping[str, Any]], suppression_path: str
) -> list[dict[str, Any]]:
    sheet = {row["sample_id"]: row for row in libraries}
    names = {one.name: one.population.replace("_", " ") for one in programmes()}
    table = read_tsv(suppression_path)
    table = table[table["measure"].isin(names) & table["sample_id"].isin(sheet)]
    rows = []
    for (sample, measure), part in table.groupby(["sample_id", "measure"], sort=False):
        first = part.iloc[0]
        changes = dict(zip(part["comparison"], part["log2_ratio"], strict=True))
        rows.append(
            {
                "patient_id": first["patient_id"],
                "sample_id": sample,
                "timepoint": first["timepoint"],
                "tissue": sheet[sample]["tissue"],
                "sorting": sheet[sample].get("sorting") or "none",
                "kind": PROGRAMME_KIND,
                "axis": measure,
                "source": names[measure],
                "programme_cells": first["n_cells"],
                "programme_cpm": first["value"],
                "programme_ci_low": first["value_ci_low"],
                "programme_ci_high": first["value_ci_high"],
                "log2_vs_earlier": changes.get(EARLIER, ""),
                "log2_vs_untreated": changes.get(PANEL, ""),
                "reason": "judged in suppression.tsv",
            }
        )
    return rows


def _whole_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with counts as whole numbers, missing ones as missing."""
    counts = ("ligand_n_cells", "receptor_n_cells", "n_ranked")
    found = {name: row.get(name) for name in counts}
    return {**row, **{n: None if v is None or v != v else int(v) for n, v in found.items()}}
