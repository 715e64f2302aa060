"""The panel of normal plasma cells that patients are compared with, and what a library adds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.clones.ig_clones import Usage, find_ig_clones, usage_of
from relapsescope.clones.immunoglobulin import KAPPA, LAMBDA, Immunoglobulin, call_immunoglobulin
from relapsescope.clones.normal_panel import Panel, write_panel
from relapsescope.clones.plasma_cells import (
    PlasmaLibrary,
    common_genes,
    gene_space,
    library_files,
    read_plasma_library,
)
from relapsescope.clones.settings import ImmunoglobulinSettings
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.settings import settings_of
from relapsescope.tables import write_json

# Spread of a gene between libraries where it cannot be estimated (natural log).
DEFAULT_SPREAD = 0.15
MIN_EXPECTED = 100


def build_normal_plasma(
    rows: Sequence[Mapping[str, Any]],
    *,
    counts_paths: Sequence[str],
    cells_paths: Sequence[str],
    genes_paths: Sequence[str],
    summary_paths: Sequence[str],
    panel_path: str,
    summary_path: str,
    settings: Mapping[str, Any],
) -> Panel:
    """Make the panel from the healthy and untreated libraries among `rows`; write and return it.

    All plasma cells of healthy donors are used. Of an untreated patient only those of the
    light-chain class that the clone does not have, and only where their V genes show no second
    clone. Without any such library the panel is empty and says so in `summary_path`.

    Parameters
    ----------
    settings
        The sections `immunoglobulin` and `copy_number` of the configuration, and the judged genes
        (`judged_genes`).
    """
    wanted = set(settings["copy_number"]["panel_timepoints"])
    ig = settings_of(ImmunoglobulinSettings, settings["immunoglobulin"], name="immunoglobulin")
    files = library_files(rows, counts_paths, cells_paths, genes_paths, summary_paths)
    everyone = files
    files = [library for library in everyone if library.row["timepoint"] in wanted]
    gene_ids = common_genes(files or everyone)
    libraries = [read_plasma_library(library, gene_ids) for library in files]
    space = gene_space(gene_ids, judged=judged_genes(settings))
    used = np.flatnonzero(space.used)
    chosen, notes = [], []
    for library in libraries:
        normal, calls, reason = normal_cells(library, space.symbols, settings=ig)
        chosen.append((library.over(used), normal, calls))
        notes.append(
            {"sample_id": library.sample_id, "patient_id": library.patient_id}
            | {"n_plasma": len(normal), "n_used": int(normal.sum()), "reason": reason}
        )
    panel = make_panel(gene_ids[used], chosen)
    write_panel(Path(panel_path), panel)
    summary = {
        "n_donors": len(panel.donors),
        "n_cells": int(panel.n_cells.sum()),
        "libraries": notes,
        "reason": "" if len(panel.donors) else "no healthy or untreated library with plasma cells",
    }
    write_json(Path(summary_path), summary)
    return panel


def normal_cells(
    library: PlasmaLibrary, symbols: np.ndarray, *, settings: ImmunoglobulinSettings
) -> tuple[np.ndarray, Immunoglobulin, str]:
    """Return which plasma cells of a library are safely normal, their calls, and why those."""
    calls = call_immunoglobulin(
        library.counts,
        symbols,
        ambient_umi=library.ambient_umi,
        ambient=library.ambient,
        settings=settings,
    )
    n = len(library.barcodes)
    if library.timepoint == "healthy":
        return np.ones(n, dtype=bool), calls, "healthy donor: all plasma cells"
    normal, reason = opposite_class(calls, usage=Usage({}), settings=settings)
    return normal, calls, reason


def opposite_class(
    calls: Immunoglobulin, *, usage: Usage, settings: ImmunoglobulinSettings
) -> tuple[np.ndarray, str]:
    """Return the plasma cells of the class that a patient's single clone does not have."""
    clones = find_ig_clones(
        calls.light_chain,
        calls.light_v,
        calls.heavy_v,
        calls.heavy,
        usage=usage,
        settings=settings,
    )
    nothing = np.zeros(len(calls.light_chain), dtype=bool)
    classes = {clone.light_chain for clone in clones}
    if not clones:
        return nothing, "no immunoglobulin clone: normal plasma cells cannot be told apart"
    if len(classes) > 1:
        return nothing, "clones of both light-chain classes"
    other = LAMBDA if classes == {KAPPA} else KAPPA
    normal = calls.light_chain == other
    normal &= ~np.isin(calls.heavy_v.astype(str), [str(c.heavy_v) for c in clones if c.heavy_v])
    return normal, f"{other} plasma cells of a patient with a clone of the other class"


def make_panel(
    gene_ids: np.ndarray, chosen: Sequence[tuple[PlasmaLibrary, np.ndarray, Immunoglobulin]]
) -> Panel:
    """Return the panel of the chosen cells; libraries' effects are divided out by their others."""
    types = np.array(sorted({kind for library, _, _ in chosen for kind in library.background}))
    factors = [np.ones(len(gene_ids)) for _ in chosen]
    background = np.zeros((len(types), len(gene_ids)))
    for _ in range(2):
        background = _background_rates(
            types, len(gene_ids), [library for library, _, _ in chosen], factors
        )
        factors = [library_effects(lib, types, background)[0] for lib, _, _ in chosen]
    donors = sorted({lib.patient_id for lib, normal, _ in chosen if normal.any()})
    counts, exposure = np.zeros((2, len(donors), len(gene_ids)))
    n_cells, usage = np.zeros(len(donors), dtype=int), {}
    for i, donor in enumerate(donors):
        calls = []
        for (lib, normal, ig), factor in zip(chosen, factors, strict=True):
            if lib.patient_id != donor or not normal.any():
                continue
            own = own_counts(lib, normal)
            counts[i] += own
            exposure[i] += own.sum() * factor
            n_cells[i] += int(normal.sum())
            calls.append(_rows(ig, normal))
        usage[donor] = usage_of(calls).counts
    for _ in range(3):
        rates = counts.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-12)
        scale = counts.sum(axis=1) / np.maximum(exposure @ rates, 1e-12)
        exposure *= scale[:, None]
    return Panel(
        gene_ids,
        np.array(donors, dtype=object),
        n_cells,
        counts,
        exposure,
        types,
        background,
        usage,
    )


def with_own_background(panel: Panel, libraries: Sequence[PlasmaLibrary]) -> Panel:
    """Return a panel without donors over what the patient's own other cells show.

    Libraries' effects are then relative to the patient's libraries together, which is all that a
    comparison between them needs.
    """
    n_genes = len(panel.gene_ids)
    types = np.array(sorted({kind for library in libraries for kind in library.background}))
    ones = [np.ones(n_genes) for _ in libraries]
    background = _background_rates(types, n_genes, libraries, ones)
    return dataclasses.replace(panel, types=types, background=background)


def own_counts(library: PlasmaLibrary, cells: np.ndarray) -> np.ndarray:
    """Return (n_genes,) UMIs of the cells less what ambient RNA is expected to have given."""
    seen = np.asarray(library.counts[np.flatnonzero(cells)].sum(axis=0), dtype=float).ravel()
    return np.maximum(seen - library.ambient_umi[cells].sum() * library.ambient, 0.0)


def library_effects(
    library: PlasmaLibrary, types: np.ndarray, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_genes,) factors of a library against the panel's, and their relative variances.

    Read from the cells that are no plasma cells, each against its own type in the panel, as
    the mean of a gamma posterior whose prior spread is estimated from well-counted genes.
    """
    observed, expected = np.zeros((2, len(library.ambient)))
    for kind, rates in zip(types, background, strict=True):
        if kind not in library.background or not rates.sum():
            continue
        soup = library.background_ambient[kind] * library.ambient
        own = np.maximum(library.background[kind] - soup, 0.0)
        observed += own
        expected += own.sum() * rates
    dense = expected >= MIN_EXPECTED
    spread = DEFAULT_SPREAD**2
    if dense.sum() >= 200:
        squares = (observed[dense] / expected[dense] - 1) ** 2
        spread = max(float(np.median(squares)) / 0.455 - np.mean(1 / expected[dense]), 0.05**2)
    prior = 1 / spread
    return (observed + prior) / (expected + prior), 1 / (expected + prior)


def _background_rates(
    types: np.ndarray,
    n_genes: int,
    libraries: Sequence[PlasmaLibrary],
    factors: Sequence[np.ndarray],
) -> np.ndarray:
    """Return (n_types, n_genes) rates of the other cells, libraries' effects divided out."""
    rates = np.zeros((len(types), n_genes))
    for i, kind in enumerate(types):
        counts, exposure = np.zeros((2, rates.shape[1]))
        for library, factor in zip(libraries, factors, strict=True):
            if kind in library.background:
                soup = library.background_ambient[kind] * library.ambient
                own = np.maximum(library.background[kind] - soup, 0.0)
                counts += own
                exposure += own.sum() * factor
        rates[i] = counts / np.maximum(exposure, 1e-12)
        rates[i] /= max(rates[i].sum(), 1e-300)
    return rates


def _rows(calls: Immunoglobulin, chosen: np.ndarray) -> Immunoglobulin:
    values = {
        field.name: getattr(calls, field.name)[chosen]
        for field in dataclasses.fields(calls)
        if field.name != "assessable"
    }
    return Immunoglobulin(**values, assessable=calls.assessable)
