"""IMWG 2016 response at one assessment, as rules that can answer "unknown".

A rule answers True, False or None. None means that a value it needs is missing; it is never
turned into a better category. Thresholds and their sources are in ``resources/imwg.yaml``.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from relapsescope.course.assessment import Assessment, immunofixation
from relapsescope.course.three_valued import above, at_least, below, every, negated, some
from relapsescope.paths import RESOURCES

CATEGORIES = ("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "NE")
RESPONSES = ("sCR", "CR", "VGPR", "PR", "MR")


@dataclass(frozen=True)
class Rules:
    """The thresholds of the criteria.

    Parameters
    ----------
    values
        Threshold by rule name, in the unit that ``resources/imwg.yaml`` states.
    unverified
        Rules without a sure source, or that need a judgement; calls that rest on them say so.
    """

    values: dict[str, float]
    unverified: frozenset[str]

    def __getitem__(self, name: str) -> float:
        return self.values[name]


@cache
def read_rules(path: Path = RESOURCES / "imwg.yaml") -> Rules:
    """Return the criteria's thresholds with the names of those not verified."""
    entries = yaml.safe_load(path.read_text())
    return Rules(
        values={name: float(entry["value"]) for name, entry in entries.items()},
        unverified=frozenset(name for name, entry in entries.items() if entry["verified"] == "no"),
    )


@dataclass(frozen=True)
class Baseline:
    """What a line of therapy started from, and by what its disease can be measured.

    Parameters
    ----------
    values
        The last value of each parameter on or before the start.
    days
        The days that those values come from.
    chain
        Involved light chain, ``kappa`` or ``lambda``.
    chain_source
        ``patients.tsv``, ``baseline ratio`` or empty.
    measurable
        True, False or None (unknown) for ``serum``, ``urine``, ``flc``, ``marrow``.
    mode
        What the response is read from: ``m_protein``, ``flc``, ``marrow``, ``unmeasurable``
        (all known, none measurable) or ``unknown``.
    """

    values: Assessment
    days: tuple[int, ...]
    chain: str | None
    chain_source: str
    measurable: dict[str, bool | None] = field(hash=False)
    mode: str


def ratio_normal(ratio: float | None, rules: Rules) -> bool | None:
    """Return whether the kappa/lambda ratio lies in the reference range, limits included."""
    return every(
        at_least(ratio, rules["flc_ratio_low"]), negated(above(ratio, rules["flc_ratio_high"]))
    )


def measure_baseline(
    values: Assessment, days: tuple[int, ...], chain: str | None, rules: Rules
) -> Baseline:
    """Return the baseline with its measurable parameters.

    Light chains count only where serum and urine are known not to be measurable, the marrow only
    where none of the three is: an unknown one keeps the next from being used.
    """
    source = "patients.tsv" if chain else ""
    ratio = values.flc_ratio
    if chain is None and ratio is not None and ratio_normal(ratio, rules) is False:
        chain = "kappa" if ratio > rules["flc_ratio_high"] else "lambda"
        source = "baseline ratio"
    involved = values.involved_flc(chain)
    if chain is None and ratio_normal(ratio, rules):
        flc: bool | None = False
    else:
        flc = every(
            at_least(involved, rules["measurable_flc"]), negated(ratio_normal(ratio, rules))
        )
    measurable = {
        "serum": at_least(values.serum_m, rules["measurable_serum"]),
        "urine": at_least(values.urine_m, rules["measurable_urine"]),
        "flc": flc,
        "marrow": at_least(values.marrow, rules["measurable_marrow"]),
    }
    return Baseline(values, days, chain, source, measurable, _mode(measurable))


MODE_WORDS = {
    "m_protein": "M-protein",
    "flc": "free light chains",
    "marrow": "marrow plasma cells",
    "unmeasurable": "nothing measurable",
    "unknown": "nothing: the baseline is not known",
}
"""What response is measured by, as pages say it."""


def _mode(measurable: dict[str, bool | None]) -> str:
    protein = some(measurable["serum"], measurable["urine"])
    if protein:
        return "m_protein"
    if protein is None:
        return "unknown"
    for name in ("flc", "marrow"):
        if measurable[name] is None:
            return "unknown"
        if measurable[name]:
            return name
    return "unmeasurable"


def reduction(value: float | None, baseline: float | None) -> float | None:
    """Return the fall from baseline as a fraction; from 0, staying at 0 counts as a full fall."""
    if value is None or baseline is None:
        return None
    if baseline <= 0:
        return 1.0 if value <= 0 else float("-inf")
    return 1.0 - value / baseline


def responses(
    now: Assessment,
    baseline: Baseline,
    marrow: float | None,
    marrow_clonal: bool | None,
    rules: Rules,
) -> dict[str, bool | None]:
    """Return for each response category whether one assessment meets it.

    Parameters
    ----------
    now
        The assessment.
    baseline
        What the line started from.
    marrow, marrow_clonal
        Marrow plasma cells (percent) and their clonality that stand for this assessment; marrow
        is examined once, not at every visit.
    rules
        The thresholds.

    Returns
    -------
    True, False or None (a value is missing) for sCR, CR, VGPR, PR and MR. A better category
    implies the worse ones.
    """
    normal_ratio = ratio_normal(now.flc_ratio, rules)
    cr = every(
        negated(immunofixation(now, "serum")),
        negated(immunofixation(now, "urine")),
        below(marrow, rules["cr_marrow"]),
        now.new_lesion is not True,
        # An unknown mode may be light-chain-only disease, which needs the ratio.
        normal_ratio if baseline.mode in ("flc", "unknown") else True,
    )
    scr = every(cr, normal_ratio, negated(marrow_clonal))
    by_mode = {"m_protein": _m_protein, "flc": _light_chain, "marrow": _marrow}
    if baseline.mode in by_mode:
        vgpr, pr, mr = by_mode[baseline.mode](now, baseline, rules)
    elif baseline.mode == "unmeasurable":
        vgpr = pr = mr = False
    else:
        vgpr = pr = mr = None
    vgpr = some(cr, vgpr)
    pr = some(vgpr, pr)
    return {"sCR": scr, "CR": cr, "VGPR": vgpr, "PR": pr, "MR": some(pr, mr)}


def _m_protein(now: Assessment, baseline: Baseline, rules: Rules) -> tuple[bool | None, ...]:
    serum = reduction(now.serum_m, baseline.values.serum_m)
    urine = reduction(now.urine_m, baseline.values.urine_m)
    undetectable = every(negated(above(now.serum_m, 0)), negated(above(now.urine_m, 0)))
    vgpr = some(
        undetectable,
        every(
            at_least(serum, rules["vgpr_serum_reduction"]), below(now.urine_m, rules["vgpr_urine"])
        ),
    )
    low_urine = below(now.urine_m, rules["pr_urine"])
    pr_urine = some(at_least(urine, rules["pr_urine_reduction"]), low_urine)
    mr_urine = some(at_least(urine, rules["mr_urine_reduction"]), low_urine)
    if baseline.measurable["urine"] is False:
        pr_urine = mr_urine = low_urine is not False
    pr_serum = at_least(serum, rules["pr_serum_reduction"])
    mr_serum = at_least(serum, rules["mr_serum_reduction"])
    if baseline.measurable["serum"] is False:
        pr_serum = mr_serum = below(now.serum_m, rules["measurable_serum"]) is not False
    return vgpr, every(pr_serum, pr_urine), every(mr_serum, mr_urine)


def _light_chain(now: Assessment, baseline: Baseline, rules: Rules) -> tuple[bool | None, ...]:
    if chain_switched(now, baseline, rules):
        # The other chain's rise would read as a fall of the difference.
        return None, None, None
    fall = reduction(
        now.flc_difference(baseline.chain), baseline.values.flc_difference(baseline.chain)
    )
    # The criteria have no minimal response by light chains.
    return (
        at_least(fall, rules["vgpr_flc_reduction"]),
        at_least(fall, rules["pr_flc_reduction"]),
        False,
    )


def _marrow(now: Assessment, baseline: Baseline, rules: Rules) -> tuple[bool | None, ...]:
    fall = reduction(now.marrow, baseline.values.marrow)
    return False, at_least(fall, rules["pr_marrow_reduction"]), False


def chain_switched(now: Assessment, baseline: Baseline, rules: Rules) -> bool:
    """Return whether the light chain that was not involved now dominates.

    The ratio is abnormal on the other side and the excess reaches the size that counts as
    progression in the involved chain.
    """
    ratio, difference = now.flc_ratio, now.flc_difference(baseline.chain)
    if ratio is None or difference is None:
        return False
    other_side = (
        ratio < rules["flc_ratio_low"]
        if baseline.chain == "kappa"
        else ratio > rules["flc_ratio_high"]
    )
    return other_side and -difference > rules["pd_flc"]


def rules_behind(category: str, baseline: Baseline) -> tuple[str, ...]:
    """Return the names of the rules that a category rests on in this patient."""
    measurable = {
        "m_protein": ("measurable_serum", "measurable_urine"),
        "flc": ("measurable_serum", "measurable_urine", "measurable_flc", "flc_ratio_low"),
        "marrow": ("measurable_serum", "measurable_urine", "measurable_flc", "measurable_marrow"),
    }.get(baseline.mode, ())
    own = {
        "sCR": ("cr_marrow", "scr_clonality", "flc_ratio_low", "flc_ratio_high"),
        "CR": ("cr_marrow",) + (("cr_flc_ratio",) if baseline.mode == "flc" else ()),
        "VGPR": {"flc": ("vgpr_flc_reduction",)}.get(
            baseline.mode, ("vgpr_serum_reduction", "vgpr_urine")
        ),
        "PR": {"flc": ("pr_flc_reduction",), "marrow": ("pr_marrow_reduction",)}.get(
            baseline.mode, ("pr_serum_reduction", "pr_urine")
        ),
        "MR": ("mr_serum_reduction", "mr_urine_reduction"),
    }.get(category, ())
    partial = (
        ("only_measurable_followed",)
        if category in ("PR", "MR")
        and baseline.mode == "m_protein"
        and False in (baseline.measurable["serum"], baseline.measurable["urine"])
        else ()
    )
    confirmed = ("two_consecutive",) if category in RESPONSES or category == "PD" else ()
    return (*measurable, *own, *partial, *confirmed)
