"""One library from its matrix to flagged, typed cells: everything that needs no other library."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.intake.matrix import Counts, write_fragment
from relapsescope.intake.privacy import without_folders
from relapsescope.libraries.ambient import Ambient, estimate_ambient
from relapsescope.libraries.b_cell_light_chains import (
    LightChainRatio,
    light_chain_ratio,
    restricted,
)
from relapsescope.libraries.doublets import DoubletCalls, call_doublets
from relapsescope.libraries.gene_ranks import GeneRanks, rank_genes
from relapsescope.libraries.library_counts import LibraryCounts, no_counts, read_library_counts
from relapsescope.libraries.lineage import LineageCalls, call_lineages
from relapsescope.libraries.quality import (
    CellFlags,
    cell_metrics,
    flag_cells,
    library_verdict,
    umi_ceiling_suspected,
)
from relapsescope.libraries.settings import (
    AmbientLimits,
    CellCallingLimits,
    DoubletLimits,
    LightChainLimits,
    LineageLimits,
    QualityLimits,
    RankSettings,
)
from relapsescope.libraries.type_genes import share_columns
from relapsescope.settings import settings_of
from relapsescope.tables import write_json, write_parquet
from relapsescope.vocabulary import IMMUNE_LINEAGES, LINEAGES

ANXA1 = "ENSG00000135046"


def process_library(
    row: Mapping[str, Any],
    *,
    counts_path: str,
    cells_path: str,
    genes_path: str,
    summary_path: str,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Read, judge and type one library, write its four files, and return its summary.

    A matrix that turns out to be unreadable, or breaks a step, makes the library's verdict
    `fail`, with the reason; the other libraries go on. Lack of memory is no such verdict: a
    cluster sends the job again with more.

    Parameters
    ----------
    row
        The sheet's row: `sample_id`, `matrix`, `raw_matrix` and so on.
    settings
        The configuration's `seed` and its sections `cell_calling`, `quality`, `ambient`,
        `doublets`, `lineage`, `b_cell_light_chains` and `gene_ranks`.
    """
    calling = settings_of(CellCallingLimits, settings["cell_calling"], name="cell_calling")
    library = read_library_counts(row, limits=calling, seed=settings["seed"])
    try:
        cells, genes, summary = assess(
            library.counts, library.raw, settings=settings, other_cells=library.other_cells
        )
    except (InputProblem, MemoryError):
        raise
    except Exception as error:
        # Whatever is wrong with one library, the others go on; the log has the traceback.
        traceback.print_exc()
        why = without_folders(
            f"it could not be processed ({type(error).__name__}: {error})", Path(_first(row))
        )
        library = LibraryCounts(no_counts(), unreadable=why)
        cells, genes, summary = assess(library.counts, None, settings=settings)
    summary |= _judged_by_files(summary, library, judged_genes(settings))
    write_fragment(Path(counts_path), library.counts)
    write_parquet(Path(cells_path), cells)
    write_parquet(Path(genes_path), genes)
    write_json(Path(summary_path), summary | {"sample_id": row["sample_id"]})
    return summary | {"sample_id": row["sample_id"]}


def _judged_by_files(
    summary: Mapping[str, Any], library: LibraryCounts, judged: Sequence[str]
) -> dict[str, Any]:
    """Return the verdict, reason and notes of a library with what its files say against it.

    Of the genes that only the raw matrix has those are named that statements are made of.
    """
    left_out = sorted(set(judged).intersection(library.left_out))
    notes = [*library.counts.notes, *library.notes, *summary["notes"], *library.warnings]
    if left_out:
        notes.append(
            f"{', '.join(left_out)}: no row in the matrix though raw_matrix has one: left out of "
            "the matrix before, so that nothing can be told of it; give the matrix with all genes"
        )
    told: dict[str, Any] = {
        "notes": notes,
        "undetected_genes_removed": library.undetected_removed,
        "genes_left_out": left_out,
    }
    if library.unreadable:
        return told | {"verdict": "fail", "reason": library.unreadable}
    if library.warnings:
        reasons = [] if summary["verdict"] == "pass" else [summary["reason"]]
        verdict = "warn" if summary["verdict"] == "pass" else summary["verdict"]
        told |= {"verdict": verdict, "reason": "; ".join([*reasons, *library.warnings])}
    if library.remarks:
        reasons = [told.get("reason", summary["reason"]), *library.remarks]
        told["reason"] = "; ".join(filter(None, reasons))
    return told


def _first(row: Mapping[str, Any]) -> str:
    """Return the path of the library's counts."""
    return row["matrix"] or row["raw_matrix"]


def assess(
    counts: Counts,
    raw: Counts | None,
    *,
    settings: Mapping[str, Any],
    other_cells: Sequence[str] = (),
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]:
    """Return the columns of the cells, the columns of the genes, and the library's summary."""
    seed = settings["seed"]
    limits = settings_of(QualityLimits, settings["quality"], name="quality")
    metrics = cell_metrics(counts)
    first = flag_cells(metrics, limits)
    ambient = estimate_ambient(
        counts,
        raw=raw,
        other_cells=other_cells,
        use=first.qc_pass,
        limits=settings_of(AmbientLimits, settings["ambient"], name="ambient"),
        seed=seed,
    )
    flags = flag_cells(metrics, limits, ambient_umi=ambient.per_cell)
    calls = call_lineages(
        counts,
        use=flags.qc_pass,
        ambient=ambient,
        limits=settings_of(LineageLimits, settings["lineage"], name="lineage"),
        judged=judged_genes(settings),
        seed=seed,
    )
    doublets = call_doublets(
        counts,
        use=flags.qc_pass,
        lineage_probability=calls.posterior,
        lineages=LINEAGES,
        second_evidence=calls.second_evidence,
        ambient=ambient,
        limits=settings_of(DoubletLimits, settings["doublets"], name="doublets"),
        seed=seed,
    )
    doublet = flags.qc_pass & (doublets.predicted | (calls.contradiction != ""))
    singlets = _without_doublets(flags, doublet)
    ceiling = umi_ceiling_suspected(metrics["total_counts"])
    verdict = library_verdict(
        metrics,
        singlets,
        limits,
        ambient_fraction=ambient.fraction,
        ambient_fraction_low=ambient.fraction_low,
        umi_ceiling=ceiling,
        unfamiliar=calls.warning,
    )
    cells = cell_columns(
        counts, metrics, singlets, ambient, calls, doublets=doublets, doublet=doublet
    )
    if verdict.verdict == "fail":
        set_aside(cells)
    section = "b_cell_light_chains"
    light_chains = settings_of(LightChainLimits, settings[section], name=section)
    b_cells = singlets.qc_pass & (calls.lineage == "B")
    of_b = light_chain_ratio(counts, b_cells, ambient, light_chains)
    b_cell_note = restricted(of_b, light_chains)
    immune = cells["qc_pass"] & np.isin(calls.lineage, IMMUNE_LINEAGES)
    ranking = settings_of(RankSettings, settings["gene_ranks"], name="gene_ranks")
    ranks = rank_genes(counts, immune, spans=ranking.loess_spans)
    summary = {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "n_pass": int(cells["qc_pass"].sum()),
        "n_doublets": int(doublet.sum()),
        "n_plasma_set_aside": int(((calls.lineage == "Plasma") & ~cells["qc_pass"]).sum()),
        "umi_ceiling_suspected": ceiling,
        "gene_trend": ranks.trend,
        **light_chain_numbers(of_b),
        "notes": [*ambient.notes, *calls.notes, *doublets.notes, *filter(None, [b_cell_note])],
        **_type_shares(calls),
        **library_numbers(counts, metrics, singlets, ambient, doublets),
    }
    return cells, gene_columns(counts, ambient, ranks), summary


def _without_doublets(flags: CellFlags, doublet: np.ndarray) -> CellFlags:
    """Return the flags with the reason `doublet` where a barcode is one."""
    reason = np.where(doublet, "doublet", flags.qc_reason).astype(object)
    return CellFlags(flags.qc_pass & ~doublet, reason, flags.thresholds)


def gene_columns(counts: Counts, ambient: Ambient, ranks: GeneRanks) -> dict[str, np.ndarray]:
    """Return the columns of the library's `genes.parquet`, one value a gene."""
    return {
        "gene_id": counts.gene_ids,
        "symbol": counts.symbols,
        "ambient_profile": ambient.profile,
        "mean": ranks.mean,
        "variance": ranks.variance,
        "hvg_rank": ranks.rank,
    }


def _type_shares(calls: LineageCalls) -> dict[str, float | None]:
    """Return the share of each rare type among T cells, None where it was not made."""
    return {
        column: getattr(calls.type_shares[name], part) if name in calls.type_shares else None
        for column, (name, part) in share_columns().items()
    }


def light_chain_numbers(of_b: LightChainRatio) -> dict[str, Any]:
    """Return what the library's summary says of its B cells' light chains."""
    return {
        "b_cells_kappa": of_b.kappa,
        "b_cells_lambda": of_b.lambda_,
        "b_cell_light_chain_ratio": finite(of_b.ratio),
        "b_cell_light_chain_ratio_ci_low": of_b.low,
        "b_cell_light_chain_ratio_ci_high": finite(of_b.high),
    }


def cell_columns(
    counts: Counts,
    metrics: Mapping[str, np.ndarray],
    singlets: CellFlags,
    ambient: Ambient,
    calls: LineageCalls,
    *,
    doublets: DoubletCalls,
    doublet: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the columns of the library's `cells.parquet`, one value a barcode."""
    return {
        "barcode": counts.barcodes,
        **metrics,
        "ambient_umi": ambient.per_cell,
        "doublet_score": doublets.score,
        "predicted_doublet": doublet,
        "qc_pass": singlets.qc_pass,
        "qc_reason": singlets.qc_reason,
        "lineage": calls.lineage,
        "cell_type": calls.cell_type,
        "cell_type_probability": calls.probability,
        "contradiction": calls.contradiction,
        "anxa1_umi": gene_umi(counts, ANXA1),
    }


def library_numbers(
    counts: Counts,
    metrics: Mapping[str, np.ndarray],
    flags: CellFlags,
    ambient: Ambient,
    doublets: DoubletCalls,
) -> dict[str, Any]:
    """Return what the report says of a library beside its verdict."""
    return {
        "n_barcodes": len(counts.barcodes),
        "ambient_fraction": ambient.fraction,
        "ambient_fraction_low": ambient.fraction_low,
        "ambient_fraction_high": ambient.fraction_high,
        "ambient_source": ambient.source,
        "median_total_counts": median(metrics["total_counts"]),
        "median_pct_counts_mt": median(metrics["pct_counts_mt"]),
        "doublet_rate_expected": doublets.expected_rate,
        "thresholds": {
            "total_counts": {"low": flags.thresholds["total_counts_min"]},
            "n_genes_by_counts": {"low": flags.thresholds["n_genes_min"]},
            "pct_counts_mt": {"high": flags.thresholds["pct_counts_mt_max"]},
            "doublet_score": {"high": doublets.threshold},
        },
        "features": {name: list(block.names) for name, block in counts.blocks.items()},
    }


def set_aside(cells: dict[str, np.ndarray]) -> None:
    """Flag every cell of a failed library: it takes part in no later step."""
    reasons = cells["qc_reason"]
    cells["qc_reason"] = np.array(
        [f"{reason};failed_library" if reason else "failed_library" for reason in reasons],
        dtype=object,
    )
    cells["qc_pass"] = np.zeros(len(reasons), dtype=bool)


def gene_umi(counts: Counts, gene_id: str) -> np.ndarray:
    """Return a gene's UMIs in each barcode; where the matrix lacks the gene, NaN."""
    column = np.flatnonzero(counts.gene_ids == gene_id)
    if not column.size:
        return np.full(len(counts.barcodes), np.nan)
    return counts.matrix[:, column[0]].toarray().ravel().astype(float)


def finite(value: float | None) -> float | None:
    """Return a number, None where it has no end."""
    return value if value is not None and np.isfinite(value) else None


def median(values: np.ndarray) -> float | None:
    """Return the median of the finite values, None where there is none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None
