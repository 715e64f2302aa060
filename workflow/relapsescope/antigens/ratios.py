"""Is an antigen lost, reduced or retained in a clone: verdicts from ratios with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.identity_loss import identity_loss, identity_of, identity_words
from relapsescope.antigens.molecules import Molecules
from relapsescope.antigens.records import Counted, Kind, Measure, Subset
from relapsescope.antigens.references import (
    MALIGNANT_KEY,
    PRE_TREATMENT,
    Cohort,
    LibraryError,
    Reference,
    library_error,
    own_past,
    reference_for,
)
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.antigens.verdicts import (
    EPITOPE,
    judged,
    needed_umi,
    upper_limit,
    verdict_of,
)
from relapsescope.statistics.library_effects import Key
from relapsescope.statistics.rates import (
    Interval,
    Tally,
    estimate,
    pool,
    rate,
    ratio,
    uncorrected,
    with_floor,
)
from relapsescope.statistics.retention import (
    LEVEL_LOG_SD,
    Compared,
    Retention,
    compared,
    mean_spread,
    reference_rate,
    retention,
    spread_weights,
    weighted,
)
from relapsescope.vocabulary import INDETERMINATE, LOST, REDUCED, RETAINED, SOURCE_WORDS

COLUMNS = (
    *("patient_id", "clone_id", "sample_id", "timepoint", "antigen", "n_cells", "total_umi"),
    *("antigen_umi", "rate_cpm", "rate_ci_low", "rate_ci_high", "ambient_cpm", "reference"),
    *("reference_cpm", "expected_umi", "ratio", "ratio_ci_low", "ratio_ci_high"),
    *("detected_fraction", "verdict", "reason", "needed_umi", "is_car_target"),
    *("reference_samples", "library_log_sd", "dispersion", "detected_twice_fraction"),
    *("detected_above_ambient_fraction", "ratio_uncorrected", "verdict_uncorrected"),
    *("ratio_wide", "verdict_wide", "ratio_depth_matched", "verdict_depth_matched"),
    *("verdict_strict_limits", "verdict_lenient_limits", "umi_ceiling_suspected"),
    *("protein_fraction", "protein_agrees", "n_clone_cells", "other_clones_umi"),
    *("retaining_share", "retaining_share_ci_low", "retaining_share_ci_high", "retaining_cells"),
    *("partial_probability", "not_lost_probability", "loss_log_likelihood"),
    "reference_source",
    *("own_past_ratio", "own_past_ci_low", "own_past_ci_high", "origin"),
    *("n_identity_lost", "identity_loss"),
)
NEVER_HAD, FELL = "never_had", "lost"
ORIGINS = {
    NEVER_HAD: "the clone showed less of it than the tumour already before CAR-T",
    FELL: "the clone itself showed more of it before CAR-T",
}


@dataclass(frozen=True)
class Judged:
    """A group's antigen against a reference.

    Attributes
    ----------
    base
        The reference's molecules, with the spread between its cells as they show it.
    error
        What else makes the two sides differ.
    cells
        What the group's cells say.
    against
        The ratio with all errors.
    found
        Its estimate and interval.
    """

    base: Tally
    error: LibraryError
    cells: Retention
    against: Compared
    found: Interval


def antigen_rows(cohort: Cohort) -> list[dict[str, Any]]:
    """Return the rows of `antigens.tsv`: a patient × clone × sample × antigen each."""
    molecules, settings = cohort.molecules, cohort.settings
    rows = []
    for sample in molecules.own:
        groups = [(Kind.CLONE, clone) for clone in molecules.clones(sample)]
        if molecules.has(sample, *MALIGNANT_KEY):
            groups.append(MALIGNANT_KEY)
        for kind, clone in groups:
            for gene in dict.fromkeys([settings.car_target, *settings.genes]):
                group = molecules.tally(sample, kind, clone, gene)
                if group.n_cells == 0:
                    rows.append(_absent(molecules, (sample, kind, clone), gene, settings))
                else:
                    rows.append(_row(cohort, (sample, kind, clone), gene, group))
    return rows


def compare(cohort: Cohort, key: Key, gene: str, group: Tally, reference: Reference) -> Judged:
    """Return a group's antigen against a reference.

    Parameters
    ----------
    group
        The group's molecules, those of other clones' cells among the foreign ones.
    """
    molecules, settings = cohort.molecules, cohort.settings
    reference_tally = reference.tally(molecules, gene)
    per_umi = reference_rate(reference_tally)
    spread = spread_weights(
        molecules.counted(reference.keys, gene),
        per_umi,
        assumed=reference_tally.dispersion if reference.given else settings.dispersion,
        assumed_log_sd=settings.dispersion_sd,
    )
    reference_tally = replace(reference_tally, dispersion=mean_spread(spread))
    error = library_error(cohort.pooled, cohort.effects, gene, key, reference)
    parts = _parts(molecules, key) if key[1] == ALL_MALIGNANT else []
    if len(parts) > 1:
        # What makes the library differ is the same for all of its clones, and comes at the end.
        cells = _of_clones(
            molecules,
            parts,
            gene,
            per_umi=per_umi,
            spread=spread,
            error=error,
            stray_share=settings.stray_share,
        )
        against = compared(cells.ratio, reference_tally, per_umi, log_sd=error.log_sd, df=error.df)
    else:
        errors = {"log_sd": error.log_sd, "df": error.df}
        cells = _of_group(
            molecules,
            key,
            gene,
            per_umi=per_umi,
            spread=spread,
            stray_share=settings.stray_share,
            **errors,
        )
        against = compared(cells.ratio, reference_tally, per_umi)
    below = estimate(reference_tally)
    middle = estimate(group) / below if below > 0 else np.nan
    return Judged(
        reference_tally, error, cells, against, against.interval(middle, nothing=cells.nothing)
    )


def _of_group(
    molecules: Molecules,
    key: Key,
    gene: str,
    *,
    per_umi: float,
    spread: np.ndarray,
    stray_share: float,
    **errors: float,
) -> Retention:
    """Return what the cells of one group say against a reference's rate and spread.

    Cells that are not the group's own are those that the posteriors name and those that nothing
    names (`stray_share`, an exponential variable: mean and error alike).
    """
    group = molecules.tally(*key, gene)
    mixed, mixed_sd = _mixed(molecules, key, gene)
    shown = per_umi * max(group.exposure, 1.0)
    return retention(
        molecules.counted([key], gene),
        per_umi,
        spread,
        ambient_cv=group.ambient_sd / group.ambient if group.ambient > 0 else 0.0,
        strayed=min(mixed / shown + stray_share, 0.5),
        strayed_sd=float(np.hypot(mixed_sd / shown, stray_share)),
        **errors,
    )


def _parts(molecules: Molecules, key: Key) -> list[tuple[Key, Subset, int]]:
    """Return the groups that make up all malignant cells of a library.

    Each with the cells whose depth counts and their number: a clone's rate is that of its
    sure cells, its size that of all that were assigned; cells of no clone are a group of their own.
    """
    sample = key[0]
    found = []
    for clone in molecules.clones(sample):
        group = (sample, Kind.CLONE, clone)
        n_assigned = molecules.cells_in(*group, subset=Subset.ASSIGNED)
        found.append((group, Subset.ASSIGNED, n_assigned))
    left = molecules.cells_in(*key) - sum(n for _, _, n in found)
    unsure = (sample, Kind.UNSURE, ALL_MALIGNANT)
    if left > 0 and molecules.has(*unsure):
        found.append((unsure, Subset.OWN, left))
    return found


def _of_clones(
    molecules: Molecules,
    parts: Sequence[tuple[Key, Subset, int]],
    gene: str,
    *,
    per_umi: float,
    spread: np.ndarray,
    error: LibraryError,
    stray_share: float,
) -> Retention:
    """Return what all malignant cells say: their clones, weighted by their share of the cells."""
    level = float(np.hypot(LEVEL_LOG_SD, error.log_sd))
    sizes = [molecules.tally(*key, gene, subset=subset) for key, subset, _ in parts]
    return weighted(
        [
            _of_group(
                molecules,
                key,
                gene,
                per_umi=per_umi,
                spread=spread,
                stray_share=stray_share,
                level_log_sd=level,
            )
            for key, _, _ in parts
        ],
        [n for _, _, n in parts],
        [group.exposure / max(group.n_cells, 1) for group in sizes],
    )


def _mixed(molecules: Molecules, key: Key, gene: str) -> tuple[float, float]:
    """Return the molecules that other clones' cells left in a group, and their error."""
    counted = Counted(*key, gene)
    found = [np.nan_to_num(molecules.number(n, counted)) for n in ("mixed", "mixed_sd")]
    return float(found[0]), float(found[1])


def _absent(
    molecules: Molecules, key: tuple[str, str, str], gene: str, settings: AntigenSettings
) -> dict[str, Any]:
    """Return the row of an antigen that the library's matrix does not hold at all."""
    sample, kind, clone = key
    library = molecules.libraries[sample]
    why = "its annotation lacks it, which is no loss"
    if library.undetected_removed:
        why = "not detected or not annotated: loss cannot be told (undetected genes were removed)"
    elif gene in library.left_out:
        why = "raw_matrix has it, so it was left out before: loss cannot be told"
    return {
        "patient_id": library.patient_id,
        "clone_id": clone,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "antigen": gene,
        "n_cells": molecules.cells_in(sample, kind, clone),
        "verdict": INDETERMINATE,
        "reason": f"the matrix has no gene {gene}: {why}",
        "is_car_target": gene == settings.car_target,
        "umi_ceiling_suspected": library.umi_ceiling,
    }


def _row(cohort: Cohort, key: Key, gene: str, group: Tally) -> dict[str, Any]:
    molecules, settings = cohort.molecules, cohort.settings
    sample, _, clone = key
    mixed, mixed_sd = _mixed(molecules, key, gene)
    ambient = group.ambient
    group = with_floor(group, mixed, mixed_sd)
    row = _measured(molecules, key, gene, group, settings) | {
        "ambient_cpm": 1e6 * ambient / group.exposure if group.exposure > 0 else np.nan,
        "other_clones_umi": mixed,
    }
    reference = reference_for(
        molecules,
        cohort.clones,
        sample,
        clone,
        gene,
        limits=settings.reference,
        outside=cohort.outside,
    )
    if reference is None:
        reason = (
            "nothing to compare with: no cells before treatment, normal plasma cells or other "
            "patients"
        )
        return row | {"verdict": INDETERMINATE, "reason": reason}
    comparison = compare(cohort, key, gene, group, reference)
    reference_tally, ratio_found = comparison.base, comparison.found
    expected = estimate(reference_tally) * group.exposure / 1e6
    share = comparison.cells.share_interval()
    not_lost = comparison.cells.share_at_least(settings.lost_below)
    likelier = comparison.cells.against_share(settings.lost_below)
    row |= {
        "reference": reference.name,
        "reference_source": reference.source,
        "reference_samples": ";".join(reference.samples()),
        "reference_cpm": estimate(reference_tally),
        "expected_umi": expected,
        "ratio": ratio_found.estimate,
        "ratio_ci_low": ratio_found.low,
        "ratio_ci_high": ratio_found.high,
        "library_log_sd": comparison.error.log_sd,
        "needed_umi": needed_umi(
            ratio_found, expected, reference_tally, comparison.error.log_sd, settings.limits
        ),
        "retaining_share": share.estimate,
        "retaining_share_ci_low": share.low,
        "retaining_share_ci_high": share.high,
        "retaining_cells": comparison.cells.showing,
        "partial_probability": comparison.cells.partial,
        "not_lost_probability": not_lost,
        "loss_log_likelihood": likelier,
    }
    row["ratio_ci_high"] = upper_limit(row, settings)
    stated = replace(ratio_found, high=row["ratio_ci_high"])
    row["verdict_strict_limits"] = verdict_of(stated, settings.strict_limits)
    row["verdict_lenient_limits"] = verdict_of(stated, settings.lenient_limits)
    row["verdict"], why = judged(group, row, reference_tally, settings)
    row |= _other_ways(
        molecules,
        key,
        gene,
        group,
        reference,
        reference_tally=reference_tally,
        noise=comparison.error.log_sd,
        settings=settings,
    )
    row |= _own_past(
        cohort, key, gene, group, reference, judged_now=comparison, verdict=row["verdict"]
    )
    row["protein_agrees"] = _agreement(row, settings)
    censored = [s for s in reference.samples() if molecules.libraries[s].umi_ceiling]
    identity = identity_of(cohort.clones, molecules.clones(sample), sample, clone)
    if identity is not None:
        row["n_identity_lost"] = identity.n_lost
        row["identity_loss"] = identity_loss(row, identity, settings.reduced_below)
    row["reason"] = _with_caveats(why, row, settings, censored)
    if identity is not None and identity_words(row, identity):
        row["reason"] += f"; {identity_words(row, identity)}"
    return row


def _measured(
    molecules: Molecules, key: Key, gene: str, group: Tally, settings: AntigenSettings
) -> dict[str, Any]:
    """Return what was counted in a group, nothing compared."""
    sample, _, clone = key
    library = molecules.libraries[sample]
    alone = rate(group)
    n_assigned = molecules.cells_in(*key, subset=Subset.ASSIGNED)

    def share(column: str) -> float:
        return molecules.number(column, Counted(*key, gene)) / group.n_cells

    row: dict[str, Any] = {
        "patient_id": library.patient_id,
        "clone_id": clone,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "antigen": gene,
        "n_cells": group.n_cells,
        "total_umi": round(group.exposure),
        "antigen_umi": int(group.umi),
        "rate_cpm": alone.estimate,
        "rate_ci_low": alone.low,
        "rate_ci_high": alone.high,
        "n_clone_cells": n_assigned or group.n_cells,
        "detected_fraction": share("detected"),
        "detected_twice_fraction": share("detected_twice"),
        "detected_above_ambient_fraction": share("detected_above_ambient"),
        "is_car_target": gene == settings.car_target,
        "dispersion": group.dispersion,
        "umi_ceiling_suspected": library.umi_ceiling,
    }
    surface = Counted(*key, gene, measure=Measure.PROTEIN)
    protein, seen = (molecules.number(column, surface) for column in ("n_cells", "detected"))
    if protein > 0:
        row["protein_fraction"] = seen / protein
    return row


def _own_past(
    cohort: Cohort,
    key: Key,
    gene: str,
    group: Tally,
    reference: Reference,
    *,
    judged_now: Judged,
    verdict: str,
) -> dict[str, Any]:
    """Return a clone's antigen against its own cells before CAR-T, and where a lack comes from.

    `never_had` where the clone showed less than the tumour already then (one library, so that
    library effects cancel), `lost` where it fell since; empty where neither is shown.
    """
    molecules, settings = cohort.molecules, cohort.settings
    sample, _, clone = key
    past = own_past(molecules, cohort.clones, sample, clone, settings.min_cells)
    if past is None:
        return {}
    same = past.keys == reference.keys
    since = (judged_now if same else compare(cohort, key, gene, group, past)).found
    found: dict[str, Any] = {
        "own_past_ratio": since.estimate,
        "own_past_ci_low": since.low,
        "own_past_ci_high": since.high,
    }
    if verdict not in (LOST, REDUCED):
        return found
    tumour = Reference(
        PRE_TREATMENT, tuple((s, *MALIGNANT_KEY) for s in past.samples()), same_library=True
    )
    then = compare_pooled(molecules, past, tumour, gene)
    if then.high < settings.reduced_below:
        found["origin"] = NEVER_HAD
    elif since.high < settings.reduced_below:
        found["origin"] = FELL
    return found


def compare_pooled(
    molecules: Molecules, group: Reference, reference: Reference, gene: str
) -> Interval:
    """Return the ratio of one group's pooled rate to another's of the same libraries."""
    return ratio(group.tally(molecules, gene), reference.tally(molecules, gene))


def _other_ways(
    molecules: Molecules,
    key: tuple[str, str, str],
    gene: str,
    group: Tally,
    reference: Reference,
    *,
    reference_tally: Tally,
    noise: float,
    settings: AntigenSettings,
) -> dict[str, Any]:
    """Return the sensitivity columns: what other choices would have given."""
    bare = ratio(uncorrected(group), uncorrected(reference_tally), log_sd=noise)
    wide = ratio(molecules.tally(*key, gene, subset=Subset.WIDE), reference_tally, log_sd=noise)
    matched = depth_matched(molecules, key, gene, reference, noise=noise)
    return {
        "ratio_uncorrected": bare.estimate,
        "verdict_uncorrected": verdict_of(bare, settings.limits),
        "ratio_wide": wide.estimate,
        "verdict_wide": verdict_of(wide, settings.limits),
        "ratio_depth_matched": matched.estimate,
        "verdict_depth_matched": verdict_of(matched, settings.limits),
    }


def depth_matched(
    molecules: Molecules,
    key: tuple[str, str, str],
    gene: str,
    reference: Reference,
    *,
    noise: float,
    min_cells: int = 5,
) -> Interval:
    """Return the ratio over depth strata that both hold, the reference weighted to the clone's.

    Direct standardisation: each stratum's reference rate counts as much as the clone has
    exposure in it.
    """
    tops, bases = [], []
    for stratum in range(6):
        top = molecules.tally(*key, gene, stratum=stratum)
        reference_tally = pool(
            [molecules.tally(*other, gene, stratum=stratum) for other in reference.keys]
        )
        if min(top.n_cells, reference_tally.n_cells) >= min_cells and reference_tally.exposure > 0:
            scale = top.exposure / reference_tally.exposure
            tops.append(top)
            bases.append(
                replace(
                    reference_tally,
                    umi=reference_tally.umi * scale,
                    exposure=reference_tally.exposure * scale,
                    ambient=reference_tally.ambient * scale,
                    ambient_sd=reference_tally.ambient_sd * scale,
                )
            )
    return ratio(pool(tops), pool(bases), log_sd=noise)


def _agreement(row: Mapping[str, Any], settings: AntigenSettings) -> bool | None:
    """Return whether protein and RNA say the same; None where there is no protein or verdict."""
    protein, verdict = row.get("protein_fraction"), row["verdict"]
    if protein is None or verdict == INDETERMINATE:
        return None
    if verdict == LOST:
        return protein < settings.protein_present
    return protein > settings.protein_absent if verdict == RETAINED else True


def _with_caveats(
    why: str, row: Mapping[str, Any], settings: AntigenSettings, censored: Sequence[str]
) -> str:
    words = [why]
    if censored and not row["umi_ceiling_suspected"]:
        words.append(
            f"the reference's largest cells seem to have been removed in {', '.join(censored)}, so "
            "that the ratio may be too high"
        )
    if row["verdict"] == RETAINED:
        words.append(EPITOPE)
    if row["verdict"] == LOST and row["verdict_uncorrected"] != LOST:
        words.append("without ambient correction loss would not be shown")
    if row.get("protein_agrees") is False:
        words.append(
            f"surface protein disagrees: {row['protein_fraction']:.0%} of the cells show it"
        )
    if row.get("origin") in ORIGINS:
        words.append(ORIGINS[row["origin"]])
    if row["reference"] != PRE_TREATMENT:
        whose = SOURCE_WORDS.get(row["reference_source"], "")
        words.append(f"compared with {row['reference'].replace('_', ' ')}{whose}, not its own past")
    return "; ".join(words)
