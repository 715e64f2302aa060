"""Progression by IMWG 2016: a rise from the lowest confirmed value that is itself confirmed."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relapsescope.course.assessment import Assessment
from relapsescope.course.imwg import Baseline, Rules
from relapsescope.course.three_valued import ROUNDING, every, negated, some


@dataclass(frozen=True)
class Nadir:
    """The lowest confirmed value of a parameter and the days that show it."""

    value: float
    days: tuple[int, ...]


@dataclass(frozen=True)
class ProgressionCheck:
    """Whether one assessment meets progression, and by what.

    Parameters
    ----------
    met
        True, False or None (nothing that counts was measured).
    criteria
        Rule names that are met.
    sentence
        The values and the nadir in words.
    final
        True where one assessment is enough (imaging, marrow).
    measured
        Rule names that could be judged at this assessment.
    """

    met: bool | None
    criteria: tuple[str, ...]
    sentence: str
    final: bool
    measured: frozenset[str]


@dataclass(frozen=True)
class Progression:
    """First confirmed progression, and unconfirmed rises before or after it."""

    day: int | None = None
    confirmed_day: int | None = None
    criteria: tuple[str, ...] = ()
    sentence: str = ""
    unconfirmed_days: tuple[int, ...] = ()
    pending_day: int | None = None


def confirmed_nadir(
    baseline: float | None, baseline_day: int, series: Sequence[tuple[int, float]]
) -> Nadir | None:
    """Return the lowest value that two consecutive measurements confirm.

    Two neighbours confirm the higher of the two, so one low value by itself (a laboratory error)
    sets no nadir. The baseline stands for itself: it is the reference without any response.
    """
    best = None if baseline is None else Nadir(baseline, (baseline_day,))
    points = ([] if baseline is None else [(baseline_day, baseline)]) + list(series)
    for (day_a, a), (day_b, b) in itertools.pairwise(points):
        if best is None or max(a, b) < best.value:
            best = Nadir(max(a, b), (day_a, day_b))
    return best


def rise_meets(value: float, nadir: float, absolute: float, relative: float) -> bool:
    """Return whether a rise reaches both the absolute and the relative size.

    From a nadir of 0 (or a negative light-chain difference) the absolute size alone decides.
    """
    rise = value - nadir
    return rise >= absolute - ROUNDING and rise >= relative * max(nadir, 0.0) - ROUNDING


def check_progression(
    baseline: Baseline, before: Sequence[Assessment], now: Assessment, rules: Rules
) -> ProgressionCheck:
    """Return whether an assessment meets progression against what came before it.

    Parameters
    ----------
    baseline
        Start of the line; decides whether light chains or the marrow may be used.
    before
        The line's assessments before this one, in order.
    now
        The assessment.
    rules
        Thresholds.
    """
    chain = baseline.chain

    def flc_difference(assessment: Assessment) -> float | None:
        return assessment.flc_difference(chain)

    protein_unmeasurable = every(
        negated(baseline.measurable["serum"]), negated(baseline.measurable["urine"])
    )
    nothing_measurable = every(protein_unmeasurable, negated(baseline.measurable["flc"]))
    parameters: tuple[tuple[str, str, str, Callable, bool | None], ...] = (
        ("pd_serum", "serum M", "g/dL", lambda a: a.serum_m, True),
        ("pd_urine", "urine M", "mg/24 h", lambda a: a.urine_m, True),
        ("pd_flc", "dFLC", "mg/dL", flc_difference, protein_unmeasurable),
        ("pd_marrow", "marrow plasma cells", "%", lambda a: a.marrow, nothing_measurable),
    )
    answers: list[bool | None] = []
    criteria, sentences, measured = [], [], set()
    for name, label, unit, read, applies in parameters:
        value = read(now)
        if applies is False or value is None:
            continue
        series = [(a.day, read(a)) for a in before if read(a) is not None]
        nadir = confirmed_nadir(read(baseline.values), baseline.values.day, series)
        if nadir is None:
            continue
        risen = has_risen(name, value, nadir.value, rules)
        measured.add(name)
        answers.append(every(applies, risen))
        if answers[-1]:
            criteria.append(name)
            days = ", ".join(map(str, nadir.days))
            sentences.append(
                f"{label} {value:g} {unit}, {value - nadir.value:+.3g} from the confirmed nadir "
                f"{nadir.value:g} (day {days})"
            )
    if now.new_lesion is not None:
        answers.append(now.new_lesion)
    if now.new_lesion:
        criteria.append("pd_new_lesion")
        sentences.append("new or grown lesion")
    return ProgressionCheck(
        met=some(*answers) if _judged(answers, baseline, now) else (some(*answers) or None),
        criteria=tuple(criteria),
        sentence="; ".join(sentences),
        final=bool({"pd_marrow", "pd_new_lesion"} & set(criteria)),
        measured=frozenset(measured),
    )


def has_risen(name: str, value: float, nadir: float, rules: Rules) -> bool:
    """Return whether a value has risen from its nadir as far as a progression rule asks."""
    relative = rules["pd_relative"]
    if name == "pd_serum" and nadir >= rules["pd_serum_high_nadir"] - ROUNDING:
        return rise_meets(value, nadir, rules["pd_serum_high"], 0.0)
    if name == "pd_flc":
        # The criteria ask for more than 10 mg/dL here, not for at least.
        return value - nadir > rules["pd_flc"] + ROUNDING and rise_meets(
            value, nadir, rules["pd_flc"], relative
        )
    return rise_meets(value, nadir, rules[name], relative)


def _judged(answers: list[bool | None], baseline: Baseline, now: Assessment) -> bool:
    """Return whether the parameter that the disease is followed by was measured at all.

    "No progression" needs more than a report without a new lesion, and a baseline.
    """
    followed = {
        "m_protein": (now.serum_m if baseline.measurable["serum"] else now.urine_m),
        "flc": now.flc_difference(baseline.chain),
        "marrow": now.marrow,
    }.get(baseline.mode, now.serum_m)
    return bool(answers) and bool(baseline.days) and followed is not None


def find_progression(
    assessments: Sequence[Assessment], checks: Sequence[ProgressionCheck], *, n_within: int
) -> Progression:
    """Return the first progression that the next assessment confirms.

    Parameters
    ----------
    assessments
        Those after the start of the line, in order; ones after ``n_within`` may only confirm.
    checks
        One a assessment.
    n_within
        How many belong to the line.
    """
    unconfirmed: list[int] = []
    pending = None
    for i in range(min(n_within, len(assessments))):
        check = checks[i]
        if not check.met:
            continue
        day = assessments[i].day
        confirmed: int | None = day if check.final else None
        refuted = False
        if confirmed is None:
            for j in range(i + 1, len(assessments)):
                if checks[j].met:
                    confirmed = assessments[j].day
                # Without the value that rose, an assessment neither confirms nor refutes.
                refuted = not checks[j].met and bool(checks[j].measured & set(check.criteria))
                if confirmed is not None or refuted:
                    break
        if confirmed is not None:
            return Progression(
                day, confirmed, check.criteria, check.sentence, tuple(unconfirmed), None
            )
        if refuted:
            unconfirmed.append(day)
        elif pending is None:
            pending = day
    return Progression(unconfirmed_days=tuple(unconfirmed), pending_day=pending)
