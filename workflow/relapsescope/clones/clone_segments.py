"""A clone's immunoglobulin in cells that are no plasma cells: own RNA, or what ambient RNA left?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from relapsescope.clones.ig_clones import IgClone, Usage
from relapsescope.clones.immunoglobulin import KAPPA
from relapsescope.intake.genes import gene_classes
from relapsescope.statistics.distributions import t_log_density

SEGMENTS = ("light_chain", "light_v", "heavy_v", "heavy")
# Immunoglobulin as a share of a cell's own RNA, each as likely: none to a plasma cell's.
LEVELS = np.array([0.0, 0.002, 0.005, 0.015, 0.05, 0.15, 0.4])
# A droplet's ambient RNA against what is expected in it: droplets differ in what they took up.
EXCESS = np.array([0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0])
EXCESS_LOG_SD, EXCESS_DF = 0.35, 5
# Relative variance of a segment's own RNA between cells of one level.
OWN_VARIANCE = 0.5
# Share of the cells of each lineage that make immunoglobulin of their own.
OWN_SHARE = {"B": 0.9, "Unknown": 0.2}
LEAST = 1e-9


@dataclass(frozen=True)
class SegmentModel:
    """What a clone's cells show of each segment.

    Attributes
    ----------
    masks
        By segment, (n_genes,) bool of the clone's own gene and of all other ones.
    shares
        (4, 2) own and other share of the clone's immunoglobulin RNA, summing to 1.
    usage
        (4,) share of other people's cells that have the clone's gene of a segment; of the
        light-chain V gene within its class. 0 where the clone's gene is not known.
    """

    masks: tuple[tuple[np.ndarray, np.ndarray], ...]
    shares: np.ndarray
    usage: np.ndarray


def segment_model(
    clone: IgClone,
    symbols: np.ndarray,
    usage: Usage,
    own: Sequence[tuple[sparse.csr_matrix, np.ndarray, np.ndarray]],
) -> SegmentModel:
    """Return the segments of a clone, learned from its plasma cells.

    Parameters
    ----------
    symbols
        (n_genes,) HGNC symbols.
    own
        By library: counts of the clone's plasma cells, their ambient UMIs, the ambient profile.
    """
    masks = _masks(clone, symbols)
    seen = np.zeros((len(SEGMENTS), 2))
    for counts, ambient_umi, ambient in own:
        sums = np.asarray(counts.sum(axis=0), dtype=float).ravel() - ambient_umi.sum() * ambient
        for i, pair in enumerate(masks):
            seen[i] += [max(float(sums[mask].sum()), 0.0) for mask in pair]
    family = (clone.v_gene or "")[:3]
    wanted = (clone.light_chain, clone.v_gene, clone.heavy_v, clone.heavy)
    within = ("", family, "", "")
    expected = [
        usage.share(name, gene, within=prefix) if gene else 0.0
        for name, gene, prefix in zip(SEGMENTS, wanted, within, strict=True)
    ]
    return SegmentModel(masks, (seen + 0.5) / (seen + 0.5).sum(), np.array(expected))


def segment_log_odds(
    model: SegmentModel,
    counts: sparse.csr_matrix,
    *,
    ambient_umi: np.ndarray,
    ambient: np.ndarray,
    lineage: np.ndarray,
) -> np.ndarray:
    """Return (n_cells,) log-odds that a cell makes the clone's immunoglobulin, against any other.

    Against it stand a cell that makes none, in which all of it is ambient, and one that makes
    its own with segments as other people's cells have them. How much ambient RNA a droplet took
    up is not known: each multiple of `EXCESS` is weighed, on both sides.
    """
    seen = np.stack(
        [[_umi(counts, mask) for mask in pair] for pair in model.masks], axis=0
    )  # (4, 2, n)
    soup = np.array([[float(ambient[mask].sum()) for mask in pair] for pair in model.masks])
    total = np.maximum(np.asarray(counts.sum(axis=1), dtype=float).ravel(), 1.0)
    weight = t_log_density(np.log(EXCESS) / EXCESS_LOG_SD, EXCESS_DF)
    weight -= special.logsumexp(weight)
    n, own_share = counts.shape[0], np.array([OWN_SHARE.get(name, 0.2) for name in lineage])
    clone, nothing, other = (np.full((len(EXCESS), n), -np.inf) for _ in range(3))
    for i, excess in enumerate(EXCESS):
        taken = ambient_umi * excess
        native = np.maximum(total - taken, 0.05 * total)
        background = soup[:, :, None] * taken
        by_level = [
            _log_counts(seen, background, model.shares[:, :, None] * level * native)
            for level in LEVELS
        ]
        clone[i] = special.logsumexp(np.sum(by_level, axis=(1, 2)), axis=0) - np.log(len(LEVELS))
        nothing[i] = np.sum(by_level[0], axis=(0, 1))
        other[i] = _other_immunoglobulin(model, seen, background, native)
    clone, nothing, other = (
        special.logsumexp(values + weight[:, None], axis=0) for values in (clone, nothing, other)
    )
    against = np.logaddexp(nothing + np.log(1 - own_share), other + np.log(own_share))
    return clone - against


def _other_immunoglobulin(
    model: SegmentModel, seen: np.ndarray, background: np.ndarray, native: np.ndarray
) -> np.ndarray:
    """Return (n_cells,) log-likelihood of immunoglobulin of someone else's usage, at any level."""
    both = model.shares.sum(axis=1)
    found = []
    for level in LEVELS[1:]:
        own = (both * level)[:, None] * native
        nought = np.zeros_like(own)
        # A segment is the clone's gene by chance, or another one.
        same = _log_counts(seen, background, np.stack([own, nought], axis=1)).sum(axis=1)
        differs = _log_counts(seen, background, np.stack([nought, own], axis=1)).sum(axis=1)
        share = np.clip(model.usage, LEAST, 1 - LEAST)[:, None]
        mixed = np.logaddexp(same + np.log(share), differs + np.log1p(-share))
        # The V gene is of the class: without the class it is not the clone's.
        light = np.logaddexp(
            same[0] + np.log(share[0]) + mixed[1], differs[0] + np.log1p(-share[0]) + differs[1]
        )
        found.append(light + mixed[2] + mixed[3])
    return special.logsumexp(found, axis=0) - np.log(len(found))


def _log_counts(seen: np.ndarray, background: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return log-probabilities of counts: Poisson where ambient, wider by the cell's own part."""
    mean = background + own + LEAST
    size = mean**2 / np.maximum(OWN_VARIANCE * own**2, 1e-12)
    size = np.clip(size, 1e-3, 1e7)
    found = special.gammaln(seen + size) - special.gammaln(size) - special.gammaln(seen + 1)
    return found + size * np.log(size / (size + mean)) + seen * np.log(mean / (size + mean))


def _umi(counts: sparse.csr_matrix, mask: np.ndarray) -> np.ndarray:
    return np.asarray(counts[:, np.flatnonzero(mask)].sum(axis=1), dtype=float).ravel()


def _masks(clone: IgClone, symbols: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return by segment the clone's own genes and all others."""
    classes = gene_classes(symbols)
    # The distal copies of kappa genes (IGKV1D-39) count as their twins, as in the calls.
    names = np.array([re.sub(r"^(IGKV\d)D", r"\1", str(symbol)) for symbol in symbols])
    kappa, lambda_ = classes["kappa_constant"], classes["lambda_constant"]
    own = kappa if clone.light_chain == KAPPA else lambda_
    light = np.array([name.startswith(("IGKV", "IGLV")) for name in names])
    heavy_v = np.array([name.startswith("IGHV") for name in names])
    heavy = classes["heavy_constant"]
    found = [(own, (kappa | lambda_) & ~own)]
    for every, gene in ((light, clone.v_gene), (heavy_v, clone.heavy_v), (heavy, clone.heavy)):
        chosen = every & (names == (gene or ""))
        found.append((chosen, every & ~chosen))
    return tuple(found)
