"""Which barcodes are live cells, and whether a library as a whole can be trusted."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from relapsescope.intake.counts import Counts
from relapsescope.intake.genes import gene_classes
from relapsescope.libraries.settings import QualityLimits

# Scale of the median absolute deviation that makes it a normal distribution's standard deviation.
MAD_TO_SD = 1.4826
CLASS_OF_METRIC = {
    "pct_counts_mt": "mitochondrial",
    "pct_counts_ig": "immunoglobulin",
    "pct_counts_hb": "haemoglobin",
    "pct_counts_ribo": "ribosomal",
}


@dataclass(frozen=True)
class CellFlags:
    """What was decided of each barcode.

    Attributes
    ----------
    qc_pass
        (n_barcodes,) bool.
    qc_reason
        (n_barcodes,) str objects, "" where kept, else reasons joined by ";".
    thresholds
        Limits as applied to this library, by name, for the report's distributions:
        `total_counts_min`, `n_genes_min`, `pct_counts_mt_max`, and `ambient_share_max` (the
        share of a barcode's UMIs expected from ambient RNA).
    """

    qc_pass: np.ndarray
    qc_reason: np.ndarray
    thresholds: dict[str, float]


class LibraryVerdict(NamedTuple):
    """`pass`, `warn` or `fail`, and one sentence that says why, with its numbers."""

    verdict: str
    reason: str


def cell_metrics(counts: Counts) -> dict[str, np.ndarray]:
    """Return each barcode's quality metrics under scanpy's names and by its definitions.

    Returns
    -------
    `total_counts`, `n_genes_by_counts` (int64) and `pct_counts_mt`, `pct_counts_ig`,
    `pct_counts_hb`, `pct_counts_ribo` (float64, percent of `total_counts`), each (n_barcodes,).
    A percentage is NaN for a barcode without a UMI, as in `scanpy.pp.calculate_qc_metrics`, and
    `pct_counts_mt` where the matrix has no mitochondrial gene.
    """
    total = np.asarray(counts.matrix.sum(axis=1, dtype=np.int64)).ravel()
    metrics = {
        "total_counts": total,
        "n_genes_by_counts": np.diff(counts.matrix.indptr).astype(np.int64),
    }
    classes = gene_classes(counts.symbols)
    shares = np.column_stack([classes[name] for name in CLASS_OF_METRIC.values()])
    in_class = counts.matrix @ shares.astype(np.float64)
    for column, name in enumerate(CLASS_OF_METRIC):
        percent = np.full(total.size, np.nan)
        # A matrix without mitochondrial genes does not say that its cells have none.
        if name != "pct_counts_mt" or shares[:, column].any():
            np.divide(100.0 * in_class[:, column], total, out=percent, where=total > 0)
        metrics[name] = percent
    return metrics


def flag_cells(
    metrics: dict[str, np.ndarray],
    limits: QualityLimits,
    *,
    ambient_umi: np.ndarray | None = None,
) -> CellFlags:
    """Return which barcodes are kept, why the others are not, and the thresholds applied.

    Thresholds are `mad_factor` median absolute deviations from the library's median on the log
    scale (McCarthy et al., Bioinformatics 2017, doi:10.1093/bioinformatics/btw777), inside the
    limits of the config. They are taken from viable barcodes only (those that no hard limit
    removes), so that a library of which half is dying does not stretch its own thresholds.

    Barcodes that are mostly immunoglobulin or haemoglobin (plasma and late erythroid cells)
    have few genes by nature and are exempt from the library's own limit on genes. There is no
    upper limit of counts: large cells are judged by the doublet step, and a cap would remove
    the cells richest in the antigens (`docs/quality.md`).

    Parameters
    ----------
    metrics
        From `cell_metrics`.
    ambient_umi
        (n_barcodes,) UMIs expected from ambient RNA (`Ambient.per_cell`); with it, barcodes
        that hold little else are flagged `debris`.
    """
    total = metrics["total_counts"]
    genes = metrics["n_genes_by_counts"]
    mt = np.nan_to_num(metrics["pct_counts_mt"])
    dominated = np.nan_to_num(metrics["pct_counts_ig"] + metrics["pct_counts_hb"])
    enough = (total >= limits.min_counts) & (genes >= limits.min_genes)
    viable = enough & (mt <= limits.mt_cap_pct)

    mt_max = np.clip(_upper(mt[viable], limits), limits.mt_floor_pct, limits.mt_cap_pct)
    viable &= mt <= mt_max
    total_min = np.clip(
        _lower(total[viable], limits), limits.min_counts, limits.max_adaptive_counts
    )
    genes_min = np.clip(
        _lower(genes[viable & (dominated < limits.dominated_pct)], limits),
        limits.min_genes,
        limits.max_adaptive_genes,
    )
    few_genes = (genes < limits.min_genes) | (
        (genes < genes_min) & (dominated < limits.dominated_pct)
    )
    few_counts = total < total_min
    high_mt = mt > mt_max
    reasons = {
        "low_counts": few_counts,
        "low_genes": few_genes,
        "high_mitochondrial": high_mt,
        "dying": high_mt & (few_counts | few_genes | (mt > limits.mt_cap_pct)),
    }
    thresholds = {
        "total_counts_min": float(total_min),
        "n_genes_min": float(genes_min),
        "pct_counts_mt_max": float(mt_max),
    }
    if ambient_umi is not None:
        reasons["debris"] = ambient_umi > limits.debris_ambient_share * total
        thresholds["ambient_share_max"] = limits.debris_ambient_share
    return CellFlags(~np.logical_or.reduce([*reasons.values()]), _joined(reasons), thresholds)


def library_verdict(
    metrics: dict[str, np.ndarray],
    flags: CellFlags,
    limits: QualityLimits,
    *,
    ambient_fraction: float | None = None,
    ambient_fraction_low: float | None = None,
    umi_ceiling: bool = False,
    unfamiliar: str = "",
) -> LibraryVerdict:
    """Return a library's verdict and the sentence that explains it.

    Medians are those of all barcodes of the filtered matrix: a cell caller that let thousands
    of empty droplets through is part of what is judged.

    Parameters
    ----------
    metrics, flags
        From `cell_metrics` and `flag_cells` (doublets may be flagged already).
    ambient_fraction, ambient_fraction_low
        `Ambient.fraction` and its lower bound, NaN or None where unknown. A library fails only
        when the lower bound does, where it is given: an uncertain estimate is a warning.
    umi_ceiling
        From `umi_ceiling_suspected`.
    unfamiliar
        Why the cells are of no known type, empty where they are.
    """
    n, kept = flags.qc_pass.size, int(flags.qc_pass.sum())
    if n == 0:
        return LibraryVerdict("fail", "the matrix holds no barcode")
    counts = float(np.median(metrics["total_counts"]))
    mt = metrics["pct_counts_mt"][np.isfinite(metrics["pct_counts_mt"])]
    mt_median = float(np.median(mt)) if mt.size else np.nan
    unknown_mt = bool(np.any(metrics["total_counts"] > 0)) and not mt.size
    ambient = np.nan if ambient_fraction is None else float(ambient_fraction)
    surely_ambient = ambient if ambient_fraction_low is None else float(ambient_fraction_low)

    fail, warn = [], []

    def judge(failed: bool, warned: bool, sentence: str) -> None:
        (fail if failed else warn if warned else []).append(sentence)

    judge(
        counts < limits.fail_median_counts,
        counts < limits.warn_median_counts,
        f"the median barcode has {counts:,.0f} UMIs (below {limits.fail_median_counts:,.0f} is a "
        f"failed library, below {limits.warn_median_counts:,.0f} is shallow)",
    )
    judge(
        mt_median > limits.fail_median_mt_pct,
        mt_median > limits.warn_median_mt_pct,
        f"the median barcode is {mt_median:.1f} % mitochondrial: many cells were dying",
    )
    judge(
        False,
        unknown_mt,
        "the matrix has no mitochondrial genes: dying cells cannot be told from live ones",
    )
    judge(
        kept < limits.fail_min_cells or kept < limits.fail_pass_share * n,
        kept < limits.warn_pass_share * n,
        f"{kept:,} of {n:,} barcodes ({100 * kept / n:.0f} %) are usable cells",
    )
    judge(
        surely_ambient > limits.fail_ambient_fraction,
        ambient > limits.warn_ambient_fraction,
        f"{100 * ambient:.0f} % of the UMIs come from ambient RNA",
    )
    judge(False, bool(unfamiliar), unfamiliar)
    judge(False, umi_ceiling, "cells above a UMI ceiling seem to have been removed beforehand")
    if not fail:
        judge(False, kept < limits.warn_cells, f"only {kept:,} cells: rare types will be missing")
    verdict = "fail" if fail else "warn" if warn else "pass"
    if verdict == "pass":
        return LibraryVerdict(
            "pass",
            f"{kept:,} of {n:,} barcodes are usable cells, median {counts:,.0f} UMIs and "
            f"{mt_median:.1f} % mitochondrial",
        )
    return LibraryVerdict(verdict, "; ".join(dict.fromkeys(fail + warn)))


# Ceilings that people choose by hand: 1, 2, 2.5, 3, 4, 5, 6, 7, 7.5, 8, 9 × 10^3 to 10^5.
ROUND_CEILINGS = np.outer([1e3, 1e4, 1e5], [1, 2, 2.5, 3, 4, 5, 6, 7, 7.5, 8, 9]).ravel()


def umi_ceiling_suspected(
    total_counts: np.ndarray,
    *,
    min_counts: float = 200,
    min_cells: int = 500,
    cut_density: float = 0.15,
    round_cut_density: float = 0.06,
) -> bool:
    """Return whether the largest cells look cut off, as when cells over 10,000 UMIs were removed.

    The upper tail of log counts thins out before it ends: the density of the top 2 % of the
    cells is a few hundredths of that in the middle half or the upper shoulder (70 to 90 %),
    whichever is denser. Where the cells above a limit were removed, it stays at the height that
    the curve had at the limit. One standard error is taken off the density, so that small
    libraries are not accused; a largest cell within 1 % below a round number needs less.
    Measurements are in `docs/quality.md`.

    Parameters
    ----------
    total_counts
        (n_barcodes,) UMIs a barcode; those under `min_counts` are left out.
    min_cells
        With fewer barcodes the tail cannot be judged, and the answer is False.
    cut_density, round_cut_density
        Relative density of the top 2 % from which a cut is suspected.
    """
    logs = np.sort(np.log(total_counts[total_counts >= max(min_counts, 1)]))
    if logs.size < min_cells:
        return False
    top = max(10, logs.size // 50)
    span = logs[-1] - logs[-1 - top]
    lower, upper, shoulder, edge = np.quantile(logs, [0.25, 0.75, 0.7, 0.9])
    if upper <= lower or edge <= shoulder or span <= 0:
        return bool(upper > lower)
    usual = logs.size * max(0.5 / (upper - lower), 0.2 / (edge - shoulder))
    density = (top / span) * (1 - 1 / np.sqrt(top)) / usual
    largest = np.max(total_counts)
    at_round = np.any((largest <= ROUND_CEILINGS) & (largest >= 0.99 * ROUND_CEILINGS))
    return bool(density >= (round_cut_density if at_round else cut_density))


def _upper(values: np.ndarray, limits: QualityLimits) -> float:
    """Return the median plus `mad_factor` deviations on the log1p scale, inf for few values."""
    return _edge(values, limits, limits.mad_factor)


def _lower(values: np.ndarray, limits: QualityLimits) -> float:
    """Return the median minus `mad_factor` deviations on the log1p scale, -inf for few values."""
    return _edge(values, limits, -limits.mad_factor)


def _edge(values: np.ndarray, limits: QualityLimits, factor: float) -> float:
    if values.size < limits.min_cells_for_mad:
        return np.inf * np.sign(factor)
    logs = np.log1p(values)
    median = np.median(logs)
    side = np.abs(logs[(logs - median) * factor >= 0] - median)
    return float(np.expm1(median + factor * MAD_TO_SD * np.median(side)))


def _joined(reasons: dict[str, np.ndarray]) -> np.ndarray:
    """Return each barcode's reasons joined by ";" as an object array."""
    pattern = np.zeros(next(iter(reasons.values())).size, dtype=np.int64)
    for bit, flag in enumerate(reasons.values()):
        pattern |= flag.astype(np.int64) << bit
    names = [
        ";".join(name for bit, name in enumerate(reasons) if code >> bit & 1)
        for code in range(1 << len(reasons))
    ]
    return np.array(names, dtype=object)[pattern]
