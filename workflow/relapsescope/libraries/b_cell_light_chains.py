"""Is one light chain too common among a library's B cells? A finding, no verdict."""

from dataclasses import dataclass

import numpy as np

from relapsescope.intake.counts import Counts
from relapsescope.intake.genes import gene_classes
from relapsescope.libraries.ambient import Ambient
from relapsescope.libraries.settings import LightChainLimits
from relapsescope.statistics.proportions import exact_proportion


@dataclass(frozen=True)
class LightChainRatio:
    """B cells of either light chain, and their ratio; the interval is 95 %.

    Attributes
    ----------
    kappa, lambda_
        B cells whose light-chain molecules are of that chain.
    ratio, low, high
        Kappa to lambda; null without such a cell, `high` infinite where none shows lambda.
    """

    kappa: int
    lambda_: int
    ratio: float | None
    low: float | None
    high: float | None


def light_chain_ratio(
    counts: Counts, b_cells: np.ndarray, ambient: Ambient, limits: LightChainLimits
) -> LightChainRatio:
    """Return the kappa-to-lambda ratio of a library's B cells.

    A B cell shows one light chain; which one, is told of cells that hold `min_umi` light-chain
    molecules beyond their expected ambient ones, `min_share` of these of one chain. The interval
    is that of an exact proportion, as odds.

    Parameters
    ----------
    b_cells
        (n_barcodes,) bool; B cells that passed quality control, doublets left out.
    """
    classes = gene_classes(counts.symbols)
    chains = (counts.symbols == "IGKC", classes["lambda_constant"])
    cells = np.flatnonzero(b_cells)
    kappa, lambda_ = (
        np.maximum(
            np.asarray(counts.matrix[cells][:, np.flatnonzero(genes)].sum(axis=1)).ravel()
            - ambient.per_cell[cells] * ambient.profile[genes].sum(),
            0,
        )
        for genes in chains
    )
    both = kappa + lambda_
    told = both >= limits.min_umi
    n_kappa = int(np.count_nonzero(told & (kappa >= limits.min_share * both)))
    n_lambda = int(np.count_nonzero(told & (lambda_ >= limits.min_share * both)))
    share = exact_proportion(n_kappa, n_kappa + n_lambda)
    if share.share is None:
        return LightChainRatio(0, 0, None, None, None)
    return LightChainRatio(
        n_kappa, n_lambda, *(_odds(value) for value in (share.share, share.low, share.high))
    )


def restricted(found: LightChainRatio, limits: LightChainLimits) -> str:
    """Return the finding where the whole interval lies outside the usual ratios, else ""."""
    if found.ratio is None or not (found.low > limits.high or found.high < limits.low):
        return ""
    chain = "kappa" if found.low > limits.high else "lambda"
    return (
        f"B cells are restricted to {chain}: {found.kappa} show kappa and {found.lambda_} lambda, "
        f"a ratio of {found.ratio:.2g} (interval {found.low:.2g} to {found.high:.2g}; "
        f"{limits.low:g} to {limits.high:g} is usual). A clonal B-cell population is possible; "
        "this is a finding, no diagnosis"
    )


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else np.inf
