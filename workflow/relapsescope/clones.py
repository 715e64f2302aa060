"""A patient's clones: from the libraries' plasma cells to cells, clones and copy number on disk."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.contigs import apply_contigs, read_contigs
from relapsescope.copy_number import (
    ArmRatios,
    CopyNumberSettings,
    arm_map,
    evaluable,
    healthy_events,
    normal_floor,
)
from relapsescope.fates import (
    BEFORE,
    CloneCount,
    Visit,
    count_clone,
    fate,
    in_time,
    pooled,
    relapse_clone,
    relation,
)
from relapsescope.immunoglobulin import (
    Immunoglobulin,
    ImmunoglobulinSettings,
    call_immunoglobulin,
)
from relapsescope.malignancy import CloneSettings, Malignancy, call_malignancy, group_arms
from relapsescope.normal_plasma import Panel, read_panel
from relapsescope.plasma_cells import (
    PlasmaLibrary,
    common_genes,
    gene_space,
    library_files,
    read_plasma_library,
)
from relapsescope.settings import settings_of
from relapsescope.subclones import Subclones, find_subclones
from relapsescope.tables import write_json, write_parquet, write_tsv
from relapsescope.tumour_cells import PatientCells, cell_arms, patient_cells

CLONE_COLUMNS = (
    "patient_id",
    "clone_id",
    "timepoint",
    "sample_id",
    "n_cells",
    "fraction",
    "fraction_ci_low",
    "fraction_ci_high",
    "detection_limit",
    "n_malignant",
    "light_chain",
    "v_gene",
    "heavy_chain",
    "cnv_events",
    "cnv_evaluable",
    "fate",
    "is_relapse_clone",
    "relation",
    "share_before",
    "stability",
    "reason",
)
ARM_COLUMNS = (
    "patient_id",
    "clone_id",
    "arm",
    "n_genes",
    "log2_ratio",
    "log2_ratio_ci_low",
    "log2_ratio_ci_high",
    "probability_gain",
    "probability_loss",
    "event",
)


@dataclass(frozen=True)
class Settings:
    """The three sections of the configuration that the job needs."""

    immunoglobulin: ImmunoglobulinSettings
    copy_number: CopyNumberSettings
    clones: CloneSettings


@dataclass(frozen=True)
class Clone:
    """One clone of a patient; `cells` are numbers among the patient's plasma cells."""

    clone_id: str
    cells: np.ndarray
    ig_clone: int
    arms: ArmRatios | None
    events: tuple[str, ...]
    stability: float | None


def clone_settings(settings: Mapping[str, Any]) -> Settings:
    """Return the sections `immunoglobulin`, `copy_number` and `clones`, checked."""
    kinds = {
        "immunoglobulin": ImmunoglobulinSettings,
        "copy_number": CopyNumberSettings,
        "clones": CloneSettings,
    }
    return Settings(**{n: settings_of(kind, settings[n], name=n) for n, kind in kinds.items()})


def call_clones(
    rows: Sequence[Mapping[str, Any]],
    *,
    counts_paths: Sequence[str],
    cells_paths: Sequence[str],
    genes_paths: Sequence[str],
    summary_paths: Sequence[str],
    panel_path: str,
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
    outputs
        Paths of `cells`, `cell_arms`, `clones`, `copy_number` and `summary`.
    settings
        The sections `immunoglobulin`, `copy_number` and `clones` of the configuration.
    """
    typed = clone_settings(settings)
    files = library_files(rows, counts_paths, cells_paths, genes_paths, summary_paths)
    panel = read_panel(Path(panel_path))
    patient = str(rows[0]["patient_id"])
    panel = panel.without(patient)
    gene_ids = common_genes(files)
    libraries = [read_plasma_library(library, gene_ids) for library in files]
    contigs = [read_contigs(library.row.get("bcr_contigs")) for library in files]
    result = assess_patient(patient, libraries, gene_ids, panel, contigs, settings=typed, seed=seed)
    write_parquet(Path(outputs["cells"]), result["cells"])
    write_parquet(Path(outputs["cell_arms"]), result["cell_arms"])
    write_tsv(Path(outputs["clones"]), CLONE_COLUMNS, result["clones"])
    write_tsv(Path(outputs["copy_number"]), ARM_COLUMNS, result["copy_number"])
    write_json(Path(outputs["summary"]), result["summary"])
    return result["summary"]


def assess_patient(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    gene_ids: np.ndarray,
    panel: Panel,
    contigs: Sequence[Mapping[str, Any] | None],
    *,
    settings: Settings,
    seed: int,
) -> dict[str, Any]:
    """Return the content of the files, by the keys of `outputs` of `call_clones`."""
    space = gene_space(gene_ids)
    calls = []
    for library, table in zip(libraries, contigs, strict=True):
        ig = call_immunoglobulin(
            library.counts,
            space.symbols,
            ambient_umi=library.ambient_umi,
            ambient=library.ambient,
            settings=settings.immunoglobulin,
        )
        calls.append(apply_contigs(ig, library.barcodes, table))
    ig = concatenate(calls)
    shared = set(gene_ids[space.used]).intersection(panel.gene_ids)
    columns = np.array([i for i, gene in enumerate(gene_ids) if gene in shared], dtype=int)
    panel = panel.on(gene_ids[columns])
    arms = arm_map(space.arms[columns])
    why = evaluable(panel, settings=settings.copy_number)
    floor, per_donor = 0.05, None
    if not why:
        floor = normal_floor(panel, arms, settings=settings.copy_number)
        per_donor = healthy_events(panel, arms, floor=floor, settings=settings.copy_number)
        if per_donor > settings.copy_number.max_healthy_events:
            why = f"normal donors show {per_donor:.1f} events each when left out of the panel"
    libraries = list(libraries)
    n = sum(len(library.barcodes) for library in libraries)
    if n == 0:
        return empty_result(patient, libraries, why or "", "no plasma cells")
    cells = patient_cells([library.over(columns) for library in libraries], panel, arms)
    malignancy = call_malignancy(
        cells,
        ig,
        panel,
        evaluable=not why,
        floor=floor,
        ig_settings=settings.immunoglobulin,
        cn_settings=settings.copy_number,
        settings=settings.clones,
    )
    clones = name_clones(
        cells, malignancy, evaluable=not why, floor=floor, settings=settings, seed=seed
    )
    clone_id = np.full(n, None, dtype=object)
    for clone in clones:
        clone_id[clone.cells] = clone.clone_id
    sample = np.array([libraries[i].sample_id for i in cells.library], dtype=object)
    rows = clone_rows(patient, libraries, cells, malignancy, clones, why, settings.clones)
    names = {
        "patient_id": np.full(n, patient, dtype=object),
        "sample_id": sample,
        "barcode": np.concatenate([library.barcodes for library in libraries]),
    }
    pictures = np.zeros((0, len(arms.names)))
    if not why:
        pictures = cell_arms(cells, cells.normal(malignancy.panel.rates()))
    return {
        "cell_arms": {name: values[: len(pictures)] for name, values in names.items()}
        | {"clone_id": clone_id[: len(pictures)]}
        | {arm: pictures[:, i].astype(np.float32) for i, arm in enumerate(arms.names)},
        "cells": {
            **names,
            "light_chain": ig.light_chain,
            "malignancy": malignancy.malignancy,
            "malignancy_probability": malignancy.probability,
            "clone_id": clone_id,
            "kappa_umi": ig.kappa,
            "lambda_umi": ig.lambda_,
            "light_v": ig.light_v,
            "heavy_v": ig.heavy_v,
            "heavy_chain": ig.heavy,
            "log_odds_immunoglobulin": malignancy.immunoglobulin,
            "log_odds_programme": malignancy.programme,
        },
        "clones": rows,
        "copy_number": [row for clone in clones for row in arm_rows(patient, clone)],
        "summary": summarise(
            patient, libraries, cells, malignancy, clones, why, per_donor, floor, panel
        ),
    }


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
    found: list[tuple[np.ndarray, int, float | None]] = []
    for number in sorted(set(malignancy.ig_clone[malignant])):
        members = np.flatnonzero(malignant & (malignancy.ig_clone == number))
        split = Subclones(np.zeros(len(members), dtype=int), None, ())
        if evaluable:
            split = find_subclones(
                cells.subset(members),
                cn_settings=settings.copy_number,
                settings=settings.clones,
                seed=seed,
            )
        for label in range(split.label.max() + 1):
            found.append((members[split.label == label], int(number), split.stability))

    def appearance(item: tuple[np.ndarray, int, float | None]) -> tuple:
        first = np.bincount(cells.library[item[0]], minlength=cells.n_libraries)
        totals = np.bincount(cells.library[malignant], minlength=cells.n_libraries)
        shares = first / np.maximum(totals, 1)
        return (*(-shares), -len(item[0]))

    found.sort(key=appearance)
    clones = []
    for letter, (members, number, stability) in zip(letters(len(found)), found, strict=True):
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
        clones.append(Clone(letter, members, number, arms, events, stability))
    return clones


def letters(n: int) -> list[str]:
    """Return A, B, … Z, AA, AB, …"""
    alphabet = string.ascii_uppercase
    double = [a + b for a in alphabet for b in alphabet]
    return [*alphabet, *double][:n]


def clone_rows(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    why: str,
    settings: CloneSettings,
) -> list[dict[str, Any]]:
    """Return the rows of `clones.tsv`: each clone in each library with malignant cells or not."""
    malignant = malignancy.malignancy == "malignant"
    n_malignant = np.bincount(cells.library[malignant], minlength=len(libraries))
    number = {library.sample_id: i for i, library in enumerate(libraries)}
    visits = in_time([Visit(lib.sample_id, lib.timepoint, lib.day) for lib in libraries])
    counts = {
        clone.clone_id: {
            name: count_clone(int((cells.library[clone.cells] == i).sum()), int(n_malignant[i]))
            for name, i in number.items()
        }
        for clone in clones
    }
    relapses = [v for v in visits if v.timepoint == "relapse" and n_malignant[number[v.sample_id]]]
    last = relapses[-1].sample_id if relapses else None
    returned = relapse_clone({c: counts[c][last] for c in counts}) if last else None
    before = [v.sample_id for v in visits if v.timepoint in BEFORE]
    rows = []
    for clone in clones:
        is_relapse = clone.clone_id == returned
        earlier = pooled([counts[clone.clone_id][name] for name in before])
        link, reason = ("", "")
        if is_relapse:
            ig_cells = np.flatnonzero(malignant & (malignancy.ig_clone == clone.ig_clone))
            same = sum(int((cells.library[ig_cells] == number[name]).sum()) for name in before)
            link, reason = relation(
                earlier,
                same_ig_before=same,
                ig_known=clone.ig_clone >= 0,
                new_share=settings.new_share,
            )
        for visit in visits:
            count = counts[clone.clone_id][visit.sample_id]
            if count.n_malignant == 0:
                continue
            rows.append(
                _row(patient, clone, visit, count, malignancy, why)
                | {
                    "fate": _fate(
                        visit, visits, counts[clone.clone_id], n_malignant, number, settings
                    ),
                    "is_relapse_clone": is_relapse and visit.timepoint == "relapse",
                    "relation": link if is_relapse and visit.timepoint == "relapse" else "",
                    "share_before": earlier.fraction,
                    "reason": "; ".join(filter(None, [reason, why])),
                }
            )
    return rows


def _fate(
    visit: Visit,
    visits: Sequence[Visit],
    counts: Mapping[str, CloneCount],
    n_malignant: np.ndarray,
    number: Mapping[str, int],
    settings: CloneSettings,
) -> str:
    """Return the fate from the first visit with malignant cells to this one, "" at the first."""
    shown = [v for v in visits if n_malignant[number[v.sample_id]]]
    if visit.sample_id == shown[0].sample_id:
        return ""
    return fate(
        counts[shown[0].sample_id],
        counts[visit.sample_id],
        new_share=settings.new_share,
        fold_change=settings.fold_change,
    )


def _row(
    patient: str, clone: Clone, visit: Visit, count: CloneCount, malignancy: Malignancy, why: str
) -> dict[str, Any]:
    ig = malignancy.ig_clones[clone.ig_clone] if clone.ig_clone >= 0 else None
    return {
        "patient_id": patient,
        "clone_id": clone.clone_id,
        "timepoint": visit.timepoint,
        "sample_id": visit.sample_id,
        "n_cells": count.n_cells,
        "fraction": count.fraction,
        "fraction_ci_low": count.low,
        "fraction_ci_high": count.high,
        "detection_limit": count.detection_limit,
        "n_malignant": count.n_malignant,
        "light_chain": ig.light_chain if ig else None,
        "v_gene": ig.v_gene if ig else None,
        "heavy_chain": ig.heavy if ig else None,
        "cnv_events": ";".join(clone.events),
        "cnv_evaluable": not why and clone.arms is not None,
        "stability": clone.stability,
    }


def arm_rows(patient: str, clone: Clone) -> list[dict[str, Any]]:
    """Return the rows of a clone in `copy_number.tsv`; none where it could not be evaluated."""
    if clone.arms is None:
        return []
    arms, to_log2 = clone.arms, 1 / np.log(2)
    events = {event[1:]: event for event in clone.events}
    return [
        {
            "patient_id": patient,
            "clone_id": clone.clone_id,
            "arm": arm,
            "n_genes": int(arms.n_genes[i]),
            "log2_ratio": arms.log_ratio[i] * to_log2,
            "log2_ratio_ci_low": (arms.log_ratio[i] - 1.96 * arms.error[i]) * to_log2,
            "log2_ratio_ci_high": (arms.log_ratio[i] + 1.96 * arms.error[i]) * to_log2,
            "probability_gain": arms.gain[i],
            "probability_loss": arms.loss[i],
            "event": events.get(arm, ""),
        }
        for i, arm in enumerate(arms.arms)
    ]


def summarise(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    why: str,
    per_donor: float | None,
    floor: float,
    panel: Panel,
) -> dict[str, Any]:
    """Return what the report says of the patient apart from the tables."""
    labels = malignancy.malignancy
    by_library = []
    for i, library in enumerate(libraries):
        here = labels[cells.library == i]
        n = int((here == "malignant").sum())
        by_library.append(
            {"sample_id": library.sample_id, "n_plasma": len(here), "n_malignant": n}
            | {"n_normal": int((here == "normal").sum())}
            | {"detection_limit": count_clone(0, n).detection_limit}
        )
    return {
        "patient_id": patient,
        "cnv_evaluable": not why,
        "cnv_reason": why,
        "healthy_events_per_donor": per_donor,
        "arm_floor": floor,
        "panel_donors": len(panel.donors),
        "panel_cells": int(panel.n_cells.sum()),
        "own_normal_cells": int(malignancy.panel.n_cells.sum() - panel.n_cells.sum()),
        "reasons": list(malignancy.reasons),
        "ig_clones": [clone.__dict__ for clone in malignancy.ig_clones],
        "clones": [{"clone_id": c.clone_id, "n_cells": len(c.cells)} for c in clones],
        "stability": {c.clone_id: c.stability for c in clones},
        "libraries": by_library,
        "limits": "Expression shows whole arms; a focal TNFRSF17 deletion cannot be seen.",
    }


def empty_result(
    patient: str, libraries: Sequence[PlasmaLibrary], why: str, reason: str
) -> dict[str, Any]:
    """Return the four files' content of a patient in whom nothing can be judged."""
    nothing = np.array([], dtype=object)
    texts = (
        "patient_id",
        "sample_id",
        "barcode",
        "light_chain",
        "malignancy",
        "clone_id",
        "light_v",
        "heavy_v",
    )
    numbers = ("malignancy_probability", "kappa_umi", "lambda_umi")
    odds = ("log_odds_immunoglobulin", "log_odds_programme")
    return {
        "cell_arms": dict.fromkeys(("patient_id", "sample_id", "barcode", "clone_id"), nothing),
        "cells": dict.fromkeys((*texts, "heavy_chain"), nothing)
        | {name: np.array([], dtype=float) for name in (*numbers, *odds)},
        "clones": [],
        "copy_number": [],
        "summary": {
            "patient_id": patient,
            "cnv_evaluable": False,
            "cnv_reason": why,
            "reasons": [reason],
            "clones": [],
            "ig_clones": [],
            "libraries": [{"sample_id": lib.sample_id, "n_plasma": 0} for lib in libraries],
        },
    }


def concatenate(calls: Sequence[Immunoglobulin]) -> Immunoglobulin:
    """Return the libraries' calls one after another."""
    arrays = {
        field.name: np.concatenate([getattr(call, field.name) for call in calls])
        for field in fields(Immunoglobulin)
        if field.name != "assessable"
    }
    return Immunoglobulin(**arrays, assessable=any(call.assessable for call in calls))
