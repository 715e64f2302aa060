"""How much CAR-T cells changed towards exhaustion: effects with intervals, nulls and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from relapsescope.car_t.contrasts import Contrast, Group, vector
from relapsescope.car_t.settings import ExhaustionSettings
from relapsescope.libraries.signatures import TOP_RANKS, largest_scores
from relapsescope.statistics.leanings import normal_leaning
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import EXHAUSTED, INDETERMINATE, NOT_EXHAUSTED

# A random gene is drawn from this many whose mean is nearest to the gene it stands for.
NEAREST = 100
# Sets scored beside: a stimulus raises them, and with them receptors that exhaustion raises too.
REACTIVE = ("activation", "effector")
INSEPARABLE = (
    "a rise could not be told from the libraries' own difference, for want of T cells without the "
    "transgene in both"
)
# The mean of more cells is normal; drawing each anew would cost memory for nothing.
MANY_CELLS = 3000


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


@dataclass(frozen=True)
class Joint:
    """The primary sets' mean change, the one score that was fixed beforehand.

    Attributes
    ----------
    estimate
        Mean of the primary sets' effects, in the comparison of `Effect.estimate`.
    low, high
        One-sided 95 % limits: the rise is at least `low`, at most `high`; each the wider of those
        with and without control cells.
    p
        One-sided probability of a rise as large where nothing changed, so that the judged cells
        vary as those that they are compared with: of the difference-in-differences where there are
        control cells, else of the difference.
    null_share
        Share of random sets, drawn in the place of each primary set, whose mean rose as much.
    plain_p
        As `p`, of the difference alone, which holds what the libraries themselves differ by.
    """

    estimate: float
    low: float
    high: float
    p: float
    null_share: float
    plain_p: float


@dataclass(frozen=True)
class _Change:
    """A score's change in one contrast: its draws, and what random sets show.

    `unchanged` are draws in which the judged cells vary as those that they are compared with.
    """

    estimate: float
    drawn: np.ndarray
    shifts: np.ndarray
    sampling: np.ndarray
    least_sd: float
    unchanged: np.ndarray

    @property
    def between(self) -> float:
        """Standard deviation between libraries, beyond that of the cells."""
        beyond = np.var(self.shifts) - np.mean(self.sampling**2)
        return float(max(np.sqrt(max(beyond, 0.0)), self.least_sd))

    @property
    def null_share(self) -> float:
        return float((1 + np.sum(self.shifts >= self.estimate)) / (1 + len(self.shifts)))

    @property
    def error(self) -> float:
        """Standard error: of cells, libraries drawn anew, and the libraries' own variation."""
        return float(np.hypot(self.drawn.std(), self.between))

    @property
    def p(self) -> float:
        """One-sided probability of as large a rise where nothing changed.

        Cells of which a part is exhausted vary more than cells that did not change: a test of no
        change takes the variation that there is without one (a score test).
        """
        error = float(np.hypot(self.unchanged.std(), self.between))
        return float(special.ndtr(-self.estimate / error))

    def interval(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return the central 95 %, the estimate always in it."""
        total = self.drawn + rng.normal(0.0, self.between, len(self.drawn))
        low, high = np.quantile(total, [0.025, 0.975])
        return min(low, self.estimate), max(high, self.estimate)


def effects(
    scores: Scores, contrast: Contrast, settings: ExhaustionSettings, *, seed: int
) -> tuple[list[Effect], Joint | None]:
    """Return every set's effect in a comparison, and the primary sets' joint one.

    The interval holds three sources of error: cells are drawn anew within each group, libraries
    anew where several are compared with (hierarchical bootstrap), and the libraries' own
    variation comes from random sets of genes of the same mean: what these scatter beyond the
    error of their cells is added, since a single library on each side cannot be drawn anew.
    None for the joint effect where a primary set has no gene or no variation.
    """
    plain = vector(contrast.plain, scores.groups)
    both = plain - vector(contrast.controls, scores.groups)
    unit = _unit(scores, plain, plain - both)
    rng = np.random.default_rng(seed)
    contrasts = np.vstack([plain, both])
    drawn = _bootstrap(scores.cells, scores, contrasts, contrast, settings.bootstraps, rng=rng)
    same = _as_compared(scores, plain)
    unchanged = _bootstrap(same, scores, contrasts, contrast, settings.bootstraps, rng=rng)
    found, primary = [], []
    for column, name in enumerate(scores.set_names):
        at = np.flatnonzero(scores.weights[:, column])
        if not at.size or not unit[column] > 0:
            continue
        draws = drawn[:, :, column], unchanged[:, :, column]
        pair = _changes(scores, contrasts, draws, column, unit, settings=settings, rng=rng)
        found.append(_effect(name, pair, bool(contrast.controls), int(at.size), rng))
        if name in settings.primary:
            primary.append(pair)
    if len(primary) < len(settings.primary):
        return found, None
    return found, _joint(primary, bool(contrast.controls))


def _changes(
    scores: Scores,
    contrasts: np.ndarray,
    draws: tuple[np.ndarray, np.ndarray],
    column: int,
    unit: np.ndarray,
    *,
    settings: ExhaustionSettings,
    rng: np.random.Generator,
) -> tuple[_Change, _Change]:
    """Return a set's change in the plain difference and in the difference-in-differences."""
    weights = scores.weights[:, column]
    at = np.flatnonzero(weights)
    weights = weights[at]
    scale = largest_scores(scores.weights[:, [column]], TOP_RANKS)[0] * unit[column]
    null = _random_sets(scores, at, weights, settings.random_sets, rng)
    pair = []
    for row, weights_of_groups in enumerate(contrasts):
        change = weights_of_groups @ np.nan_to_num(scores.means)
        error = weights_of_groups @ np.nan_to_num(scores.halves)
        pair.append(
            _Change(
                float(change[at] @ weights / scale),
                draws[0][row] / unit[column],
                change[null] @ weights / scale,
                error[null] @ weights / scale,
                settings.library_sd,
                draws[1][row] / unit[column],
            )
        )
    return pair[0], pair[1]


def _effect(
    name: str,
    pair: tuple[_Change, _Change],
    controlled: bool,
    n_genes: int,
    rng: np.random.Generator,
) -> Effect:
    plain, both = pair
    plain_interval, interval = plain.interval(rng), both.interval(rng)
    best, around = (both, interval) if controlled else (plain, plain_interval)
    null = np.quantile(best.shifts, [0.025, 0.975])
    return Effect(
        *(name, best.estimate, *around, plain.estimate, *plain_interval),
        *(max(best.null_share, plain.null_share), *null, best.between, n_genes),
    )


def _joint(primary: Sequence[tuple[_Change, _Change]], controlled: bool) -> Joint:
    """Return the mean of the primary sets' changes; their cells are drawn together."""
    means = [
        _Change(
            float(np.mean([pair[row].estimate for pair in primary])),
            np.mean([pair[row].drawn for pair in primary], axis=0),
            np.mean([pair[row].shifts for pair in primary], axis=0),
            np.mean([pair[row].sampling for pair in primary], axis=0),
            primary[0][row].least_sd,
            np.mean([pair[row].unchanged for pair in primary], axis=0),
        )
        for row in (0, 1)
    ]
    best = means[1] if controlled else means[0]
    reach = float(special.ndtri(0.95))
    return Joint(
        estimate=best.estimate,
        low=min(one.estimate - reach * one.error for one in (best, means[0])),
        high=max(one.estimate + reach * one.error for one in (best, means[0])),
        p=best.p,
        null_share=max(best.null_share, means[0].null_share),
        plain_p=means[0].p,
    )


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


def _as_compared(scores: Scores, plain: np.ndarray) -> dict[Group, np.ndarray]:
    """Return the groups' cells, the judged ones drawn together to vary as the compared ones do.

    Where they vary less than those of the same stratum they stay as they are.
    """
    found = dict(scores.cells)
    for number in np.flatnonzero(plain > 0):
        stratum = scores.groups[number][2]
        others = [
            scores.cells[scores.groups[i]]
            for i in np.flatnonzero(plain < 0)
            if scores.groups[i][2] == stratum and scores.groups[i] in scores.cells
        ]
        own = scores.cells[scores.groups[number]]
        centred = [cells - cells.mean(axis=0) for cells in others if len(cells) > 1]
        if centred and len(own) > 1:
            deviations = np.concatenate(centred)
            scale = deviations.std(axis=0) / np.maximum(own.std(axis=0), 1e-12)
            middle = own.mean(axis=0)
            found[scores.groups[number]] = middle + (own - middle) * np.minimum(scale, 1.0)
    return found


def _bootstrap(
    cells: Mapping[Group, np.ndarray],
    scores: Scores,
    contrasts: np.ndarray,
    contrast: Contrast,
    n: int,
    *,
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
        means = _means_anew(cells[group], n, rng)
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
    found: Sequence[Effect],
    joint: Joint | None,
    contrast: Contrast | None,
    n_cells: int,
    settings: ExhaustionSettings,
) -> tuple[str, str]:
    """Return the verdict and its reason.

    `EXHAUSTED` needs the joint effect of the primary sets to be at least `min_effect`, its
    one-sided probability under no change at most `max_joint_p`, without the control cells at most
    `max_plain_p`, and beyond random sets; every primary set to have risen by `min_set_effect`, so
    that one alone does not decide; enough sets, the sensitivity sets among them, that point
    upward; and neither activation nor effector function to have risen as much. `NOT_EXHAUSTED`
    needs the joint effect's one-sided limit below `absent_effect`, with and without the controls.
    """
    if n_cells < settings.min_cells:
        return INDETERMINATE, (
            f"too few CAR-T cells with enough UMIs: {n_cells}, at least {settings.min_cells} are "
            "needed"
        )
    if contrast is None:
        return INDETERMINATE, "no earlier CAR-T cells and no T cells without the transgene"
    if joint is None:
        return INDETERMINATE, "a primary gene set has no gene in these libraries"
    by_name = {one.name: one for one in found}
    primary = [by_name[name] for name in settings.primary]
    panel = [by_name[n] for n in (*settings.primary, *settings.sensitivity) if n in by_name]
    rose = sum(one.estimate > 0 for one in panel)
    told = _numbers(joint, primary, rose, len(panel), contrast)
    same = contrast.name == "same_library"
    least = settings.min_effect_same_library if same else settings.min_effect
    if not contrast.controls and not same:
        why = INSEPARABLE
    else:
        why = _missing(joint, primary, rose, least, settings) or _reacting(joint, by_name)
    if not why:
        return EXHAUSTED, told
    if joint.high < settings.absent_effect:
        return NOT_EXHAUSTED, told
    return INDETERMINATE, f"{why}: {told}"


def _numbers(
    joint: Joint, primary: Sequence[Effect], rose: int, n_sets: int, contrast: Contrast
) -> str:
    sets = ", ".join(
        f"{one.name} {one.estimate:+.2f} ({one.low:+.2f} to {one.high:+.2f})" for one in primary
    )
    return (
        f"joint change of the primary sets {joint.estimate:+.2f} SD (one-sided 95 % limits "
        f"{joint.low:+.2f} and {joint.high:+.2f}; {sets}); {rose} of {n_sets} sets point upward; "
        f"against {_against(contrast)}"
    )


def _against(contrast: Contrast) -> str:
    if contrast.name == "same_library":
        told = "T cells without the transgene of the same library (no earlier CAR-T cells)"
        before = f" and T cells before the infusion ({', '.join(contrast.samples)})"
        return told + (before if contrast.controls else "")
    kind = "with" if contrast.controls else "without"
    return f"CAR-T cells of {', '.join(contrast.samples)}, {kind} control T cells"


def _missing(
    joint: Joint,
    primary: Sequence[Effect],
    rose: int,
    least: float,
    settings: ExhaustionSettings,
) -> str:
    """Return in words what keeps a change from being exhaustion; empty where nothing does."""
    if joint.p > settings.max_joint_p:
        return "a rise is not shown beyond chance"
    if joint.plain_p > settings.max_plain_p:
        return "a rise is not shown without the control T cells"
    if joint.estimate < least:
        return f"the rise is under {least:g} SD"
    if joint.null_share > settings.max_null_share:
        return "random sets of genes rose as much"
    flat = [one.name for one in primary if min(one.estimate, one.plain) < settings.min_set_effect]
    if flat:
        return f"{' and '.join(flat)} did not rise by {settings.min_set_effect:g} SD"
    if rose < settings.min_agreeing:
        return f"only {rose} sets point upward"
    return ""


def _reacting(joint: Joint, by_name: Mapping[str, Effect]) -> str:
    """Return "" unless activation or effector function rose as much as the exhaustion sets."""
    names = [
        name for name in REACTIVE if name in by_name and by_name[name].estimate >= joint.estimate
    ]
    return f"{' and '.join(names)} rose as much as the exhaustion sets" if names else ""


def exhaustion_leaning(estimate: float, low: float, high: float, beliefs: LeaningSettings) -> float:
    """Return the probability that the cells are exhausted from the joint effect and its limits."""
    return normal_leaning(
        estimate,
        (high - low) / (2 * special.ndtri(0.95)),
        holds=(beliefs.exhausted_effect, beliefs.exhausted_effect_sd),
        fails=(0.0, beliefs.unchanged_effect_sd),
        prior=beliefs.prior,
    )
