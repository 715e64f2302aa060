"""A library's ambient RNA: its profile, how much of it each droplet holds, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.intake.barcodes import match_barcodes
from relapsescope.intake.counts import Counts
from relapsescope.intake.genes import gene_classes
from relapsescope.libraries.ambient_floor import expression_floor
from relapsescope.libraries.settings import AmbientLimits

Z_95 = 1.96


@dataclass(frozen=True)
class Ambient:
    """A library's ambient RNA.

    Attributes
    ----------
    profile
        (n_genes,) share of each gene, sums to 1, aligned with the counts' genes.
    fraction, fraction_low, fraction_high
        Share of all UMIs in the library's barcodes that came from ambient RNA, with a 95 %
        interval; NaN for a library without UMIs.
    per_cell
        (n_barcodes,) expected ambient UMIs of each barcode, at most its total.
    source
        `raw_matrix` (profile and amount of empty droplets) or `estimated` (from the cells).
    notes
        What limits the estimate, one sentence each, for the report.
    """

    profile: np.ndarray
    fraction: float
    fraction_low: float
    fraction_high: float
    per_cell: np.ndarray
    source: str
    notes: tuple[str, ...]


def estimate_ambient(
    counts: Counts,
    *,
    raw: Counts | None,
    use: np.ndarray,
    limits: AmbientLimits,
    seed: int,
    other_cells: Sequence[str] = (),
) -> Ambient:
    """Return a library's ambient RNA from its empty droplets, or from its cells where none.

    A droplet takes up ambient RNA whether or not it holds a cell, so that the mean empty
    droplet gives the amount. Without empty droplets the amount comes from what cells hold of
    genes that they do not express (`ambient_floor.expression_floor`), drawn towards
    `prior_fraction` where few genes are informative, e.g. in a sorted library of one cell type.

    Parameters
    ----------
    raw
        The unfiltered counterpart; it includes the filtered barcodes, which are left out.
    use
        (n_barcodes,) bool, the live cells; debris and dying cells would pass for clusters.
    other_cells
        Barcodes that are other libraries' cells, where several share one raw matrix.
    """
    total = np.asarray(counts.matrix.sum(axis=1, dtype=np.int64)).ravel()
    if total.sum() == 0:
        n_genes = counts.matrix.shape[1]
        profile = np.full(n_genes, 1 / max(n_genes, 1))
        note = "the library holds no UMI, so its ambient RNA is unknown"
        nothing = np.zeros(total.size)
        return Ambient(profile, np.nan, np.nan, np.nan, nothing, "estimated", (note,))
    notes = ("no empty droplets were given: the ambient RNA is estimated from the cells",)
    if raw is not None:
        droplets = _empty_droplets(counts, raw, limits, other_cells)
        if droplets is not None:
            profile, amount = droplets
            return _ambient(total, profile, amount, limits.raw_log_sd, "raw_matrix", notes=())
        notes = (
            f"the raw matrix has fewer than {limits.min_empty_droplets} empty droplets; the "
            "ambient RNA is estimated from the cells",
        )
    return _from_cells(counts, total, use, limits=limits, seed=seed, notes=notes)


def _empty_droplets(
    counts: Counts, raw: Counts, limits: AmbientLimits, other_cells: Sequence[str]
) -> tuple[np.ndarray, float] | None:
    """Return the profile and mean UMIs of the empty droplets, None where there are too few.

    A raw matrix also lists hundreds of thousands of barcodes with a few UMIs that were never in
    a droplet, and cells that are not in the filtered one. Of the barcodes with no more UMIs than
    the median cell, weighted by their UMIs, the mode lies in the empty droplets; those within
    `empty_window` fold of it are taken.
    """
    columns = _aligned(counts.gene_ids, raw.gene_ids)
    total = np.asarray(raw.matrix.sum(axis=1, dtype=np.int64)).ravel()
    outside = np.ones(len(raw.barcodes), dtype=bool)
    for cells in (counts.barcodes, other_cells):
        place = match_barcodes(cells, raw.barcodes).place
        outside[place[place >= 0]] = False
    # Cells that were left out of the filtered matrix for their size hold more than empty droplets
    # do together, where they are many.
    usual = np.median(np.asarray(counts.matrix.sum(axis=1, dtype=np.int64)))
    empty = np.flatnonzero(outside & (total > 0) & (total <= usual))
    if empty.size < limits.min_empty_droplets:
        return None
    logs = np.log(total[empty])
    bins = np.arange(-0.05, max(logs.max(), 1.0) + 1.0, 0.1)
    weight = np.histogram(logs, bins, weights=total[empty])[0]
    smooth = np.convolve(weight, np.ones(7) / 7, mode="same")
    mode = bins[np.argmax(smooth)] + 0.05
    window = np.log(limits.empty_window)
    taken = empty[np.abs(logs - mode) <= window]
    if taken.size < limits.min_empty_droplets:
        return None
    sums = np.asarray(raw.matrix[taken].sum(axis=0)).ravel().astype(float)
    profile = np.where(columns >= 0, sums[np.maximum(columns, 0)], 0.0)
    if profile.sum() == 0:
        return None
    return profile / profile.sum(), float(total[taken].mean())


def _from_cells(
    counts: Counts,
    total: np.ndarray,
    use: np.ndarray,
    *,
    limits: AmbientLimits,
    seed: int,
    notes: tuple[str, ...],
) -> Ambient:
    cells = np.flatnonzero(use)
    prior = limits.prior_fraction * float(np.median(total[cells] if cells.size else total))
    pooled = np.asarray(counts.matrix.sum(axis=0)).ravel().astype(float)
    profile, measured, n_informative, contrast = pooled / pooled.sum(), np.nan, 0, np.nan
    if cells.size >= limits.min_cells:
        floor = expression_floor(
            counts.matrix[cells],
            always_foreign=gene_classes(counts.symbols)["haemoglobin"],
            max_cells=limits.max_cells,
            n_groups=limits.n_groups,
            min_group=limits.min_group,
            tolerance=limits.tolerance,
            seed=seed,
        )
        profile, measured = floor.profile, floor.umi_per_droplet
        n_informative, contrast = floor.n_informative, floor.contrast
        # The smallest cells hold at least their ambient RNA.
        measured = min(measured, float(np.quantile(total[cells], 0.05)))
    amount, log_sd = prior, limits.prior_log_sd
    if np.isfinite(measured) and measured > 0:
        # Few genes are noisy, and genes little higher elsewhere may be transcribed here.
        noise = limits.floor_log_sd**2 + 3 / n_informative + (3 / contrast) ** 2
        trust = limits.prior_log_sd**2 / (limits.prior_log_sd**2 + noise)
        amount = float(np.exp(trust * np.log(measured) + (1 - trust) * np.log(prior)))
        log_sd = float(np.sqrt(trust * noise))
    if n_informative < 30:
        notes += (
            f"only {n_informative} genes differ enough between these cells to show ambient RNA: "
            "its amount is uncertain",
        )
    return _ambient(total, profile, amount, log_sd, "estimated", notes=notes)


def _ambient(
    total: np.ndarray,
    profile: np.ndarray,
    amount: float,
    log_sd: float,
    source: str,
    *,
    notes: tuple[str, ...],
) -> Ambient:
    """Return the library's ambient RNA for an amount of UMIs a droplet with its log error."""
    low, middle, high = (
        float(np.minimum(total, amount * np.exp(z * log_sd)).sum() / total.sum())
        for z in (-Z_95, 0.0, Z_95)
    )
    per_cell = np.minimum(total, amount).astype(float)
    return Ambient(profile, middle, low, high, per_cell, source, notes)


def _aligned(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return for each wanted gene its column among the given, -1 where it is missing."""
    column = {gene: index for index, gene in enumerate(given)}
    return np.fromiter((column.get(gene, -1) for gene in wanted), np.int64, len(wanted))
