"""Immunoglobulin of single cells: light-chain class, V genes, heavy chain."""

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.clones.settings import ImmunoglobulinSettings
from relapsescope.intake.genes import gene_classes

KAPPA, LAMBDA, AMBIGUOUS = "kappa", "lambda", "ambiguous"
# Reads of one light chain's constant region that align to the other's, or spill from neighbours.
STRAY_SHARE = 0.02


@dataclass(frozen=True)
class Immunoglobulin:
    """What each cell's immunoglobulin is; every array is (n_cells,).

    Attributes
    ----------
    light_chain
        ``kappa``, ``lambda``, ``ambiguous`` (both, or ambient RNA could explain it), None with
        too few informative UMIs or without light-chain genes in the matrix.
    kappa, lambda_
        Constant-region UMIs, ambient share taken off.
    light_v, heavy_v, heavy
        The variable genes and the heavy constant gene, None where not called.
    assessable
        Whether the matrix has light-chain genes at all.
    """

    light_chain: np.ndarray
    kappa: np.ndarray
    lambda_: np.ndarray
    kappa_observed: np.ndarray
    lambda_observed: np.ndarray
    light_v: np.ndarray
    heavy_v: np.ndarray
    heavy: np.ndarray
    assessable: bool


def call_immunoglobulin(
    counts: sparse.csr_matrix,
    symbols: np.ndarray,
    *,
    ambient_umi: np.ndarray,
    ambient: np.ndarray,
    settings: ImmunoglobulinSettings,
) -> Immunoglobulin:
    """Return light-chain class, V genes and heavy chain of each cell of one library.

    Works on any cells (plasma or B cells, or as a control others).

    Parameters
    ----------
    counts
        (n_cells, n_genes) UMIs.
    symbols
        (n_genes,) HGNC symbols.
    ambient_umi
        (n_cells,) ambient UMIs expected in each cell.
    ambient
        (n_genes,) shares of the library's ambient RNA.
    """
    classes = gene_classes(symbols)
    kappa, kappa_ambient = _sum(counts, classes["kappa_constant"], ambient_umi, ambient)
    lambda_, lambda_ambient = _sum(counts, classes["lambda_constant"], ambient_umi, ambient)
    assessable = bool(classes["kappa_constant"].any() and classes["lambda_constant"].any())
    light_chain = call_light_chain(kappa, lambda_, kappa_ambient, lambda_ambient, settings=settings)
    if not assessable:
        light_chain = np.full(len(kappa), None, dtype=object)
    names = [str(symbol) for symbol in symbols]
    light = np.array([name.startswith(("IGKV", "IGLV")) for name in names])
    heavy = np.array([name.startswith("IGHV") for name in names])

    def segment(mask: np.ndarray) -> np.ndarray:
        return call_segment(counts, symbols, mask, ambient_umi, ambient, settings=settings)

    return Immunoglobulin(
        light_chain=light_chain,
        kappa=np.maximum(kappa - kappa_ambient, 0.0),
        lambda_=np.maximum(lambda_ - lambda_ambient, 0.0),
        kappa_observed=kappa,
        lambda_observed=lambda_,
        light_v=segment(light),
        heavy_v=segment(heavy),
        heavy=segment(classes["heavy_constant"]),
        assessable=assessable,
    )


def call_light_chain(
    kappa: np.ndarray,
    lambda_: np.ndarray,
    kappa_ambient: np.ndarray,
    lambda_ambient: np.ndarray,
    *,
    settings: ImmunoglobulinSettings,
) -> np.ndarray:
    """Return ``kappa``, ``lambda``, ``ambiguous`` or None for each cell.

    A cell is called when enough UMIs remain after the ambient share is taken off, one class
    makes up `class_share` of what remains, and the class explains the observed counts
    better than the other one (binomial likelihoods of the observed kappa share, in which
    ambient and stray UMIs are part of the expectation) with posterior `class_posterior`.
    """
    own_kappa = np.maximum(kappa - kappa_ambient, 0.0)
    own_lambda = np.maximum(lambda_ - lambda_ambient, 0.0)
    own = own_kappa + own_lambda
    expected = np.maximum(own + kappa_ambient + lambda_ambient, 1e-9)
    if_kappa = np.clip(((1 - STRAY_SHARE) * own + kappa_ambient) / expected, 1e-4, 1 - 1e-4)
    if_lambda = np.clip((STRAY_SHARE * own + kappa_ambient) / expected, 1e-4, 1 - 1e-4)
    log_odds = kappa * np.log(if_kappa / if_lambda)
    log_odds += lambda_ * np.log((1 - if_kappa) / (1 - if_lambda))
    sure = np.log(settings.class_posterior / (1 - settings.class_posterior))
    share = own_kappa / np.maximum(own, 1e-9)
    # Counts beyond what ambient RNA alone would leave by chance: three informative UMIs.
    noise = np.sqrt(kappa_ambient + lambda_ambient)
    informative = (own >= settings.min_umi) & (own >= 2 * noise)
    calls = np.full(len(kappa), None, dtype=object)
    calls[(kappa + lambda_ >= settings.min_umi)] = AMBIGUOUS
    calls[informative & (share >= settings.class_share) & (log_odds >= sure)] = KAPPA
    calls[informative & (share <= 1 - settings.class_share) & (log_odds <= -sure)] = LAMBDA
    return calls


def call_segment(
    counts: sparse.csr_matrix,
    symbols: np.ndarray,
    mask: np.ndarray,
    ambient_umi: np.ndarray,
    ambient: np.ndarray,
    *,
    settings: ImmunoglobulinSettings,
) -> np.ndarray:
    """Return each cell's gene among `mask`, None where none stands out of the ambient RNA."""
    calls = np.full(counts.shape[0], None, dtype=object)
    columns = np.flatnonzero(mask)
    if not len(columns) or not counts.shape[0]:
        return calls
    # The distal copies of kappa genes (IGKV1D-39) differ by a few bases: reads go to either.
    single = [re.sub(r"^(IGKV\d)D", r"\1", str(symbol)) for symbol in symbols[columns]]
    names, place = np.unique(np.array(single, dtype=object), return_inverse=True)
    together = np.zeros((len(columns), len(names)))
    together[np.arange(len(columns)), place] = 1.0
    seen = np.asarray(counts[:, columns] @ together)
    soup = np.outer(ambient_umi, ambient[columns] @ together)
    own = np.maximum(seen - soup, 0.0)
    top = own.argmax(axis=1)
    cells = np.arange(len(own))
    best, noise = own[cells, top], np.sqrt(soup[cells, top])
    clear = (best >= settings.min_v_umi + 2 * noise) & (
        best >= settings.v_share * np.maximum(own.sum(axis=1), 1e-9)
    )
    calls[clear] = names[top[clear]]
    return calls


def _sum(
    counts: sparse.csr_matrix, mask: np.ndarray, ambient_umi: np.ndarray, ambient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the summed UMIs of `mask` in each cell, and those expected from ambient RNA."""
    columns = np.flatnonzero(mask)
    observed = np.asarray(counts[:, columns].sum(axis=1), dtype=float).ravel()
    return observed, ambient_umi * float(ambient[columns].sum())
