"""Lineage and cell type of each barcode of a library, with probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from relapsescope.genes import gene_classes
from relapsescope.markers import MEASURED_LATER, Markers, align_markers, read_markers
from relapsescope.state_model import (
    Depth,
    learn_profiles,
    marker_log_likelihood,
    profile_log_likelihood,
    softmax,
    update_rates,
)
from relapsescope.vocabulary import LINEAGES

if TYPE_CHECKING:
    from relapsescope.ambient import Ambient
    from relapsescope.matrix import Counts

UNKNOWN = LINEAGES.index("Unknown")
# Lineages that share identity genes by descent or function, so that carrying both is no
# contradiction: a plasma cell has CD79A, a pDC has MZB1, a CD16 monocyte has C1Q.
RELATED = (
    {"B", "Plasma", "pDC"},
    {"T", "NK"},
    {"Monocyte", "Macrophage", "cDC", "pDC", "Granulocyte", "HSPC", "Mast"},
    {"HSPC", "Erythroid", "Megakaryocyte", "Mast"},
    {"HSPC", "B"},
    {"HSPC", "Granulocyte", "Erythroid"},
    {"Macrophage", "Stromal"},
)
# Genes of the cell cycle and of handling stress differ within a type, not between types.
STATE_GENES = frozenset(
    "MKI67 TOP2A CENPF CENPE CENPA TYMS PCNA STMN1 TUBA1B TUBB TUBB4B HMGB2 HMGB1 HMGN2 H2AZ1 UBE2C "
    "UBE2S UBE2T BIRC5 CCNB1 CCNB2 CCNA2 CDK1 CDC20 CDKN3 CKS1B CKS2 NUSAP1 TPX2 PRC1 KPNA2 "
    "PTTG1 RRM1 RRM2 TK1 PCLAF GINS2 MCM2 MCM3 MCM4 MCM5 MCM6 MCM7 FEN1 CLSPN ATAD2 GMNN DUT "
    "DEK ASPM AURKA AURKB BUB1 BUB1B ZWINT SMC4 SMC2 NUF2 DLGAP5 HJURP HMMR KIF11 KIF20B KIF23 "
    "KIFC1 ANLN TACC3 TUBB6 RANBP1 CENPM CENPU CENPW "
    "FOS FOSB JUN JUNB JUND IER2 IER3 EGR1 ATF3 DUSP1 ZFP36 NFKBIA HSPA1A HSPA1B HSPA6 HSPA8 "
    "DNAJB1 HSPH1 HSP90AA1 HSPB1 HSPE1 HSPD1 BAG3 MT1X MT1E MT2A MT1G MALAT1 NEAT1 XIST".split()
)


@dataclass(frozen=True)
class LineageLimits:
    """Numbers of the section `lineage` of the config, which explains them."""

    rate_levels: dict[str, float]
    gene_limit: float
    marker_weight: float
    profile_weight: float
    profile_gene_limit: float
    profile_total_limit: float
    profile_genes: int
    rounds: int
    prior_umi: float
    profile_prior_umi: float
    min_cells: float
    confident: float
    call_probability: float
    min_native_umi: float
    contradiction_p: float
    contradiction_genes: int


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
        (n_barcodes,) empty, or a second lineage whose identity genes the barcode carries
        beyond what ambient RNA explains.
    notes
        Sentences for the report.
    """

    lineage: np.ndarray
    cell_type: np.ndarray
    probability: np.ndarray
    posterior: np.ndarray
    contradiction: np.ndarray
    notes: tuple[str, ...]


def call_lineages(
    counts: Counts,
    *,
    use: np.ndarray,
    ambient: Ambient,
    limits: LineageLimits,
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
    seed
        Not used: nothing here is random. Kept so that all steps are called alike.

    Returns
    -------
    LineageCalls
    """
    markers, sums = align_markers(read_markers(limits.rate_levels), counts.symbols)
    n_barcodes = counts.matrix.shape[0]
    if n_barcodes == 0 or not markers.features:
        note = "no marker gene was found" if n_barcodes else "there are no barcodes"
        return _all_unknown(n_barcodes, f"No cell was given a lineage: {note}.")
    shown = (counts.matrix.astype(np.float32) @ sums).tocsr()
    ambient_rates = np.asarray(ambient.profile @ sums).ravel()
    depth = _depth(counts, ambient)
    by_state = _state_posterior(
        counts, shown, ambient_rates, depth, markers, use=use, limits=limits
    )
    posterior, lineage, cell_type, probability = _name(by_state, markers, depth, limits)
    contradiction = _contradiction(shown, ambient_rates, depth, markers, lineage, limits)
    notes = _notes(markers, lineage, use)
    return LineageCalls(lineage, cell_type, probability, posterior, contradiction, notes)


def _depth(counts: Counts, ambient: Ambient) -> Depth:
    """Return native depth without the genes whose share alone can be most of a cell."""
    classes = gene_classes(counts.symbols)
    counted = ~(classes["immunoglobulin"] | classes["haemoglobin"] | (counts.symbols == "JCHAIN"))
    total = np.asarray(counts.matrix @ counted.astype(np.float64)).ravel()
    per_cell = np.asarray(ambient.per_cell, dtype=np.float64)
    native = total - per_cell * ambient.profile[counted].sum()
    return Depth(np.maximum(native, 0.02 * total), per_cell)


def _state_posterior(
    counts: Counts,
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    *,
    use: np.ndarray,
    limits: LineageLimits,
) -> np.ndarray:
    """Return (n_barcodes, n_states) posteriors after learning from the confident cells."""
    lineage_of = np.array([LINEAGES.index(state.lineage) for state in markers.states])
    type_of = _types(markers)[1]
    learnable = use & (depth.native >= limits.min_native_umi)
    prior = np.log(_flat_prior(lineage_of))
    evidence = limits.marker_weight * marker_log_likelihood(
        shown, depth, ambient_rates, markers.rates, gene_limit=limits.gene_limit
    )
    by_state = softmax(evidence + prior)
    by_markers = by_state
    for _ in range(limits.rounds if learnable.any() else 0):
        weights = _learning_weights(by_markers, type_of, learnable, limits.confident)
        rates = update_rates(
            shown,
            depth,
            ambient_rates,
            markers.rates,
            weights,
            lineage_of,
            prior_umi=limits.prior_umi,
        )
        prior = np.log(_learned_prior(by_state[learnable], lineage_of))
        evidence = limits.marker_weight * marker_log_likelihood(
            shown, depth, ambient_rates, rates, gene_limit=limits.gene_limit
        )
        by_markers = softmax(evidence + prior)
        weights = _learning_weights(by_markers, type_of, learnable, limits.confident)
        genes = _informative_genes(counts, weights, lineage_of, markers, limits.profile_genes)
        rest = counts.matrix[:, genes].astype(np.float32)
        np.minimum(rest.data, 4, out=rest.data)
        log_ratio, _ = learn_profiles(
            rest,
            weights,
            lineage_of,
            prior_umi=limits.profile_prior_umi,
            min_cells=limits.min_cells,
        )
        evidence += profile_log_likelihood(
            rest,
            log_ratio,
            weight=limits.profile_weight,
            gene_limit=limits.profile_gene_limit,
            total_limit=limits.profile_total_limit,
        )
        by_state = softmax(evidence + prior)
    return by_state


def _flat_prior(lineage_of: np.ndarray) -> np.ndarray:
    """Return (n_states,) a prior that is even over lineages, then over their states."""
    sizes = np.bincount(lineage_of, minlength=len(LINEAGES))
    return 1.0 / sizes[lineage_of] / np.count_nonzero(sizes)


def _learned_prior(by_state: np.ndarray, lineage_of: np.ndarray) -> np.ndarray:
    """Return (n_states,) the library's composition, mixed with ten cells of the flat prior.

    A tenth of the flat prior stays whatever the library's size, so that a rare type is not
    ruled out by being rare.
    """
    flat = _flat_prior(lineage_of)
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


def _informative_genes(
    counts: Counts,
    weights: np.ndarray,
    lineage_of: np.ndarray,
    markers: Markers,
    n_genes: int,
) -> np.ndarray:
    """Return sorted indices of the genes that differ most between the sure cells' states.

    Left out: markers (their evidence is counted already), genes measured later, genes of
    clones rather than types (immunoglobulin, T-cell-receptor V), of sex, cycle and handling.
    """
    left_out = MEASURED_LATER | STATE_GENES
    left_out |= {symbol for feature in markers.features for symbol in feature.split("+")}
    classes = gene_classes(counts.symbols)
    names = (
        "mitochondrial",
        "ribosomal",
        "immunoglobulin",
        "t_cell_receptor_variable",
        "haemoglobin",
        "sex",
    )
    allowed = ~np.logical_or.reduce([classes[name] for name in names])
    allowed &= np.array([symbol not in left_out for symbol in counts.symbols], bool)
    per_state = np.asarray(counts.matrix.T @ weights, dtype=np.float64)
    total = per_state.sum(axis=1)
    depth = per_state.sum(axis=0)
    expected = np.outer(total, depth / max(depth.sum(), 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviance = np.where(per_state > 0, per_state * np.log(per_state / expected), 0).sum(axis=1)
    deviance[~allowed | (total < 5)] = -1
    best = np.argsort(-deviance, kind="stable")[:n_genes]
    return np.sort(best[deviance[best] > 0])


def _name(
    by_state: np.ndarray, markers: Markers, depth: Depth, limits: LineageLimits
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return posterior by lineage, lineage, cell type and the cell type's probability."""
    lineage_of = np.array([LINEAGES.index(state.lineage) for state in markers.states])
    posterior = _sum_by(by_state, lineage_of, len(LINEAGES))
    types, type_of = _types(markers)
    by_type = _sum_by(by_state, type_of, len(types))
    best_lineage = posterior[:, :UNKNOWN].argmax(axis=1)
    type_lineage = np.array([LINEAGES.index(lineage) for lineage, _ in types])
    within = np.where(type_lineage[None, :] == best_lineage[:, None], by_type, -1)
    best_type = within.argmax(axis=1)
    probability = by_type[np.arange(len(by_type)), best_type]
    named = (posterior.argmax(axis=1) != UNKNOWN) & (depth.native >= limits.min_native_umi)
    named &= posterior[np.arange(len(posterior)), best_lineage] >= limits.call_probability
    words = np.array(LINEAGES, dtype=object)
    lineage = np.where(named, words[best_lineage], "Unknown").astype(object)
    names = np.array([cell_type for _, cell_type in types], dtype=object)
    cell_type = np.where(named, names[best_type], "Unknown").astype(object)
    return posterior, lineage, cell_type, probability


def _contradiction(
    shown: sparse.csr_matrix,
    ambient_rates: np.ndarray,
    depth: Depth,
    markers: Markers,
    lineage: np.ndarray,
    limits: LineageLimits,
) -> np.ndarray:
    """Return (n_barcodes,) the second lineage whose identity genes a barcode carries, or "".

    A gene counts where its UMIs are more than ambient RNA and stray reads (the level `off`)
    would give with probability `contradiction_p`; that many genes of one lineage, unrelated to
    the cell's own, contradict.
    """
    result = np.full(len(lineage), "", dtype=object)
    most = np.zeros(len(lineage), np.int64)
    stray = limits.rate_levels["off"] * 1e-6
    for second, mask in markers.identity.items():
        columns = np.flatnonzero(mask)
        seen = shown[:, columns].toarray()
        mean = np.outer(depth.ambient, ambient_rates[columns]) + stray * depth.native[:, None]
        excess = (_tail(seen, mean) < limits.contradiction_p).sum(axis=1)
        related = {second}.union(*(group for group in RELATED if second in group))
        apart = ~np.isin(lineage.astype(str), [*related, "Unknown"])
        found = apart & (excess >= limits.contradiction_genes) & (excess > most)
        result[found] = second
        most[found] = excess[found]
    return result


def _tail(seen: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return P(X >= seen) of a geometric-like count with the given mean.

    A negative binomial of size 1 has the tail (mean / (1 + mean)) ** seen; it is wider than
    Poisson because a barcode's ambient share is only known on average.
    """
    return (mean / (1 + mean)) ** seen


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


def _all_unknown(n_barcodes: int, note: str) -> LineageCalls:
    posterior = np.zeros((n_barcodes, len(LINEAGES)))
    posterior[:, UNKNOWN] = 1
    words = np.full(n_barcodes, "Unknown", dtype=object)
    empty = np.full(n_barcodes, "", dtype=object)
    return LineageCalls(words, words.copy(), np.zeros(n_barcodes), posterior, empty, (note,))
