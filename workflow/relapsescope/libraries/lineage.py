"""Lineage and cell type of each barcode of a library, with probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from relapsescope.intake.genes import gene_classes
from relapsescope.libraries.markers import Markers, align_markers, lineage_numbers, read_markers
from relapsescope.libraries.neighbours import (
    Company,
    cells_together,
    company_of_lineages,
    refine_types,
)
from relapsescope.libraries.second_lineage import related_lineages, second_lineage_evidence
from relapsescope.libraries.settings import LineageLimits
from relapsescope.libraries.signature_fit import signature_shown
from relapsescope.libraries.state_model import (
    Depth,
    marker_log_likelihood,
    softmax,
    update_rates,
)
from relapsescope.libraries.type_genes import (
    TypeShare,
    decide_by_type_genes,
    keep_doubt,
    type_shares,
)
from relapsescope.vocabulary import LINEAGES

if TYPE_CHECKING:
    from relapsescope.intake.matrix import Counts
    from relapsescope.libraries.ambient import Ambient

UNKNOWN = LINEAGES.index("Unknown")
# An identity gene may be learned to be this much commoner in other lineages than typed.
IDENTITY_RISE = 2.0
# A cell is Unknown where its share of a signature lies this many standard errors below the limit.
FIT_ERRORS = 2.0
# The share of a signature that a library is taken to show at least.
LEAST_USUAL = 0.5


@dataclass(frozen=True)
class LineageCalls:
    """What each barcode is, in the contract's words.

    Attributes
    ----------
    lineage, cell_type
        (n_barcodes,) str objects.
    probability
        (n_barcodes,) probability that `cell_type` is right; for `Unknown` that of the best
        guess, which was too low to be named.
    posterior
        (n_barcodes, n_lineages) in the order of `LINEAGES`, rows sum to 1.
    contradiction
        (n_barcodes,) empty, or a second, unrelated lineage that the barcode's counts show
        beyond what ambient RNA explains.
    second_evidence
        (n_barcodes,) nats by which the best pair of lineages, related or not, explains the
        barcode better than its own alone; `-inf` where none comes near.
    notes
        Sentences for the report.
    type_shares
        The share of each rare type among the T cells to learn from.
    warning
        What is wrong with most of the cells, empty where nothing is.
    """

    lineage: np.ndarray
    cell_type: np.ndarray
    probability: np.ndarray
    posterior: np.ndarray
    contradiction: np.ndarray
    second_evidence: np.ndarray
    notes: tuple[str, ...]
    type_shares: Mapping[str, TypeShare] = field(default_factory=dict)
    warning: str = ""


def call_lineages(
    counts: Counts,
    *,
    use: np.ndarray,
    ambient: Ambient,
    limits: LineageLimits,
    judged: Collection[str] = (),
    seed: int = 0,
) -> LineageCalls:
    """Return lineage, cell type and probabilities of every barcode of a library.

    Parameters
    ----------
    counts
        The library's raw counts.
    use
        (n_barcodes,) bool; barcodes to learn from. All barcodes are called.
    ambient
        The library's ambient profile and each barcode's expected ambient UMIs.
    limits
        Numbers from the config.
    judged
        Genes that statements are made of; they call no cell.
    seed
        Not used: nothing here is random. Kept so that all steps are called alike.
    """
    markers, sums = align_markers(read_markers(limits.rate_levels, judged=judged), counts.symbols)
    n_barcodes = counts.matrix.shape[0]
    if n_barcodes == 0 or not markers.features:
        note = "no marker gene was found" if n_barcodes else "there are no barcodes"
        return _all_unknown(n_barcodes, f"No cell was given a lineage: {note}.")
    shown = (counts.matrix.astype(np.float32) @ sums).tocsr()
    ambient_rates = np.asarray(ambient.profile @ sums).ravel()
    counted = _counted_genes(counts)
    depth = _depth(counts, ambient, counted)
    deep_enough = depth.native >= limits.min_native_umi
    sure = use & deep_enough
    markers_seen = shown, ambient_rates, depth, markers
    by_state, evidence, of_type_genes, rates = _state_posterior(
        *markers_seen, use=use, limits=limits
    )
    by_state, company = _typed(
        by_state,
        evidence,
        of_type_genes,
        counts.matrix,
        markers,
        compared=counted & ~np.isin(counts.symbols.astype(str), list(judged)),
        use=sure,
        limits=limits,
    )
    usual, explained = _explained(*markers_seen, by_state, company=company, use=sure, limits=limits)
    posterior, lineage, cell_type, probability = _name(
        by_state, markers, deep_enough & explained, limits
    )
    gene_limit = _gene_limits(markers, limits)
    second = second_lineage_evidence(
        *markers_seen, rates, by_state=by_state, use=deep_enough, gene_limit=gene_limit
    )
    contradiction = _contradiction(second, posterior, limits.contradiction_nats)
    shares = type_shares(
        by_state,
        of_type_genes,
        markers,
        np.flatnonzero(use & (lineage == "T")),
        rate_log_sd=limits.type_rate_log_sd,
    )
    return LineageCalls(
        lineage,
        cell_type,
        probability,
        posterior,
        contradiction,
        second.max(axis=1),
        notes=_notes(markers, lineage, use),
        type_shares=shares,
        warning=_unknown_cells(usual, limits),
    )


def _typed(
    by_state: np.ndarray,
    evidence: np.ndarray,
    of_type_genes: np.ndarray,
    matrix: sparse.csr_matrix,
    markers: Markers,
    *,
    compared: np.ndarray,
    use: np.ndarray,
    limits: LineageLimits,
) -> tuple[np.ndarray, list[Company]]:
    """Return posteriors with types told within their lineage, and each lineage's neighbours.

    The genes that define types decide where they can, else the cell's nearest of its lineage help.

    Parameters
    ----------
    compared
        (n_genes,) bool, genes by which neighbours are found.
    use
        (n_barcodes,) bool, barcodes that neighbours may be.
    """
    by_state, evidence, decided_by = decide_by_type_genes(
        by_state,
        evidence,
        of_type_genes,
        markers,
        use=use,
        least_share=limits.call_probability,
        decisive=limits.decisive,
    )
    company = company_of_lineages(
        by_state,
        matrix,
        compared,
        markers,
        use=use,
        least_share=limits.call_probability,
        n_neighbours=limits.neighbours,
    )
    by_state = refine_types(
        by_state,
        evidence,
        markers,
        company,
        least_cells=limits.neighbour_cells,
        lapse=limits.type_lapse,
    )
    return keep_doubt(by_state, decided_by, markers), company


def _explained(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    by_state: np.ndarray,
    *,
    company: Collection[Company],
    use: np.ndarray,
    limits: LineageLimits,
) -> tuple[float, np.ndarray]:
    """Return the share of its signature that the library's usual cell shows, and which cells fit.

    A cell alone shows too few genes to tell a natural killer cell from a T cell that was not read
    deeply, so that each is judged together with its nearest cells of the state that it is called
    by: an unknown type comes as a population. Damaged cells show less of everything, so that a cell
    is held to what its library usually shows, and its hallmarks to its signature; where the
    usual cell is none of the table's, those that look like one are held to a whole signature.
    """
    state = by_state[:, :-1].argmax(axis=1)
    lineage = lineage_numbers(markers)[state]
    own, hallmarks = (
        signature_shown(shown, ambient_rates, depth, markers, state, identity=only)
        for only in (False, True)
    )
    counted = use & (own.whole > 0)
    usual = float(np.median(own.share[counted])) if counted.any() else np.nan
    together = cells_together(company, len(state), state=state)
    alone = own.share
    own, hallmarks = own.pooled(together), hallmarks.pooled(together)
    in_proportion = hallmarks.share >= limits.min_identity * own.share
    damage = _damage(alone[counted & in_proportion])
    asked = damage * np.where(
        lineage == LINEAGES.index("HSPC"), limits.min_signature_hspc, limits.min_signature
    )
    if usual < limits.warn_signature and limits.min_signature > 0:
        asked = np.full(len(state), limits.foreign_signature)
    missing = own.share + FIT_ERRORS * own.error < asked
    of_hallmarks = limits.min_identity * damage * own.share
    missing |= hallmarks.share + FIT_ERRORS * hallmarks.error < of_hallmarks
    return usual, ~missing


def _damage(share: np.ndarray) -> float:
    """Return how much of a whole signature the library's usual cell shows, at most 1.

    Parameters
    ----------
    share
        (n_cells,) of cells that show their hallmarks in proportion: those of an unknown lineage
        show little for another reason than damage.
    """
    # Without a cell to judge by, the table's own expectation is asked for.
    return float(np.clip(np.median(share), LEAST_USUAL, 1)) if len(share) else 1.0


def _counted_genes(counts: Counts) -> np.ndarray:
    """Return (n_genes,) all but the genes that alone can be most of a plasma, red or dying cell."""
    classes = gene_classes(counts.symbols)
    left_out = ("immunoglobulin", "haemoglobin", "mitochondrial")
    counted = ~np.logical_or.reduce([classes[name] for name in left_out])
    return counted & (counts.symbols != "JCHAIN")


def _depth(counts: Counts, ambient: Ambient, counted: np.ndarray) -> Depth:
    """Return the barcodes' depths over the counted genes."""
    total = np.asarray(counts.matrix @ counted.astype(np.float64)).ravel()
    per_cell = np.asarray(ambient.per_cell, dtype=np.float64)
    native = total - per_cell * ambient.profile[counted].sum()
    return Depth(np.maximum(native, 0.02 * total), per_cell)


def _state_posterior(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    *,
    use: np.ndarray,
    limits: LineageLimits,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return posteriors and log-likelihoods, learned from sure cells; (n_barcodes, n_states) each.

    The log-likelihoods are those of all genes but those that tell types apart, and of these. The
    rates that they are from come last, (n_features, n_states).
    """
    lineage_of = lineage_numbers(markers)
    type_of = _types(markers)[1]
    learnable = use & (depth.native >= limits.min_native_umi)
    flat = _flat_prior(markers)
    prior = np.log(flat)
    rates = markers.rates
    evidence, of_type_genes = _evidence(shown, ambient_rates, depth, markers, rates, limits=limits)
    by_state = softmax(evidence + limits.marker_weight * of_type_genes + prior)
    for _ in range(limits.rounds if learnable.any() else 0):
        weights = _learning_weights(by_state, type_of, learnable, limits.confident)
        rates = update_rates(
            shown,
            depth,
            ambient_rates,
            markers.rates,
            weights,
            lineage_of=lineage_of,
            prior_umi=limits.prior_umi,
        )
        rates = _keep_identity(rates, markers, lineage_of)
        evidence, of_type_genes = _evidence(
            shown, ambient_rates, depth, markers, rates, limits=limits
        )
        prior = np.log(_learned_prior(by_state[learnable], flat))
        by_state = softmax(evidence + limits.marker_weight * of_type_genes + prior)
    return by_state, evidence, of_type_genes, rates


def _evidence(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    rates: np.ndarray,
    *,
    limits: LineageLimits,
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihoods of all genes but the types' (weighed), and of the types' genes."""
    gene_limit = _gene_limits(markers, limits)
    by_column = shown.tocsc()
    others, of_type_genes = (
        marker_log_likelihood(
            by_column[:, genes].tocsr(),
            depth,
            ambient_rates[genes],
            rates[genes],
            gene_limit=gene_limit[genes],
        )
        for genes in (~markers.type_identity, markers.type_identity)
    )
    return limits.marker_weight * others, of_type_genes


def _gene_limits(markers: Markers, limits: LineageLimits) -> np.ndarray:
    """Return (n_features,) the nats that each detected gene may say at most."""
    is_identity = np.logical_or.reduce([*markers.identity.values(), markers.type_identity])
    return np.where(is_identity, limits.identity_limit, limits.gene_limit)


def _contradiction(second: np.ndarray, posterior: np.ndarray, least: float) -> np.ndarray:
    """Return (n_barcodes,) the unrelated lineage that `least` nats or more speak for, or ""."""
    own = posterior[:, :UNKNOWN].argmax(axis=1)
    unrelated = np.where(related_lineages()[own], -np.inf, second)
    words = np.array(LINEAGES, dtype=object)[unrelated.argmax(axis=1)]
    return np.where(unrelated.max(axis=1) >= least, words, "").astype(object)


def _keep_identity(rates: np.ndarray, markers: Markers, lineage_of: np.ndarray) -> np.ndarray:
    """Return rates in which no lineage has learned another's identity genes.

    Otherwise cells wrongly taken for, say, NK would teach that NK cells have CD3, and more
    would follow. The globins' and light chains' spread does not matter: they are no identity.
    """
    rates = rates.copy()
    for lineage, mask in markers.identity.items():
        others = np.flatnonzero(lineage_of != LINEAGES.index(lineage))
        at = np.ix_(np.flatnonzero(mask), others)
        rates[at] = np.minimum(rates[at], IDENTITY_RISE * markers.rates[at])
    return rates


def _flat_prior(markers: Markers) -> np.ndarray:
    """Return (n_states,) a prior even over lineages, then their types, then the types' states."""
    states = markers.states
    lineages = {state.lineage for state in states}
    types = Counter(lineage for lineage, _ in {(s.lineage, s.cell_type) for s in states})
    names = Counter((state.lineage, state.cell_type) for state in states)
    return np.array(
        [1 / len(lineages) / types[s.lineage] / names[s.lineage, s.cell_type] for s in states]
    )


def _learned_prior(by_state: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return (n_states,) the library's composition, mixed with ten cells of the flat prior.

    A tenth of the flat prior stays whatever the library's size, so that a rare type is not
    ruled out by being rare.
    """
    own = (by_state.sum(axis=0) + 10 * flat) / (len(by_state) + 10)
    return 0.9 * own + 0.1 * flat


def _learning_weights(
    by_state: np.ndarray, type_of: np.ndarray, learnable: np.ndarray, confident: float
) -> np.ndarray:
    """Return (n_barcodes, n_states) posteriors of cells whose type is beyond doubt, else 0.

    Learning from doubtful cells lets a state take over its neighbour's cells round by round.
    """
    by_type = _sum_by(by_state, type_of, type_of.max() + 1)
    sure = learnable & (by_type.max(axis=1) >= confident)
    sure &= by_type.argmax(axis=1) != type_of[-1]  # the last state is Unknown
    return by_state * sure[:, None]


def _name(
    by_state: np.ndarray, markers: Markers, may_be_named: np.ndarray, limits: LineageLimits
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return posterior by lineage, lineage, cell type and the cell type's probability."""
    lineage_of = lineage_numbers(markers)
    posterior = _sum_by(by_state, lineage_of, len(LINEAGES))
    types, type_of = _types(markers)
    by_type = _sum_by(by_state, type_of, len(types))
    best_lineage = posterior[:, :UNKNOWN].argmax(axis=1)
    type_lineage = np.array([LINEAGES.index(lineage) for lineage, _ in types])
    within = np.where(type_lineage[None, :] == best_lineage[:, None], by_type, -1)
    best_type = within.argmax(axis=1)
    probability = by_type[np.arange(len(by_type)), best_type]
    named = (posterior.argmax(axis=1) != UNKNOWN) & may_be_named
    named &= posterior[np.arange(len(posterior)), best_lineage] >= limits.call_probability
    words = np.array(LINEAGES, dtype=object)
    lineage = np.where(named, words[best_lineage], "Unknown").astype(object)
    names = np.array([cell_type for _, cell_type in types], dtype=object)
    cell_type = np.where(named, names[best_type], "Unknown").astype(object)
    return posterior, lineage, cell_type, probability


def _types(markers: Markers) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return the (lineage, cell type) pairs, and each state's place among them."""
    pairs = [(state.lineage, state.cell_type) for state in markers.states]
    types = list(dict.fromkeys(pairs))
    return types, np.array([types.index(pair) for pair in pairs])


def _sum_by(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    result = np.zeros((len(values), n_groups))
    for k, g in enumerate(group):
        result[:, g] += values[:, k]
    return result


def _notes(markers: Markers, lineage: np.ndarray, use: np.ndarray) -> tuple[str, ...]:
    unknown = int(np.count_nonzero((lineage == "Unknown") & use))
    used = int(np.count_nonzero(use))
    notes = [f"{len(markers.features)} marker features of the table are in the matrix."]
    if used:
        notes.append(f"{unknown} of {used} cells kept by QC were left Unknown.")
    return tuple(notes)


def _unknown_cells(shown: float, limits: LineageLimits) -> str:
    """Return a warning where the usual cell is none of the table's, else ""."""
    if not shown < limits.warn_signature:
        return ""
    return (
        f"its cells show {max(shown, 0):.0%} (median) of the marker genes that their "
        "types would show: they are of another tissue, of a cell line or damaged, and their "
        "types are not to be trusted"
    )


def _all_unknown(n_barcodes: int, note: str) -> LineageCalls:
    posterior = np.zeros((n_barcodes, len(LINEAGES)))
    posterior[:, UNKNOWN] = 1
    words = np.full(n_barcodes, "Unknown", dtype=object)
    empty = np.full(n_barcodes, "", dtype=object)
    nothing = np.full(n_barcodes, -np.inf)
    return LineageCalls(
        words, words.copy(), np.zeros(n_barcodes), posterior, empty, nothing, (note,)
    )
