"""Genes against survival in bulk cohorts: one Cox model a cohort, then a summary over cohorts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from relapsescope.errors import InputProblem
from relapsescope.survival.bulk_cohort import BulkCohort, read_bulk_cohort
from relapsescope.survival.cox import fit_cox, has_information, proportional_hazards
from relapsescope.survival.settings import BulkCohortSettings

RESULT_COLUMNS = [
    "cohort",
    "gene",
    "model",
    "n",
    "n_events",
    "log_hazard_ratio",
    "standard_error",
    "low",
    "high",
    "p",
    "ph_p",
    "ph_global_p",
    "method",
    "feature",
    "note",
]
SUMMARY_COLUMNS = ["gene", "model", "n_cohorts", "log_hazard_ratio", "low", "high", "p"]
SUMMARY_COLUMNS += ["tau2", "i2", "method"]
MIN_MYELOID_GENES = 2


def contamination_score(
    expression: pd.DataFrame, genes: Sequence[str], *, leave_out: str
) -> pd.Series | None:
    """Return the mean z-score of myeloid genes by patient; None with too few of them.

    ANXA1 is a myeloid gene first, so that its level in a bulk marrow sample may be the share of
    myeloid cells. The tested gene is never part of the score.
    """
    found = [gene for gene in genes if gene in expression and gene != leave_out]
    varying = [gene for gene in found if expression[gene].std() > 0]
    if len(varying) < MIN_MYELOID_GENES:
        return None
    values = expression[varying]
    return ((values - values.mean()) / values.std()).mean(axis=1)


def gene_against_survival(
    cohort: BulkCohort,
    gene: str,
    *,
    myeloid_genes: Sequence[str],
    min_events_per_covariate: int,
) -> pd.DataFrame:
    """Return Cox models of one gene, continuous, a standard deviation of log2 expression a unit.

    Models: ``unadjusted``, and adjusted for ``covariates``, for ``myeloid`` contamination, and
    for both. Each is fitted on the patients that have all its values. No cut-point is sought.

    Returns
    -------
    One row a model, columns ``RESULT_COLUMNS``; ``ph_p`` and ``ph_global_p`` are the
    proportional-hazards test for the gene and for the whole model. Empty without the gene.
    """
    if gene not in cohort.expression:
        return pd.DataFrame(columns=RESULT_COLUMNS)
    values = cohort.expression[gene]
    own = ((values - values.mean()) / values.std()).rename(gene)
    score = contamination_score(cohort.expression, myeloid_genes, leave_out=gene)
    extras: dict[str, list[pd.DataFrame]] = {"unadjusted": []}
    if cohort.covariates.shape[1]:
        extras["covariates"] = [cohort.covariates]
    if score is not None:
        extras["myeloid"] = [score.to_frame("myeloid_score")]
    if "covariates" in extras and "myeloid" in extras:
        extras["covariates and myeloid"] = [*extras["covariates"], *extras["myeloid"]]
    rows = []
    for model, parts in extras.items():
        design = pd.concat([own, *parts], axis=1)
        rows.append(_fit(cohort, gene, model, design, min_events_per_covariate))
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def random_effects(results: pd.DataFrame) -> pd.DataFrame:
    """Return the summary over cohorts by gene and model.

    Between-cohort variance by Paule and Mandel 1982, interval by Hartung and Knapp 2001 (t with
    cohorts - 1 degrees of freedom, never narrower than the usual one), which hold with few
    cohorts where DerSimonian and Laird's are too narrow. One cohort alone has no summary.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    rows = []
    usable = results[results["log_hazard_ratio"].notna()]
    for (gene, model), part in usable.groupby(["gene", "model"], sort=True):
        if len(part) < 2:
            continue
        effects = part["log_hazard_ratio"].to_numpy(dtype=float)
        variances = part["standard_error"].to_numpy(dtype=float) ** 2
        combined = combine_effects(effects, variances, method_re="iterated")
        mean, tau2 = float(combined.mean_effect_re), max(float(combined.tau2), 0.0)
        plain = float(combined.sd_eff_w_re)
        error = max(float(np.sqrt(combined.var_hksj_re)), plain)
        degrees = len(part) - 1
        reach = float(stats.t.ppf(0.975, degrees)) * error
        p = 2 * float(stats.t.sf(abs(mean) / error, degrees))
        i2 = max(float(combined.i2), 0.0)
        method = "random effects (Paule-Mandel, Hartung-Knapp)"
        rows.append((gene, model, len(part), mean, mean - reach, mean + reach, p, tau2, i2, method))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def bulk_table(
    cohorts: Sequence[BulkCohortSettings],
    *,
    genes: Sequence[str],
    myeloid_genes: Sequence[str],
    min_events_per_covariate: int,
    folder: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return all cohorts' models and their summary: the numbers of the forest plot.

    Parameters
    ----------
    cohorts
        The config's ``course.bulk_cohorts``; may be empty.
    genes
        Symbols to test.
    myeloid_genes, min_events_per_covariate
        As in :func:`gene_against_survival`.
    folder
        What the cohorts' relative paths are relative to.

    Raises
    ------
    InputProblem
        With the lines of all cohorts that cannot be read.
    """
    problems, tables = [], []
    for entry in cohorts:
        try:
            cohort = read_bulk_cohort(entry, [*genes, *myeloid_genes], folder=folder)
        except InputProblem as problem:
            problems += problem.problems
            continue
        tables += [
            gene_against_survival(
                cohort,
                gene,
                myeloid_genes=myeloid_genes,
                min_events_per_covariate=min_events_per_covariate,
            )
            for gene in genes
        ]
    if problems:
        raise InputProblem(*problems)
    filled = [table for table in tables if len(table)]
    results = (
        pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=RESULT_COLUMNS)
    )
    return results, random_effects(results)


def _fit(
    cohort: BulkCohort, gene: str, model: str, design: pd.DataFrame, min_events: int
) -> dict[str, object]:
    complete = design.notna().all(axis=1)
    dropped = int((~complete).sum())
    design = design[complete]
    design = design.loc[:, design.nunique() > 1]
    time, event = cohort.time[complete], cohort.event[complete]
    note = [f"{dropped} patients lack a covariate"] if dropped else []
    row: dict[str, object] = {
        "cohort": cohort.name,
        "gene": gene,
        "model": model,
        "n": len(design),
        "n_events": int(event.sum()),
        "feature": cohort.features[gene],
    }
    if gene not in design or not event.any():
        reason = "no event" if gene in design else "the gene does not vary"
        return {**row, "note": "; ".join([*note, f"not fitted: {reason}"])}
    if not has_information(design, event, time):
        reason = "its covariates repeat one another, or patients at risk never differ"
        return {**row, "note": "; ".join([*note, f"not fitted: {reason}"])}
    fit = fit_cox(design, event, time, min_events_per_covariate=min_events)
    own = fit.table.iloc[0]
    check = proportional_hazards(design, event, time, fit.table["coefficient"])
    return {
        **row,
        "log_hazard_ratio": own["coefficient"],
        "standard_error": own["standard_error"],
        "low": own["low"],
        "high": own["high"],
        "p": own["p"],
        "ph_p": check["p"].iloc[0],
        "ph_global_p": check["p"].iloc[-1],
        "method": fit.method,
        "note": "; ".join([*note, fit.note]),
    }
