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
    random_share
        Share of random sets of equal size that score as far out on the same side.
    fdr
        Of `random_share` over the sets asked about (Benjamini and Hochberg's estimate by gseapy).
    leading_edge
        Genes that make the score, the strongest first.
    """

    n_genes: int
    es: float
    nes: float
    random_share: float
    fdr: float
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
    wanted = {one.name: [s for s in one.symbols if s in order.index] for one in sets}
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
    return {
        name: SetScore(
            n_genes=len(wanted[name]),
            es=float(table.loc[name, "ES"]),
            nes=float(table.loc[name, "NES"]),
            # No random set as far out is not none of all that could be drawn.
            random_share=max(float(table.loc[name, "NOM p-val"]), 1 / (permutations + 1)),
            fdr=float(table.loc[name, "FDR q-val"]),
            leading_edge=_by_strength(str(table.loc[name, "Lead_genes"]), order),
        )
        for name in wanted
        if name in table.index
    }


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
