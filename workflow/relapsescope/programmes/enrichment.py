"""Do a gene set's genes change together: ranks within a comparison, and means over patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from relapsescope.programmes.gene_sets import NamedSet

# Patients from which a set's mean change has an interval over patients.
MIN_PATIENTS = 2


@dataclass(frozen=True)
class SetScore:
    """A gene set's place in one ranking.

    Attributes
    ----------
    n_genes
        Genes of the set in the ranking.
    es, nes
        Enrichment score, and over the mean of random sets of equal size.
    random_share, random_share_error
        Share of random sets of equal size that score as far out on the same side, and what other
        random sets would move it by (standard error).
    fdr, fdr_error
        `random_share` adjusted over the sets of the ranking (`adjusted_shares`), and its standard
        error.
    leading_edge
        Genes that make the score, the strongest first.
    """

    n_genes: int
    es: float
    nes: float
    random_share: float
    random_share_error: float
    fdr: float
    fdr_error: float
    leading_edge: tuple[str, ...]


def rank_sets(
    genes: Sequence[str],
    scores: np.ndarray,
    sets: Sequence[NamedSet],
    *,
    min_genes: int,
    max_genes: int,
    permutations: int,
    seed: int,
) -> dict[str, SetScore]:
    """Return each gene set's enrichment in a ranking, by name; sets of too few genes are left out.

    Preranked enrichment (Subramanian 2005, doi:10.1073/pnas.0506580102) by gseapy (Fang 2023,
    doi:10.1093/bioinformatics/btac757), offline, on one thread. Random sets draw genes as if
    these were independent, which genes of one programme are not (Wu and Smyth 2012,
    doi:10.1093/nar/gks461): `random_share` ranks sets and is no test over patients.

    Parameters
    ----------
    genes, scores
        (n_genes,) symbols and what they are ranked by; not finite: left out.
    """
    order = pd.Series(np.asarray(scores, float), index=[str(gene) for gene in genes])
    order = order[np.isfinite(order)]
    # Equal scores are put in the genes' order, so that the result does not depend on the sort.
    order = order.sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    wanted = {gene_set.name: [s for s in gene_set.symbols if s in order.index] for gene_set in sets}
    wanted = {n: found for n, found in wanted.items() if min_genes <= len(found) <= max_genes}
    if not wanted or len(order) < 2:
        return {}
    # gseapy imports scanpy-sized libraries, which no other step needs.
    from gseapy import prerank

    found = prerank(
        rnk=order,
        gene_sets=wanted,
        outdir=None,
        ascending=None,
        min_size=min_genes,
        max_size=max_genes,
        permutation_num=permutations,
        threads=1,
        no_plot=True,
        seed=seed,
        verbose=False,
    )
    table = found.res2d.set_index("Term")
    scored = [name for name in wanted if name in table.index]
    # No random set as far out is not none of all that could be drawn.
    shares = np.array([float(table.loc[name, "NOM p-val"]) for name in scored])
    shares = np.maximum(shares, 1 / (permutations + 1))
    errors = share_errors(shares, permutations)
    fdr, fdr_errors = adjusted_shares(shares, errors)
    return {
        name: SetScore(
            n_genes=len(wanted[name]),
            es=float(table.loc[name, "ES"]),
            nes=float(table.loc[name, "NES"]),
            random_share=float(shares[place]),
            random_share_error=float(errors[place]),
            fdr=float(fdr[place]),
            fdr_error=float(fdr_errors[place]),
            leading_edge=_by_strength(str(table.loc[name, "Lead_genes"]), order),
        )
        for place, name in enumerate(scored)
    }


def share_errors(shares: np.ndarray, permutations: int) -> np.ndarray:
    """Return the standard errors of shares of random sets, of which half lie on either side.

    Binomial, of the share with one more random set on either side of the limit, so that a share
    of 0 or 1 has an error too.
    """
    drawn = permutations / 2
    shrunk = (np.asarray(shares, float) * drawn + 1) / (drawn + 2)
    return np.sqrt(shrunk * (1 - shrunk) / drawn)


def adjusted_shares(shares: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shares adjusted over the sets asked about, and their standard errors.

    Benjamini and Hochberg's step-up procedure (1995, doi:10.1111/j.2517-6161.1995.tb02031.x),
    which moves with the shares without a jump. (The estimate by which preranked enrichment usually
    comes is a ratio of two counts of scores beyond a limit: it jumps when one observed score
    passes another, so a fifth digit may move it by a tenth.) The error is that of the share which
    decides.
    """
    order = np.argsort(shares, kind="stable")
    factor = len(shares) / np.arange(1, len(shares) + 1)
    steps = np.asarray(shares, float)[order] * factor
    fdr, fdr_errors = np.empty(len(shares)), np.empty(len(shares))
    lowest = len(shares) - 1
    for step in range(len(shares) - 1, -1, -1):
        lowest = step if steps[step] <= steps[lowest] else lowest
        fdr[order[step]] = min(steps[lowest], 1.0)
        fdr_errors[order[step]] = errors[order[lowest]] * factor[lowest]
    return fdr, fdr_errors


def _by_strength(lead: str, order: pd.Series) -> tuple[str, ...]:
    genes = [gene for gene in lead.split(";") if gene]
    return tuple(sorted(genes, key=lambda gene: (-abs(order[gene]), gene)))


def mean_change(genes: np.ndarray, change: np.ndarray, symbols: Sequence[str]) -> float:
    """Return the mean log2 change of a set's genes; NaN where none has one."""
    inside = np.isin(genes, list(symbols)) & np.isfinite(change)
    return float(change[inside].mean()) if inside.any() else np.nan


@dataclass(frozen=True)
class OverPatients:
    """The mean of a set's change over patients, one value a patient, with Student's interval."""

    n_patients: int
    mean: float
    low: float
    high: float
    p_value: float


def over_patients(values: Mapping[str, float]) -> OverPatients:
    """Return what patients say together of a set's change: the unit is the patient."""
    known = np.array([value for value in values.values() if np.isfinite(value)])
    mean = float(known.mean()) if known.size else np.nan
    if known.size < MIN_PATIENTS or np.ptp(known) == 0:
        return OverPatients(int(known.size), mean, np.nan, np.nan, np.nan)
    error = known.std(ddof=1) / np.sqrt(known.size)
    reach = stats.t.ppf(0.975, known.size - 1) * error
    p_value = 2 * stats.t.sf(abs(mean) / error, known.size - 1)
    return OverPatients(int(known.size), mean, mean - reach, mean + reach, float(p_value))
