"""Gene sets in one patient's changes and over patients: the rows of `enrichment.tsv`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relapsescope.programmes.changes import LOG2
from relapsescope.programmes.enrichment import SetScore, mean_change, over_patients, rank_sets
from relapsescope.programmes.gene_sets import NamedSet
from relapsescope.programmes.paired_test import PairedTest
from relapsescope.programmes.pairs import Compared
from relapsescope.programmes.settings import (
    COHORT,
    DESCRIPTIVE,
    NOT_ASSESSABLE,
    PATIENT,
    TESTED,
    ProgrammeSettings,
)

SET_COLUMNS = (
    *("comparison", "patient_id", "clone_id", "gene_set", "status", "reason", "n_genes"),
    *("es", "nes", "random_set_share", "random_set_share_error", "fdr", "fdr_error"),
    "leading_edge",
    *("mean_log2_change", "reference_mean_log2_change", "n_patients"),
    *("patients_ci_low", "patients_ci_high", "patients_p_value", "source"),
)


def patient_sets(
    comparison: Compared, sets: Sequence[NamedSet], settings: ProgrammeSettings, seed: int
) -> list[dict[str, Any]]:
    """Return each set's place in one patient's ranking, and its mean change: descriptive."""
    estimates = comparison.changes
    use = estimates.aside == ""
    scores = _ranked(estimates.genes[use], estimates.score[use], sets, settings, seed)
    rows = []
    for gene_set in sets:
        row = {
            "comparison": PATIENT,
            "patient_id": comparison.pair.patient_id,
            "clone_id": comparison.pair.clone_id,
            "n_patients": 1,
            "mean_log2_change": _set_change(comparison, gene_set),
            "reference_mean_log2_change": _reference_change(comparison, gene_set),
        }
        rows.append(row | _set_row(gene_set, scores, estimates.genes[use], settings, DESCRIPTIVE))
    return rows


def cohort_sets(
    test: PairedTest,
    compared: Sequence[Compared],
    sets: Sequence[NamedSet],
    settings: ProgrammeSettings,
    seed: int,
) -> list[dict[str, Any]]:
    """Return each set's place in the test's ranking, and its change over patients."""
    use = np.isfinite(test.statistic)
    scores = _ranked(test.genes[use], test.statistic[use], sets, settings, seed)
    rows = []
    for gene_set in sets:
        own: dict[str, list[float]] = {}
        reference: dict[str, list[float]] = {}
        for comparison in compared:
            if comparison.pair.same_tumour:
                own.setdefault(comparison.pair.patient_id, []).append(
                    _set_change(comparison, gene_set)
                )
                reference.setdefault(comparison.pair.patient_id, []).append(
                    _reference_change(comparison, gene_set)
                )
        whole = over_patients({patient: float(np.mean(v)) for patient, v in own.items()})
        beside = over_patients({patient: float(np.mean(v)) for patient, v in reference.items()})
        row = {
            "comparison": COHORT,
            "n_patients": whole.n_patients,
            "mean_log2_change": whole.mean,
            "reference_mean_log2_change": beside.mean,
            "patients_ci_low": whole.low,
            "patients_ci_high": whole.high,
            "patients_p_value": whole.p_value,
        }
        rows.append(row | _set_row(gene_set, scores, test.genes[use], settings, TESTED))
    return rows


def _ranked(
    genes: np.ndarray,
    scores: np.ndarray,
    sets: Sequence[NamedSet],
    settings: ProgrammeSettings,
    seed: int,
) -> dict[str, SetScore]:
    return rank_sets(
        genes,
        scores,
        sets,
        min_genes=settings.min_set_genes,
        max_genes=settings.max_set_genes,
        permutations=settings.permutations,
        seed=seed,
    )


def _set_row(
    gene_set: NamedSet,
    scores: Mapping[str, SetScore],
    genes: np.ndarray,
    settings: ProgrammeSettings,
    status: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {"gene_set": gene_set.name, "source": gene_set.source}
    score = scores.get(gene_set.name)
    if score is None:
        inside = int(np.isin(genes, list(gene_set.symbols)).sum())
        reason = (
            f"{inside} of its {len(gene_set.symbols)} genes are compared; from "
            f"{settings.min_set_genes} to {settings.max_set_genes} are needed"
        )
        return row | {"status": NOT_ASSESSABLE, "reason": reason, "n_genes": inside}
    return row | {
        "status": status,
        "n_genes": score.n_genes,
        "es": score.es,
        "nes": score.nes,
        "random_set_share": score.random_share,
        "random_set_share_error": score.random_share_error,
        "fdr": score.fdr,
        "fdr_error": score.fdr_error,
        "leading_edge": ";".join(score.leading_edge),
    }


def _set_change(comparison: Compared, gene_set: NamedSet) -> float:
    estimates = comparison.changes
    return mean_change(
        estimates.genes, np.where(estimates.aside == "", estimates.did, np.nan), gene_set.symbols
    )


def _reference_change(comparison: Compared, gene_set: NamedSet) -> float:
    """Return the set's mean change in the reference lineages of the same libraries, pooled."""
    estimates, pairs = comparison.changes, comparison.pair.references.values()
    if not pairs:
        return np.nan
    sides = [np.sum([pair[i].native for pair in pairs], axis=0) for i in (0, 1)]
    exposure = [sum(pair[i].exposure for pair in pairs) for i in (0, 1)]
    seen = np.minimum(*sides) >= 1
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(sides[0] / exposure[0]) - np.log(sides[1] / exposure[1])
    logs = np.where(seen, logs - np.median(logs[seen]) if seen.any() else np.nan, np.nan)
    return mean_change(
        estimates.genes, np.where(estimates.aside == "", logs / LOG2, np.nan), gene_set.symbols
    )
