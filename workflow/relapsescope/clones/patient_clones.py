"""A patient's clones: from the libraries' plasma cells to cells, clones and copy number on disk."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.clones.brought_back import BroughtBack, bring_back, identity_columns
from relapsescope.clones.contigs import apply_contigs, library_contigs
from relapsescope.clones.copy_number import ArmMap, arm_map, evaluable, healthy_events, normal_floor
from relapsescope.clones.files import PROBABILITY
from relapsescope.clones.immunoglobulin import Immunoglobulin, call_immunoglobulin
from relapsescope.clones.lost_identity import plasma_markers
from relapsescope.clones.malignancy import Malignancy, call_malignancy, group_arms
from relapsescope.clones.normal_panel import Panel, read_panel
from relapsescope.clones.normal_plasma import with_own_background
from relapsescope.clones.patient_cells import PatientCells, cell_arms, patient_cells
from relapsescope.clones.plasma_cells import (
    GeneSpace,
    PlasmaLibrary,
    common_genes,
    gene_space,
    library_files,
    read_plasma_library,
)
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings, ImmunoglobulinSettings
from relapsescope.clones.subclones import Subclones, find_subclones
from relapsescope.clones.summary import empty_result, summarise
from relapsescope.clones.tables import (
    ARM_COLUMNS,
    CLONE_COLUMNS,
    Clone,
    arm_rows,
    clone_rows,
)
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.settings import settings_of
from relapsescope.tables import write_json, write_parquet, write_tsv
from relapsescope.vocabulary import COHORT, FROZEN


@dataclass(frozen=True)
class Settings:
    """What the job needs of the configuration.

    Attributes
    ----------
    judged
        Genes that antigen and ANXA1 statements are about; they may not say who is malignant or
        of which clone.
    """

    immunoglobulin: ImmunoglobulinSettings
    copy_number: CopyNumberSettings
    clones: CloneSettings
    judged: tuple[str, ...] = ()


def clone_settings(settings: Mapping[str, Any]) -> Settings:
    """Return the sections `immunoglobulin`, `copy_number` and `clones`, and the judged genes."""
    kinds = {
        "immunoglobulin": ImmunoglobulinSettings,
        "copy_number": CopyNumberSettings,
        "clones": CloneSettings,
    }
    return Settings(
        **{n: settings_of(kind, settings[n], name=n) for n, kind in kinds.items()},
        judged=judged_genes(settings),
    )


def call_clones(
    rows: Sequence[Mapping[str, Any]],
    *,
    counts_paths: Sequence[str],
    cells_paths: Sequence[str],
    genes_paths: Sequence[str],
    summary_paths: Sequence[str],
    panel_path: str,
    reference_panel: str | None = None,
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Call one patient's malignant cells and clones, write its files, return the summary.

    Parameters
    ----------
    rows
        The sheet's rows of this patient, in the order of the paths.
    panel_path
        As written by `normal_plasma.build_normal_plasma`.
    reference_panel
        The panel of a frozen reference, which serves where the cohort's own cannot.
    outputs
        Paths of `clones.files.CLONE_FILES`.
    settings
        The sections `immunoglobulin`, `copy_number` and `clones` of the configuration, and the
        judged genes (`judged_genes`).
    """
    typed = clone_settings(settings)
    files = library_files(rows, counts_paths, cells_paths, genes_paths, summary_paths)
    patient = str(rows[0]["patient_id"])
    panel, source = chosen_panel(
        read_panel(Path(panel_path)).without(patient),
        read_panel(Path(reference_panel)) if reference_panel else None,
        settings=typed.copy_number,
    )
    gene_ids = common_genes(files)
    libraries = [read_plasma_library(library, gene_ids) for library in files]
    told = [
        library_contigs(library.row.get("bcr_contigs"), cells.barcodes)
        for library, cells in zip(files, libraries, strict=True)
    ]
    contigs = [table for table, _ in told]
    result = assess_patient(
        patient, libraries, gene_ids, panel, contigs, settings=typed, seed=seed, source=source
    )
    result["summary"]["reasons"] += [
        f"{library.sample_id}: {why}"
        for library, (_, why) in zip(libraries, told, strict=True)
        if why
    ]
    write_parquet(Path(outputs["cells"]), result["cells"])
    write_parquet(Path(outputs["posterior"]), result["posterior"])
    write_parquet(Path(outputs["cell_arms"]), result["cell_arms"])
    write_tsv(Path(outputs["clones"]), CLONE_COLUMNS, result["clones"])
    write_tsv(Path(outputs["copy_number"]), ARM_COLUMNS, result["copy_number"])
    write_json(Path(outputs["summary"]), result["summary"])
    return result["summary"]


def chosen_panel(
    cohort: Panel, reference: Panel | None, *, settings: CopyNumberSettings
) -> tuple[Panel, str]:
    """Return the panel to compare with and its source: the cohort's own where it can carry calls.

    The source is ``cohort``, ``frozen`` or, where neither panel can, "".
    """
    if not evaluable(cohort, settings=settings):
        return cohort, COHORT
    if reference is not None and not evaluable(reference, settings=settings):
        return reference, FROZEN
    return cohort, ""


def assess_patient(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    gene_ids: np.ndarray,
    panel: Panel,
    contigs: Sequence[Mapping[str, Any] | None],
    *,
    settings: Settings,
    seed: int,
    source: str = COHORT,
) -> dict[str, Any]:
    """Return the content of the files, by the keys of `outputs` of `call_clones`."""
    if not libraries:
        return empty_result(patient, libraries, "", "every library of this patient failed")
    space = gene_space(gene_ids, judged=settings.judged)
    ig = patient_immunoglobulin(libraries, contigs, space.symbols, settings=settings.immunoglobulin)
    normal = normal_background(gene_ids, space, panel, settings=settings.copy_number)
    if not any(len(library.barcodes) for library in libraries):
        return empty_result(patient, libraries, normal.why, "no plasma cells")
    used = [library.over(normal.columns) for library in libraries]
    # Without anybody else's cells the libraries of one patient are compared with each other.
    panel = normal.panel if len(normal.panel.types) else with_own_background(normal.panel, used)
    cells = patient_cells(used, panel, normal.arms)
    by_arms = {"evaluable": not normal.why, "floor": normal.floor}
    malignancy = call_malignancy(
        cells,
        ig,
        panel,
        **by_arms,
        ig_settings=settings.immunoglobulin,
        cn_settings=settings.copy_number,
        settings=settings.clones,
    )
    clones = name_clones(cells, malignancy, **by_arms, settings=settings, seed=seed)
    clones, back = bring_back(
        libraries,
        used,
        space.symbols,
        cells,
        malignancy,
        clones=clones,
        **by_arms,
        settings=settings,
    )
    source = "" if normal.why else source
    markers = plasma_markers(space.symbols[normal.columns])
    rows = clone_rows(
        patient,
        libraries,
        cells,
        malignancy,
        clones,
        why=normal.why,
        settings=settings.clones,
        cn_settings=settings.copy_number,
        source=source,
        lost_library=back.library,
        identity=identity_columns(used, cells, malignancy, clones, back, markers=markers),
    )
    summary = summarise(
        patient,
        libraries,
        cells,
        malignancy,
        clones,
        why=normal.why,
        per_donor=normal.per_donor,
        floor=normal.floor,
        panel=panel,
    )
    return {
        **cell_files(patient, libraries, cells, ig, malignancy, clones=clones, back=back),
        "cell_arms": arm_pictures(patient, libraries, cells, malignancy, clones, normal=normal),
        "clones": rows,
        "copy_number": [row for clone in clones for row in arm_rows(patient, clone)],
        "summary": summary | {"panel_source": source, "identity_lost": back.by_library(libraries)},
    }


def patient_immunoglobulin(
    libraries: Sequence[PlasmaLibrary],
    contigs: Sequence[Mapping[str, Any] | None],
    symbols: np.ndarray,
    *,
    settings: ImmunoglobulinSettings,
) -> Immunoglobulin:
    """Return the immunoglobulin of a patient's plasma cells, by counts and by contigs."""
    calls = []
    for library, table in zip(libraries, contigs, strict=True):
        ig = call_immunoglobulin(
            library.counts,
            symbols,
            ambient_umi=library.ambient_umi,
            ambient=library.ambient,
            settings=settings,
        )
        calls.append(apply_contigs(ig, library.barcodes, table))
    return concatenate(calls)


@dataclass(frozen=True)
class NormalBackground:
    """The normal plasma cells that a patient's are compared with, on the genes that both hold.

    Attributes
    ----------
    columns
        Numbers of these genes among the patient's.
    why
        Why copy number cannot be judged, empty where it can.
    floor, per_donor
        Least error of an arm between normal cells, and events a donor shows when left out.
    """

    columns: np.ndarray
    panel: Panel
    arms: ArmMap
    why: str
    floor: float
    per_donor: float | None


def normal_background(
    gene_ids: np.ndarray, space: GeneSpace, panel: Panel, *, settings: CopyNumberSettings
) -> NormalBackground:
    """Return the panel on the patient's genes, and whether copy number can be judged by it."""
    shared = set(gene_ids[space.used]).intersection(panel.gene_ids)
    columns = np.array([i for i, gene in enumerate(gene_ids) if gene in shared], dtype=int)
    panel = panel.on(gene_ids[columns])
    arms = arm_map(space.arms[columns])
    why = evaluable(panel, settings=settings)
    floor, per_donor = 0.05, None
    if not why:
        floor = normal_floor(panel, arms, settings=settings)
        per_donor = healthy_events(panel, arms, floor=floor, settings=settings)
        if per_donor > settings.max_healthy_events:
            why = f"normal donors show {per_donor:.1f} events each when left out of the panel"
    return NormalBackground(columns, panel, arms, why or "", floor, per_donor)


def cell_files(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    ig: Immunoglobulin,
    malignancy: Malignancy,
    *,
    clones: Sequence[Clone],
    back: BroughtBack,
) -> dict[str, dict[str, np.ndarray]]:
    """Return `cells` and `posterior`: malignancy and clone of each cell; brought-back ones last."""
    names = _cell_names(patient, libraries, cells)
    clone_id = _clone_of(clones, len(cells.library))
    probability = np.full(len(clone_id), np.nan)
    for clone in clones:
        probability[clone.cells] = clone.probability[clone.cells]
    of_cells = {
        **names,
        "light_chain": ig.light_chain,
        "malignancy": malignancy.malignancy,
        "malignancy_probability": malignancy.probability,
        "clone_id": clone_id,
        "clone_probability": probability,
        "kappa_umi": ig.kappa,
        "lambda_umi": ig.lambda_,
        "light_v": ig.light_v,
        "heavy_v": ig.heavy_v,
        "heavy_chain": ig.heavy,
        "log_odds_immunoglobulin": malignancy.immunoglobulin,
        "log_odds_programme": malignancy.programme,
        "identity_lost": np.zeros(len(clone_id), dtype=bool),
    }
    called = {**names, "malignancy": malignancy.malignancy, "clone_id": clone_id}
    of_clones = {f"{PROBABILITY}{clone.clone_id}": clone.probability for clone in clones}
    of_lost = {f"{PROBABILITY}{clone.clone_id}": clone.lost_probability for clone in clones}
    return {
        "cells": _beneath(of_cells, back.columns),
        "posterior": _beneath(called | of_clones, back.columns | of_lost),
    }


def arm_pictures(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    *,
    normal: NormalBackground,
) -> dict[str, np.ndarray]:
    """Return each cell's log-ratio of every arm; no cell where copy number cannot be judged."""
    arms = normal.arms.names
    ratios = np.zeros((0, len(arms)))
    if not normal.why:
        ratios = cell_arms(cells, cells.normal(malignancy.panel.rates()))
    names = _cell_names(patient, libraries, cells)
    names["clone_id"] = _clone_of(clones, len(cells.library))
    return {name: values[: len(ratios)] for name, values in names.items()} | {
        arm: ratios[:, i].astype(np.float32) for i, arm in enumerate(arms)
    }


def _cell_names(
    patient: str, libraries: Sequence[PlasmaLibrary], cells: PatientCells
) -> dict[str, np.ndarray]:
    return {
        "patient_id": np.full(len(cells.library), patient, dtype=object),
        "sample_id": np.array([libraries[i].sample_id for i in cells.library], dtype=object),
        "barcode": np.concatenate([library.barcodes for library in libraries]),
    }


def _clone_of(clones: Sequence[Clone], n_cells: int) -> np.ndarray:
    """Return (n_cells,) the clone's letter, None for cells of none."""
    clone_id = np.full(n_cells, None, dtype=object)
    for clone in clones:
        clone_id[clone.cells] = clone.clone_id
    return clone_id


def _beneath(
    above: Mapping[str, np.ndarray], below: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return columns one under the other."""
    if not len(below["barcode"]):
        return dict(above)
    return {name: np.concatenate([values, below[name]]) for name, values in above.items()}


def name_clones(
    cells: PatientCells,
    malignancy: Malignancy,
    *,
    evaluable: bool,
    floor: float,
    settings: Settings,
    seed: int,
) -> list[Clone]:
    """Return the clones, lettered: each immunoglobulin clone's subclones, by first appearance."""
    malignant = malignancy.malignancy == "malignant"
    found: list[tuple[np.ndarray, int, np.ndarray, Subclones, int]] = []
    for number in sorted(set(malignancy.ig_clone[malignant])):
        members = np.flatnonzero(malignant & (malignancy.ig_clone == number))
        # Subclones differ from each other, whatever normal cells would show: no donor is needed.
        split = find_subclones(
            cells.subset(members),
            cn_settings=settings.copy_number,
            settings=settings.clones,
            seed=seed,
        )
        for label in range(split.label.max() + 1):
            share = np.full(len(malignant), split.posterior[:, label].mean())
            share[members] = split.posterior[:, label]
            share *= malignancy.probability * malignancy.suits(int(number))
            found.append((members[split.label == label], int(number), share, split, label))

    def appearance(item: tuple) -> tuple:
        first = np.bincount(cells.library[item[0]], minlength=cells.n_libraries)
        totals = np.bincount(cells.library[malignant], minlength=cells.n_libraries)
        shares = first / np.maximum(totals, 1)
        return (*(-shares), -len(item[0]))

    found.sort(key=appearance)
    clones = []
    for letter, (members, number, share, split, label) in zip(
        letters(len(found)), found, strict=True
    ):
        arms, events = None, ()
        if evaluable and len(members) >= settings.copy_number.min_group_cells:
            chosen = np.zeros(len(cells.library), dtype=bool)
            chosen[members] = True
            arms = group_arms(
                cells, chosen, malignancy.panel, floor=floor, settings=settings.copy_number
            )
            events = arms.events(
                probability=settings.copy_number.event_probability,
                min_effect=settings.copy_number.min_effect,
            )
        clones.append(
            Clone(
                clone_id=letter,
                cells=members,
                ig_clone=number,
                probability=share,
                arms=arms,
                events=events,
                stability=split.stability,
                unseen=split.unseen[label],
                dissolved=split.dissolved,
            )
        )
    return clones


def letters(n: int) -> list[str]:
    """Return A, B, … Z, AA, AB, …"""
    alphabet = string.ascii_uppercase
    double = [a + b for a in alphabet for b in alphabet]
    return [*alphabet, *double][:n]


def concatenate(calls: Sequence[Immunoglobulin]) -> Immunoglobulin:
    """Return the libraries' calls one after another."""
    arrays = {
        field.name: np.concatenate([getattr(call, field.name) for call in calls])
        for field in fields(Immunoglobulin)
        if field.name != "assessable"
    }
    return Immunoglobulin(**arrays, assessable=any(call.assessable for call in calls))
