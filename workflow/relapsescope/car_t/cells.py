"""One patient's CAR-T cells: calls, phases and scores of the cells, and exhaustion compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.car_t.calls import CarCalls, call_car, transgene_umi
from relapsescope.car_t.exhaustion_rows import EFFECT_COLUMNS, PatientScores, effect_rows
from relapsescope.car_t.settings import CarSettings, ExhaustionSettings
from relapsescope.libraries.cell_cycle import CycleCalls, call_cycle
from relapsescope.libraries.library_rna import LibraryRna, read_library
from relapsescope.libraries.settings import CycleSettings
from relapsescope.libraries.signatures import GeneSet, read_signatures
from relapsescope.settings import settings_of
from relapsescope.t_cells.scores import ScoredLibrary, clean_sets, score_t_cells, strata_of
from relapsescope.t_cells.settings import ScoreSettings
from relapsescope.tables import read_columns, write_parquet, write_tsv

NO_STRATUM = ""


@dataclass(frozen=True)
class LibraryCells:
    """What one library adds.

    Attributes
    ----------
    columns
        Of its barcodes, as `car_cells.parquet` holds them.
    scored
        Its T cells' scores and means by group, over the genes that the patient's libraries share.
    """

    row: Mapping[str, Any]
    columns: dict[str, np.ndarray]
    scored: ScoredLibrary


@dataclass(frozen=True)
class _Settings:
    calls: CarSettings
    cycle: CycleSettings
    scores: ScoreSettings
    exhaustion: ExhaustionSettings


def call_patient(
    libraries: Sequence[Mapping[str, Any]],
    *,
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Write one patient's cell columns and exhaustion effects: the patient's job.

    Parameters
    ----------
    libraries
        One mapping a library: the sheet's row (`sample_id`, `timepoint`, `car_feature` …) and the
        paths `counts`, `cells`, `genes`, `summary`.
    outputs
        Paths `car_cells` and `exhaustion`.
    settings
        Sections `car_calls`, `cell_cycle`, `t_cell_scores` and `exhaustion` of the configuration.
    """
    limits = _Settings(
        settings_of(CarSettings, settings["car_calls"], name="car_calls"),
        settings_of(CycleSettings, settings["cell_cycle"], name="cell_cycle"),
        settings_of(ScoreSettings, settings["t_cell_scores"], name="t_cell_scores"),
        settings_of(ExhaustionSettings, settings["exhaustion"], name="exhaustion"),
    )
    gene_ids, symbols = common_genes([one["genes"] for one in libraries])
    shipped = read_signatures()
    phases = (shipped["s_phase"], shipped["g2m_phase"])
    scored = [one for one in shipped.values() if one.role != "cell_cycle"]
    sets = [_within(one, set(symbols)) for one in clean_sets(scored, limits.scores.set_aside)]
    found = [_library(one, gene_ids, sets, phases, limits=limits, seed=seed) for one in libraries]
    names = found[0].columns
    write_parquet(
        Path(outputs["car_cells"]),
        {name: np.concatenate([one.columns[name] for one in found]) for name in names},
    )
    patient = PatientScores(
        rows=[one.row for one in found],
        scored=[one.scored for one in found],
        symbols=symbols,
        sets=sets,
        set_aside=frozenset(gene for one in shipped.values() for gene in one.symbols),
    )
    rows = effect_rows(patient, limits.exhaustion, seed=seed)
    write_tsv(Path(outputs["exhaustion"]), EFFECT_COLUMNS, rows)


def common_genes(genes_paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return Ensembl IDs and symbols of the genes that all libraries hold, as in the first.

    Libraries without a single gene (they could not be read) have no say.
    """
    tables = [read_columns(Path(path), ["gene_id", "symbol"]) for path in genes_paths]
    tables = [table for table in tables if len(table["gene_id"])]
    if not tables:
        nothing = np.array([], dtype=object)
        return nothing, nothing
    shared = set(tables[0]["gene_id"]).intersection(*(set(t["gene_id"]) for t in tables[1:]))
    kept = np.array([gene in shared for gene in tables[0]["gene_id"]])
    return tables[0]["gene_id"][kept], tables[0]["symbol"][kept]


def _within(one: GeneSet, symbols: set[str]) -> GeneSet:
    """Return the set's genes that all libraries hold."""
    kept = [i for i, symbol in enumerate(one.symbols) if symbol in symbols]
    return replace(
        one,
        symbols=tuple(one.symbols[i] for i in kept),
        weights=tuple(one.weights[i] for i in kept),
        flags=tuple(one.flags[i] for i in kept),
    )


def _library(
    one: Mapping[str, Any],
    gene_ids: np.ndarray,
    sets: Sequence[GeneSet],
    phases: tuple[GeneSet, GeneSet],
    *,
    limits: _Settings,
    seed: int,
) -> LibraryCells:
    summary = json.loads(Path(one["summary"]).read_text(encoding="utf-8"))
    rna = read_library(one, summary)
    cells = read_columns(Path(one["cells"]))
    lineage = np.array(["" if name is None else str(name) for name in cells["lineage"]])
    use = cells["qc_pass"].astype(bool)
    calls = call_car(
        transgene_umi(rna.counts, one["car_feature"]),
        native=rna.native,
        ambient_umi=rna.ambient_umi,
        total=cells["total_counts"],
        lineage=lineage,
        use=use,
        settings=limits.calls,
    )
    cycle = call_cycle(
        rna.counts,
        phases,
        exposure=rna.base,
        lineage=lineage,
        use=use,
        settings=limits.cycle,
    )
    rows = np.flatnonzero(use & (lineage == "T") & (cells["contradiction"].astype(str) == ""))
    stratum = strata_of(cells["cell_type"][rows])
    groups = list(zip(calls.status[rows], stratum, strict=True))
    scored = score_t_cells(rna.counts, rows, sets, groups, settings=limits.scores, seed=seed)
    columns = _columns(one, rna, calls, cycle, rows, stratum=stratum, sets=sets, scored=scored)
    place = {gene: i for i, gene in enumerate(rna.counts.gene_ids)}
    shared = np.array([place.get(gene, -1) for gene in gene_ids], dtype=np.int64)
    return LibraryCells(one, columns, scored.over(shared))


def _columns(
    one: Mapping[str, Any],
    rna: LibraryRna,
    calls: CarCalls,
    cycle: CycleCalls,
    rows: np.ndarray,
    *,
    stratum: np.ndarray,
    sets: Sequence[GeneSet],
    scored: ScoredLibrary,
) -> dict[str, np.ndarray]:
    n = len(rna.counts.barcodes)
    t_stratum = np.full(n, NO_STRATUM, dtype=object)
    t_stratum[rows] = stratum
    columns = {
        "sample_id": np.full(n, one["sample_id"], dtype=object),
        "barcode": rna.counts.barcodes,
        "car_status": calls.status,
        "phase": cycle.phase,
        "cycling": cycle.cycling,
        "t_stratum": t_stratum,
        "car_umi": calls.umi.astype(float),
        "car_ambient_umi": calls.ambient,
        "native_umi": rna.native,
        "s_umi": cycle.umi[:, 0],
        "g2m_umi": cycle.umi[:, 1],
        "s_expected": cycle.expected[:, 0],
        "g2m_expected": cycle.expected[:, 1],
    }
    for number, gene_set in enumerate(sets):
        values = np.full(n, np.nan)
        values[rows] = scored.scores[:, number]
        prefix = "exhaustion_" if gene_set.role == "exhaustion" else ""
        columns[f"{prefix}{gene_set.name}"] = values
    return columns
