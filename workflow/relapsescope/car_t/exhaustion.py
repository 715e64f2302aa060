"""How much CAR-T cells changed towards exhaustion: effects with intervals, nulls and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.car_t.contrasts import Contrast, Group, vector
from relapsescope.libraries.signatures import TOP_RANKS, largest_scores

EXHAUSTED, NOT_EXHAUSTED, INDETERMINATE = "EXHAUSTED", "NOT_EXHAUSTED", "INDETERMINATE"
# A random gene is drawn from this many whose mean is nearest to the gene it stands for.
NEAREST = 100
INSEPARABLE = (
    "a rise could not be told from the libraries' own difference, for want of T cells without the "
    "transgene in both"
)
# The mean of more cells is normal; drawing each anew would cost memory for nothing.
MANY_CELLS = 3000


@dataclass(frozen=True)
class ExhaustionSettings:
    """Numbers of the comparison; `config.yaml`, section `exhaustion`, explains each."""

    primary: tuple[str, ...]
    sensitivity: tuple[str, ...]
    min_cells: int
    min_reference_cells: int
    bootstraps: int
    random_sets: int
    max_null_share: float
    min_effect: float
    absent_effect: float
    min_effect_same_library: float
    min_agreeing: int
    library_sd: float


@dataclass(frozen=True)
class Scores:
    """Everything that a patient's comparisons rest on.

    Attributes
    ----------
    groups
        (sample, status, stratum) in the order of the rows of `means`.
    cells
        Scores (n_cells, n_sets) of each group's cells.
    means, halves
        (n_groups, n_genes) as in `t_cell_scores.ScoredLibrary`.
    sizes
        (n_groups,) scored cells.
    weights
        (n_genes, n_sets) of the sets.
    set_names
        Of the columns of `weights` and of the scores.
    drawable
        (n_genes,) bool: genes that a random set may hold.
    """

    groups: tuple[Group, ...]
    cells: Mapping[Group, np.ndarray]
    means: np.ndarray
    halves: np.ndarray
    sizes: np.ndarray
    weights: np.ndarray
    set_names: tuple[str, ...]
    drawable: np.ndarray


@dataclass(frozen=True)
class Effect:
    """One set's change in one comparison, in standard deviations of the compared cells.

    Attributes
    ----------
    estimate, low, high
        Of the difference-in-differences where there are control cells, else of the difference.
    plain, plain_low, plain_high
        Of the difference alone.
    null_share
        Share of random sets that rose as much.
    null_low, null_high
        95 % range of the random sets.
    library_sd
        What the random sets show of library-to-library variation.
    """

    name: str
    estimate: float
    low: float
    high: float
    plain: float
    plain_low: float
    plain_high: float
    null_share: float
    null_low: float
    null_high: float
    library_sd: float
    n_genes: int


def effects(
    scores: Scores, contrast: Contrast, settings: ExhaustionSettings, *, seed: int
) -> list[Effect]:
    """Return every set's effect in a comparison.

    The interval holds three sources of error: cells are drawn anew within each group, libraries
    anew where several are compared with (hierarchical bootstrap), and the libraries' own
    variation comes from random sets of genes of the same mean: what these scatter beyond the
    error of their cells is added, since a single library on each side cannot be drawn anew.
    """
    plain = vector(contrast.plain, scores.groups)
    controls = vector(contrast.controls, scores.groups)
    both = plain - controls
    unit = _unit(scores, plain, controls)
    rng = np.random.default_rng(seed)
    drawn = _bootstrap(scores, np.vstack([plain, both]), contrast, settings.bootstraps, rng)
    found = []
    for column, name in enumerate(scores.set_names):
        weights = scores.weights[:, column]
        at = np.flatnonzero(weights)
        if not at.size or not unit[column] > 0:
            continue
        scale = largest_scores(weights[:, None], TOP_RANKS)[0] * unit[column]
        null = _random_sets(scores, at, weights[at], settings.random_sets, rng)
        results = []
        for row, contrast_vector in enumerate((plain, both)):
            change = contrast_vector @ np.nan_to_num(scores.means)
            error = contrast_vector @ np.nan_to_num(scores.halves)
            estimate = change[at] @ weights[at] / scale
            shifts = change[null] @ weights[at] / scale
            sampling = error[null] @ weights[at] / scale
            between = np.sqrt(max(np.var(shifts) - np.mean(sampling**2), 0.0))
            between = max(between, settings.library_sd)
            noise = rng.normal(0.0, between, settings.bootstraps)
            total = drawn[row][:, column] / unit[column] + noise
            low, high = np.quantile(total, [0.025, 0.975])
            share = (1 + np.sum(shifts >= estimate)) / (1 + len(shifts))
            around = np.quantile(shifts, [0.025, 0.975])
            interval = (min(low, estimate), max(high, estimate))
            results.append((estimate, *interval, share, *around, between))
        one, other = results
        best = other if contrast.controls else one
        found.append(
            Effect(
                name,
                *best[:3],
                *one[:3],
                float(max(best[3], one[3])),
                *best[4:6],
                best[6],
                int(at.size),
            )
        )
    return found


def _unit(scores: Scores, plain: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Return (n_sets,) the standard deviation of a cell's score within the compared groups."""
    compared = (plain < 0) | (controls != 0)
    total, n = np.zeros(len(scores.set_names)), 0
    for group, used in zip(scores.groups, compared, strict=True):
        cells = scores.cells.get(group)
        if used and cells is not None and len(cells) > 1:
            total += cells.var(axis=0) * len(cells)
            n += len(cells) - 1
    return np.sqrt(total / n) if n else np.full(len(total), np.nan)


def _bootstrap(
    scores: Scores,
    contrasts: np.ndarray,
    contrast: Contrast,
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (n_contrasts, n, n_sets) contrasts of means of cells drawn anew."""
    total = np.zeros((len(contrasts), n, len(scores.set_names)))
    drawn_anew = {name: np.ones(n) for name in contrast.samples}
    if len(contrast.samples) > 1:
        share = np.full(len(contrast.samples), 1 / len(contrast.samples))
        times = rng.multinomial(len(contrast.samples), share, size=n)
        drawn_anew = dict(zip(contrast.samples, times.T, strict=True))
    # A stratum that lost all its libraries in a draw falls back on all of them.
    weight_of = {}
    for number, (sample, status, stratum) in enumerate(scores.groups):
        if (contrasts[:, number] != 0).any() and sample in drawn_anew:
            weight_of.setdefault((status, stratum), []).append(number)
    factors = np.ones((len(scores.groups), n))
    for numbers in weight_of.values():
        times = np.array([drawn_anew[scores.groups[i][0]] for i in numbers], dtype=float)
        whole = times.sum(axis=0)
        scaled = np.where(whole > 0, times * len(numbers) / np.maximum(whole, 1), 1.0)
        factors[numbers] = scaled
    for number, group in enumerate(scores.groups):
        if not (contrasts[:, number] != 0).any():
            continue
        means = _means_anew(scores.cells[group], n, rng)
        for row, weights in enumerate(contrasts):
            total[row] += weights[number] * factors[number][:, None] * means
    return total


def _means_anew(cells: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, n_sets) means of the cells drawn with replacement; normal ones where many."""
    size = len(cells)
    if size > MANY_CELLS:
        covariance = np.atleast_2d(np.cov(cells, rowvar=False)) / size
        return rng.multivariate_normal(cells.mean(axis=0), covariance, size=n, method="eigh")
    times = rng.multinomial(size, np.full(size, 1 / size), size=n)
    return times @ cells / size


def _random_sets(
    scores: Scores, at: np.ndarray, weights: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (n, n_genes) genes of like mean, one for each gene of the set."""
    sizes = np.maximum(scores.sizes, 0.0)
    mean = sizes @ np.nan_to_num(scores.means) / max(sizes.sum(), 1.0)
    pool = np.flatnonzero(scores.drawable & (mean > 0))
    pool = pool[np.argsort(mean[pool], kind="stable")]
    found = np.zeros((n, len(at)), dtype=np.int64)
    for column, gene in enumerate(at):
        place = int(np.searchsorted(mean[pool], mean[gene]))
        start = int(np.clip(place - NEAREST // 2, 0, max(len(pool) - NEAREST, 0)))
        found[:, column] = pool[start + rng.integers(0, min(NEAREST, len(pool)), n)]
    return found


def verdict_of(
    found: Sequence[Effect], contrast: Contrast | None, n_cells: int, settings: ExhaustionSettings
) -> tuple[str, str]:
    """Return the verdict and its reason.

    `EXHAUSTED` needs every primary set: the interval of its effect (with and without the control
    cells) above 0, the estimate at least `min_effect`, a rise beyond that of random sets; and
    enough sets, the sensitivity sets among them, that rose. `NOT_EXHAUSTED` needs the interval of
    every primary set below `absent_effect`.
    """
    if n_cells < settings.min_cells:
        return INDETERMINATE, f"{n_cells} CAR-T cells with enough UMIs; {settings.min_cells} needed"
    if contrast is None:
        return INDETERMINATE, "no earlier CAR-T cells and no T cells without the transgene"
    by_name = {one.name: one for one in found}
    primary = [by_name[name] for name in settings.primary if name in by_name]
    if len(primary) < len(settings.primary):
        return INDETERMINATE, "a primary gene set has no gene in these libraries"
    panel = [by_name[n] for n in (*settings.primary, *settings.sensitivity) if n in by_name]
    rose = sum(one.estimate > 0 for one in panel)
    numbers = "; ".join(
        f"{one.name} {one.estimate:+.2f} ({one.low:+.2f} to {one.high:+.2f})" for one in primary
    )
    told = f"{numbers} SD; {rose} of {len(panel)} sets rose; against {_against(contrast)}"
    same = contrast.name == "same_library"
    least = settings.min_effect_same_library if same else settings.min_effect
    separable = bool(contrast.controls) or same
    shown = separable and all(
        min(one.low, one.plain_low) > 0
        and one.estimate >= least
        and one.null_share <= settings.max_null_share
        for one in primary
    )
    if shown and rose >= settings.min_agreeing:
        return EXHAUSTED, told
    if all(max(one.high, one.plain_high) < settings.absent_effect for one in primary):
        return NOT_EXHAUSTED, told
    why = _missing(primary, rose, least, settings) if separable else INSEPARABLE
    return INDETERMINATE, f"{why}: {told}"


def _against(contrast: Contrast) -> str:
    if contrast.name == "same_library":
        told = "T cells without the transgene of the same library (no earlier CAR-T cells)"
        before = f" and T cells before the infusion ({', '.join(contrast.samples)})"
        return told + (before if contrast.controls else "")
    kind = "with" if contrast.controls else "without"
    return f"CAR-T cells of {', '.join(contrast.samples)}, {kind} control T cells"


def _missing(
    primary: Sequence[Effect], rose: int, least: float, settings: ExhaustionSettings
) -> str:
    """Return in words what keeps a change from being a verdict."""
    risen = [one for one in primary if min(one.low, one.plain_low) > 0]
    if not risen:
        return "the intervals are too wide for either verdict"
    if len(risen) < len(primary):
        return f"only {', '.join(one.name for one in risen)} rose: the primary sets disagree"
    if any(one.null_share > settings.max_null_share for one in primary):
        return "random sets of genes rose as much"
    if any(one.estimate < least for one in primary):
        return f"the rise is under {least:g} SD"
    return f"only {rose} sets rose"
