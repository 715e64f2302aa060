"""Is ANXA1 high in a compartment: changes beyond those of the same libraries' other cells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from relapsescope.antigens.anxa1_contrasts import (
    PRE_TREATMENT,
    Change,
    Contrast,
    compartments,
    contrast_for,
    own_past,
    reference_change,
    with_doublets,
)
from relapsescope.antigens.molecules import Molecules
from relapsescope.antigens.records import Counted, Measure, Subset
from relapsescope.antigens.references import MALIGNANT_KEY, Cohort
from relapsescope.antigens.settings import Anxa1Settings
from relapsescope.statistics.library_effects import (
    Key,
    LibraryEffects,
    excess_sd,
    matched_changes,
)
from relapsescope.statistics.rates import (
    Interval,
    Tally,
    estimate,
    pool,
    rate,
    ratio,
)
from relapsescope.statistics.retention import (
    counted_interval,
    mean_spread,
    reference_rate,
    spread_weights,
)
from relapsescope.statistics.settings import RateSettings
from relapsescope.vocabulary import BEFORE_TREATMENT, HIGH, INDETERMINATE, NOT_HIGH

COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "compartment", "n_cells", "rate_cpm"),
    *("rate_ci_low", "rate_ci_high", "ambient_cpm", "contrast", "log2_ratio"),
    *("log2_ratio_ci_low", "log2_ratio_ci_high", "did_log2_ratio", "did_ci_low", "did_ci_high"),
    *("verdict", "reason", "contrast_samples", "reference_log2_change", "reference_lineages"),
    *("doublet_cpm", "strict_did_log2_ratio", "null_genes", "null_share", "coexpression"),
    *("cycling_ratio", "cycling_ratio_ci_low", "cycling_ratio_ci_high"),
    *("own_past_log2_ratio", "own_past_ci_low", "own_past_ci_high", "own_past_cells", "origin"),
    "did_at_most",
)
SELECTED, INDUCED = "selected", "induced"
LOG2 = np.log(2.0)
# `NOT_HIGH` asks on one side only.
ONE_SIDED = 0.05
# How cells are thought to differ before they are looked at.
ASSUMED = RateSettings()


def anxa1_rows(cohort: Cohort, settings: Anxa1Settings) -> list[dict[str, Any]]:
    """Return the rows of `anxa1.tsv`: a patient × sample × compartment each."""
    rows = []
    for sample in cohort.molecules.own:
        found = compartments(cohort.molecules, cohort.clones, sample)
        for compartment, groups in found.items():
            row = _row(cohort, sample, compartment, groups, settings)
            if row is not None:
                rows.append(row)
    return rows


def _row(
    cohort: Cohort,
    sample: str,
    compartment: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> dict[str, Any] | None:
    molecules, clones, gene = cohort.molecules, cohort.clones, settings.gene
    plasma = compartment in ("relapse_clone", "other_malignant", "normal_plasma")
    group, doublet_umi = _compartment(molecules, [(sample, *g) for g in groups], plasma, settings)
    if group.n_cells == 0:
        return None
    library = molecules.libraries[sample]
    alone = rate(group)
    observed = pool([molecules.tally(sample, *g, gene) for g in groups])
    row: dict[str, Any] = {
        "patient_id": library.patient_id,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "compartment": compartment,
        "n_cells": group.n_cells,
        "rate_cpm": alone.estimate,
        "rate_ci_low": alone.low,
        "rate_ci_high": alone.high,
        "ambient_cpm": 1e6 * observed.ambient / observed.exposure if observed.exposure else np.nan,
        "doublet_cpm": 1e6 * doublet_umi / group.exposure if plasma and group.exposure else np.nan,
        "coexpression": _coexpression(molecules, sample, groups, settings) if plasma else None,
    }
    row |= _cycling(molecules, sample, groups, settings)
    contrast = contrast_for(molecules, clones, sample, compartment, groups, settings=settings)
    if contrast is None:
        return row | {"verdict": INDETERMINATE, "reason": "nothing to compare with"}
    comparison, _ = _compartment(molecules, contrast.keys, plasma, settings)
    change = reference_change(molecules, sample, contrast, compartment, settings)
    keys = [(sample, *g) for g in groups]
    _, logs, noise = matched_changes(cohort.pooled, gene, keys, contrast.keys)
    plain, did, most = _ratios(
        group, comparison, contrast, change, cohort.effects, logs=logs, noise=noise
    )
    strict = pool([molecules.tally(sample, *g, gene, subset=Subset.STRICT) for g in groups])
    below = contrast.rate.cpm if contrast.rate else estimate(comparison)
    strict_log = _log2(estimate(strict) / below if below > 0 else np.nan) - change.mean / LOG2
    own = did.estimate * LOG2 if np.isfinite(did.estimate) else np.nan
    shifts = logs - (0.0 if contrast.same_library else np.median(logs) if logs.size else 0.0)
    share = (1 + np.sum(shifts >= own)) / (1 + shifts.size) if shifts.size else np.nan
    row |= {
        "contrast": contrast.name,
        "contrast_samples": ";".join(dict.fromkeys(key[0] for key in contrast.keys)),
        "log2_ratio": plain.estimate,
        "log2_ratio_ci_low": plain.low,
        "log2_ratio_ci_high": plain.high,
        "did_log2_ratio": did.estimate,
        "did_ci_low": did.low,
        "did_ci_high": did.high,
        "did_at_most": most,
        "reference_log2_change": change.mean / LOG2,
        "reference_lineages": ";".join(change.lineages),
        "strict_did_log2_ratio": strict_log if plasma else np.nan,
        "null_genes": int(shifts.size),
        "null_share": share,
    }
    row["verdict"], row["reason"] = _judged(
        group, comparison, did, change, contrast, row=row, settings=settings
    )
    past = own_past(molecules, clones, sample, groups) if plasma else None
    if past is not None and contrast.name == PRE_TREATMENT:
        row |= _own_past(cohort, group, keys=keys, past=past, row=row, settings=settings)
    return row


def _own_past(
    cohort: Cohort,
    group: Tally,
    *,
    keys: Sequence[Key],
    past: Contrast,
    row: dict[str, Any],
    settings: Anxa1Settings,
) -> dict[str, Any]:
    """Return a malignant compartment against its own cells before CAR-T.

    Where it is `HIGH` against the tumour before, `origin` says whether it rose (`induced`: its own
    rise is shown) or whether cells that were high already took over (`selected`: a rise is
    excluded, or they exceeded the tumour that they lived in); empty where neither is shown.
    """
    molecules, sample = cohort.molecules, row["sample_id"]
    comparison, _ = _compartment(molecules, past.keys, True, settings)
    if comparison.n_cells == 0:
        return {}
    change = reference_change(molecules, sample, past, "relapse_clone", settings)
    _, logs, noise = matched_changes(cohort.pooled, settings.gene, keys, past.keys)
    _, did, _ = _ratios(group, comparison, past, change, cohort.effects, logs=logs, noise=noise)
    found: dict[str, Any] = {
        "own_past_log2_ratio": did.estimate,
        "own_past_ci_low": did.low,
        "own_past_ci_high": did.high,
        "own_past_cells": comparison.n_cells,
    }
    if row["verdict"] != HIGH:
        return found
    samples = dict.fromkeys(key[0] for key in past.keys)
    tumour, _ = _compartment(molecules, [(s, *MALIGNANT_KEY) for s in samples], True, settings)
    then = _in_log2(counted_interval(comparison, tumour))
    limit = settings.high_log2_ratio
    if did.low >= limit:
        found["origin"] = INDUCED
    elif then.low >= limit or did.high < limit:
        found["origin"] = SELECTED
    return found


def _compartment(
    molecules: Molecules, keys: Sequence[Key], plasma: bool, settings: Anxa1Settings
) -> tuple[Tally, float]:
    """Return the molecules of groups together, unseen doublets taken off plasma cells."""
    if not plasma:
        return pool([molecules.tally(*key, settings.gene) for key in keys]), 0.0
    parts = [with_doublets(molecules, key[0], key[1:], settings) for key in keys]
    group, doublets = pool([part[0] for part in parts]), sum(part[1] for part in parts)
    return _with_own_spread(molecules, keys, group, settings), doublets


def _with_own_spread(
    molecules: Molecules, keys: Sequence[Key], group: Tally, settings: Anxa1Settings
) -> Tally:
    """Return a tally whose cells vary as they are likeliest to, each cell looked at."""
    counts = molecules.counted(keys, settings.gene)
    if counts.n_cells != group.n_cells or group.n_cells == 0:
        return group
    spread = spread_weights(
        counts,
        reference_rate(group),
        assumed=ASSUMED.dispersion,
        assumed_log_sd=ASSUMED.dispersion_sd,
    )
    return replace(group, dispersion=mean_spread(spread))


def _ratios(
    group: Tally,
    comparison: Tally,
    contrast: Contrast,
    change: Change,
    effects: LibraryEffects,
    *,
    logs: np.ndarray,
    noise: np.ndarray,
) -> tuple[Interval, Interval, float]:
    """Return the log2 ratio and the log2 difference-in-differences with their intervals.

    And what the latter is at most: its one-sided 95 % limit.
    """
    if contrast.same_library:
        return _both(group, comparison, {}, {})
    if contrast.rate is not None:
        rate = contrast.rate
        comparison = rate.as_tally()
        # What a new patient may show is their error.
        library = own = max(rate.between.sd, effects.total_sd)
        terms = {"df": rate.between.df}
    else:
        libraries = np.sqrt(1 + 1 / len({key[0] for key in contrast.keys}))
        matched = excess_sd(logs, noise)
        total = effects.total_sd * libraries
        library = max(matched, effects.shared_sd * libraries) if np.isfinite(matched) else total
        # What remains is each cell type's own part. The shared part that matched genes show beside
        # it has been taken off with the reference cells.
        own = max(effects.own_sd * libraries, np.sqrt(max(library**2 - total**2, 0.0)))
        terms = {}
    if not np.isfinite(change.error):
        plain = _in_log2(counted_interval(group, comparison, log_sd=library, **terms))
        return plain, Interval(np.nan, -np.inf, np.inf), np.inf
    error = {"log_sd": float(np.hypot(change.error, own)), "shift": change.mean}
    return _both(group, comparison, {"log_sd": library} | terms, error | terms)


def _both(
    group: Tally, comparison: Tally, plain: Mapping[str, float], both: Mapping[str, float]
) -> tuple[Interval, Interval, float]:
    """Return the log2 ratio with the errors of either comparison, and the second's limit."""
    one_sided = counted_interval(group, comparison, **both, tail=ONE_SIDED)
    return (
        _in_log2(counted_interval(group, comparison, **plain)),
        _in_log2(counted_interval(group, comparison, **both)),
        _log2(one_sided.high),
    )


def _judged(
    group: Tally,
    comparison: Tally,
    did: Interval,
    change: Change,
    contrast: Contrast,
    *,
    row: dict[str, Any],
    settings: Anxa1Settings,
) -> tuple[str, str]:
    """Return the verdict and the sentence with its numbers."""
    limit = settings.high_log2_ratio
    middle, low, high = (
        f"{v:.2f}" if np.isfinite(v) else "none" for v in (did.estimate, did.low, did.high)
    )
    beside = "normal plasma cells of the library" if contrast.same_library else "other cells"
    fold = ""
    if np.isfinite(did.estimate):
        way = "up" if did.estimate >= 0 else "down"
        fold = f"{2 ** abs(did.estimate):.1f}-fold {way}: "
    words = (
        f"{fold}log2 change {middle} beyond that of {beside}, 95 % interval {low} to {high}, "
        f"against {contrast.name.replace('_', ' ')}"
    )
    if not change.lineages:
        return INDETERMINATE, "too few reference cells to take out library effects"
    if group.n_cells < settings.min_cells or comparison.n_cells < settings.min_cells:
        fewest = min(group.n_cells, comparison.n_cells)
        return INDETERMINATE, f"only {fewest} cells on one side: {words}"
    if did.low >= limit:
        strict, share = row["strict_did_log2_ratio"], row["null_share"]
        if np.isfinite(strict) and strict < limit:
            return INDETERMINATE, (
                f"{words}; without cells that hold other lineages' genes it would be {strict:.2f}"
            )
        if np.isfinite(share) and share > settings.max_null_share:
            return INDETERMINATE, (
                f"{words}; {share:.0%} of {row['null_genes']} genes of like expression rose as much"
            )
        return HIGH, words
    most = row["did_at_most"]
    if most < limit:
        at_most = f"; at most {most:.2f} (one-sided 95 % limit)" if did.high >= limit else ""
        return NOT_HIGH, words + at_most
    return INDETERMINATE, f"{words}; this includes both twice and less than twice the comparison"


def _coexpression(
    molecules: Molecules,
    sample: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> str:
    """Return how often cells with and without ANXA1 hold other lineages' genes, in words."""
    cells_with = []
    for other in settings.coexpressed:
        keys = [Counted(sample, *g, other, measure=Measure.COEXPRESSION) for g in groups]
        cells = {
            column: np.nansum([molecules.number(column, key) for key in keys])
            for column in ("n_cells", "detected", "n_without", "detected_without")
        }
        if cells["n_cells"] + cells["n_without"] == 0:
            continue
        cells_with.append(
            f"{other} in {cells['detected']:.0f} of {cells['n_cells']:.0f} cells with "
            f"{settings.gene}, in {cells['detected_without']:.0f} of {cells['n_without']:.0f} "
            "without"
        )
    return "; ".join(cells_with)


def _cycling(
    molecules: Molecules,
    sample: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> dict[str, float]:
    """Return the gene's rate in cycling over resting cells of one library: an association."""
    parts = [
        pool([molecules.tally(sample, *g, settings.gene, subset=state) for g in groups])
        for state in (Subset.CYCLING, Subset.RESTING)
    ]
    if min(part.n_cells for part in parts) < settings.min_cells:
        return {}
    found = ratio(*parts)
    return {
        "cycling_ratio": found.estimate,
        "cycling_ratio_ci_low": found.low,
        "cycling_ratio_ci_high": found.high,
    }


UNTREATED_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "n_cells", "n_high", "fraction_high"),
    *("fraction_ci_low", "fraction_ci_high", "chance_fraction"),
)


def untreated_rows(molecules: Molecules, settings: Anxa1Settings) -> list[dict[str, Any]]:
    """Return for each library before CAR-T the fraction of malignant cells with high ANXA1.

    A cell is high where it holds more molecules than twice the normal plasma cells' rate and
    ambient RNA explain (P <= 0.01, `tallies`); the share that chance alone gives is beside it.
    The interval is Clopper and Pearson's (1934).
    """
    rows = []
    for sample in molecules.own:
        library = molecules.libraries[sample]
        key = Counted(sample, *MALIGNANT_KEY, settings.gene, measure=Measure.HIGH)
        n = molecules.number("n_cells", key)
        high = molecules.number("high_cells", key)
        if library.timepoint not in BEFORE_TREATMENT or not np.isfinite(n + high):
            continue
        low = special.betaincinv(high, n - high + 1, 0.025) if high else 0.0
        up = special.betaincinv(high + 1, n - high, 0.975) if high < n else 1.0
        rows.append(
            {
                "patient_id": library.patient_id,
                "sample_id": sample,
                "timepoint": library.timepoint,
                "n_cells": int(n),
                "n_high": int(high),
                "fraction_high": high / n,
                "fraction_ci_low": low,
                "fraction_ci_high": up,
                "chance_fraction": molecules.number("high_chance", key),
            }
        )
    return rows


def _in_log2(interval: Interval) -> Interval:
    return Interval(_log2(interval.estimate), _log2(interval.low), _log2(interval.high))


def _log2(value: float) -> float:
    if not np.isfinite(value):
        return value
    return float(np.log2(value)) if value > 0 else -np.inf
