"""Types of a lineage decided by the genes that define them, before programmes that several share.

CD4 or CD8 is a matter of CD4, CD8A and CD8B: cytotoxicity and activation are states that either may
be in. A regulatory T cell is named where its own molecules carry it; how many there are among cells
too shallow to show it is estimated for the whole library.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from relapsescope.libraries.markers import Markers, lineage_numbers
from relapsescope.libraries.state_model import softmax
from relapsescope.vocabulary import RARE_T_TYPES

# Types whose T-cell receptor sees MHC class II; the others' sees class I or no peptide.
HELPER_TYPES = ("CD4 T", "Treg")
# Activated T cells share every programme of these cells, so that only their type genes count.
NAMED_BY_TYPE_GENES = ("Treg",)
# Nats below any other state: the cell is not named so, whatever its neighbours are.
NEVER = -50.0
# Shares of a type among T cells at which the likelihood is looked at.
SHARES = np.concatenate([[0.0], np.geomspace(1e-4, 0.98, 120)])
LEVEL = 0.95


@dataclass(frozen=True)
class TypeShare:
    """A type's share of a library's T cells, from all of their counts, with its 95 % interval."""

    share: float
    low: float
    high: float


def share_columns() -> dict[str, tuple[str, str]]:
    """Return the type and the part of its `TypeShare` that each column of `samples.tsv` holds."""
    return {
        f"{name.lower()}_share_of_t{end}": (name, part)
        for name in RARE_T_TYPES
        for end, part in (("", "share"), ("_ci_low", "low"), ("_ci_high", "high"))
    }


def decide_by_type_genes(
    by_state: np.ndarray,
    evidence: np.ndarray,
    of_type_genes: np.ndarray,
    markers: Markers,
    *,
    use: np.ndarray,
    least_share: float,
    decisive: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return posteriors and log-likelihoods in which type genes decide a T cell's type.

    The third value is (n_barcodes,) nats by which the type genes favour helper T cells over the
    others, 0 where they decide nothing.

    Parameters
    ----------
    by_state
        (n_barcodes, n_states) posteriors.
    evidence
        (n_barcodes, n_states) log-likelihoods of all genes but those that tell types apart.
    of_type_genes
        (n_barcodes, n_states) log-likelihoods of the genes that do.
    use
        (n_barcodes,) bool; barcodes whose composition is learned.
    least_share
        Probability of the lineage from which a barcode is counted among its cells.
    decisive
        Nats by which the type genes must favour helper T cells over others, or others over them, to
        decide alone; under it programmes and neighbours have their say.
    """
    states = t_states(markers)
    types = np.array([markers.states[k].cell_type for k in states])
    evidence = evidence + of_type_genes
    share = by_state[:, states].sum(axis=1)
    cells = np.flatnonzero(share >= least_share)
    if not len(states) or not len(cells):
        return by_state, evidence, np.zeros(len(by_state))
    deciding = of_type_genes[np.ix_(cells, states)].astype(np.float64)
    decided = evidence[np.ix_(cells, states)].astype(np.float64)
    learned = cells[use[cells]] if use[cells].any() else cells
    composition = by_state[np.ix_(learned, states)].sum(axis=0) + 1
    helper = np.isin(types, HELPER_TYPES)
    lead = _mean_likelihood(deciding, composition, helper)
    lead -= _mean_likelihood(deciding, composition, ~helper)
    decided[np.ix_(lead > decisive, ~helper)] += NEVER
    decided[np.ix_(lead < -decisive, helper)] += NEVER
    for name in NAMED_BY_TYPE_GENES:
        own = types == name
        not_shown = deciding[:, own].max(axis=1) < deciding[:, ~own].max(axis=1)
        decided[np.ix_(not_shown, own)] += NEVER
    evidence[np.ix_(cells, states)] = decided
    by_state = by_state.copy()
    by_state[np.ix_(cells, states)] = (
        softmax(decided + np.log(composition / composition.sum())) * share[cells, None]
    )
    decided_by = np.zeros(len(by_state))
    decided_by[cells] = np.where(np.abs(lead) > decisive, lead, 0)
    return by_state, evidence, decided_by


def keep_doubt(by_state: np.ndarray, decided_by: np.ndarray, markers: Markers) -> np.ndarray:
    """Return posteriors in which a decision by type genes is as sure as these genes are.

    The side decided against, helper T cells or the others, keeps the probability that the type
    genes leave it; without this a cell decided at sixteen to one would be called as if at millions.

    Parameters
    ----------
    by_state
        (n_barcodes, n_states) posteriors.
    decided_by
        (n_barcodes,) from `decide_by_type_genes`.
    """
    states = t_states(markers)
    cells = np.flatnonzero(decided_by)
    if not len(cells):
        return by_state
    helper = np.isin([markers.states[k].cell_type for k in states], HELPER_TYPES)
    against = helper[None, :] != (decided_by[cells] > 0)[:, None]
    within = by_state[np.ix_(cells, states)]
    composition = by_state[:, states].sum(axis=0) + 1
    share = within.sum(axis=1, keepdims=True)
    doubt = special.expit(-np.abs(decided_by[cells]))[:, None]
    kept = np.where(against, 0, within)
    kept *= (1 - doubt) * share / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
    other = np.where(against, composition, 0)
    other *= doubt * share / other.sum(axis=1, keepdims=True)
    by_state = by_state.copy()
    by_state[np.ix_(cells, states)] = kept + other
    return by_state


def type_shares(
    by_state: np.ndarray,
    of_type_genes: np.ndarray,
    markers: Markers,
    cells: np.ndarray,
    *,
    rate_log_sd: float,
) -> dict[str, TypeShare]:
    """Return the share of each rare type among a library's T cells.

    A cell's type genes have one likelihood under the type and one under the other states in the
    library's composition; the share is that of the two-part mixture over all cells, so that a type
    is counted where no single cell shows enough to be named. Its interval is that of the profile
    likelihood, widened by how far the type's rates may lie from the table's: where few molecules
    are seen, share and rate stand for each other.

    Parameters
    ----------
    by_state
        (n_barcodes, n_states) posteriors.
    of_type_genes
        (n_barcodes, n_states) log-likelihoods of the genes that tell types apart.
    cells
        Indices of the library's T cells.
    rate_log_sd
        Standard deviation (natural log) of the type's rates around the table's.
    """
    states = t_states(markers)
    if not len(cells) or not len(states):
        return {}
    types = np.array([markers.states[k].cell_type for k in states])
    within = np.ix_(cells, states)
    composition = by_state[within].sum(axis=0) + 1
    of_types = of_type_genes[within]
    shares = {}
    for name in RARE_T_TYPES:
        own = types == name
        if own.any() and not own.all():
            sides = [_mean_likelihood(of_types, composition, side) for side in (own, ~own)]
            shares[name] = _share(sides[0] - sides[1], rate_log_sd)
    return shares


def _mean_likelihood(
    log_likelihood: np.ndarray, composition: np.ndarray, side: np.ndarray
) -> np.ndarray:
    """Return (n_cells,) the log of the mean likelihood of a side's states, as the library has them.

    The best state of a side would let a rare type speak for all of it: a gamma-delta cell, of which
    no CD8 is expected, would excuse that a cell among CD8 T cells shows none.

    Parameters
    ----------
    log_likelihood
        (n_cells, n_states)
    composition
        (n_states,) the library's cells of each state.
    side
        (n_states,) bool.
    """
    weighed = log_likelihood[:, side] + np.log(composition[side])
    return special.logsumexp(weighed, axis=1) - np.log(composition[side].sum())


def t_states(markers: Markers) -> np.ndarray:
    """Return the states whose lineage has genes that tell its types apart: T cells."""
    lineage_of = lineage_numbers(markers)
    named = [k for k, state in enumerate(markers.states) if state.lineage == "T"]
    return np.array(named, dtype=np.int64) if markers.type_identity.any() else lineage_of[:0]


def _share(ratio: np.ndarray, rate_log_sd: float) -> TypeShare:
    """Return the mixture's share from each cell's log-likelihood ratio."""
    ratio = np.clip(ratio, -30, 30)
    likelihood = np.log1p(SHARES[:, None] * np.expm1(ratio)[None, :]).sum(axis=1)
    best = int(likelihood.argmax())
    inside = SHARES[likelihood >= likelihood[best] - special.gammaincinv(0.5, LEVEL)]
    estimate, low, high = SHARES[best], inside.min(), inside.max()
    reach = special.ndtri((1 + LEVEL) / 2) * rate_log_sd
    # Errors of counting and of rates are independent: their squares add on the log scale.
    below = np.hypot(np.log(estimate / low), reach) if low > 0 else np.inf
    above = np.hypot(np.log(high / estimate), reach) if estimate > 0 else 0.0
    widened = estimate * np.exp(above) if estimate > 0 else high * np.exp(reach)
    return TypeShare(
        float(estimate), float(estimate * np.exp(-below)), float(min(1.0, max(high, widened)))
    )
