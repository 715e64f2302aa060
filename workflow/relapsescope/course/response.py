"""IMWG 2016 response and progression over one line of therapy.

A category counts when two consecutive assessments meet it (marrow and imaging once), progression
is measured from the lowest confirmed value, and every call names the days that it rests on.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from relapsescope.course.assessment import Assessment, immunofixation
from relapsescope.course.caveats import line_caveats
from relapsescope.course.imwg import (
    RESPONSES,
    Baseline,
    Rules,
    measure_baseline,
    responses,
    rules_behind,
)
from relapsescope.course.progression import (
    Progression,
    ProgressionCheck,
    check_progression,
    find_progression,
)
from relapsescope.course.relapse import clinical_relapse, mrd_course, relapse_from_cr
from relapsescope.course.three_valued import some

DISEASE_FIELDS = (
    "serum_m",
    "urine_m",
    "kappa",
    "lambda_",
    "marrow",
    "serum_ife",
    "urine_ife",
    "new_lesion",
    "marrow_clonal",
    "calcium",
    "hemoglobin",
    "creatinine",
)


@dataclass(frozen=True)
class Call:
    """The call at one assessment: a category of ``imwg.CATEGORIES``, unconfirmed."""

    day: int
    category: str
    met: dict[str, bool | None]
    progression: ProgressionCheck


@dataclass(frozen=True)
class Response:
    """Best response of a line: the category, its days, and what kept a better one away."""

    category: str
    day: int | None = None
    confirmed_day: int | None = None
    days: tuple[int, ...] = ()
    first_response_day: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineResponse:
    """Everything that the criteria say about one line of therapy."""

    baseline: Baseline
    calls: tuple[Call, ...]
    response: Response
    progression: Progression
    relapse_from_cr_day: int | None
    clinical_relapse_day: int | None
    clinical_relapse_signs: tuple[str, ...]
    mrd_status: str
    mrd_day: int | None
    mrd_sustained: bool | None
    relapse_from_mrd_negative_day: int | None
    unverified_rules: tuple[str, ...]
    last_assessed_day: int | None
    flags: tuple[str, ...]


def assess_line(
    assessments: Sequence[Assessment],
    *,
    start_day: int,
    next_start_day: int | None,
    chain: str | None,
    rules: Rules,
    baseline_window_days: int,
    marrow_window_days: int,
    confirm_after_next_line: bool,
) -> LineResponse:
    """Return response, progression, relapse and MRD of one line of therapy.

    Parameters
    ----------
    assessments
        All of the patient's assessments, one a day.
    start_day
        First day of the line; the visit of that day belongs to the baseline.
    next_start_day
        First day of the next line; its visit still belongs to this one. None for the last line.
    chain
        Involved light chain from the patient table; None to read it from the baseline ratio.
    rules
        Thresholds of the criteria.
    baseline_window_days
        How old a baseline value may be at the start of the line.
    marrow_window_days
        How long before the first negative immunofixation a marrow may stand for a complete
        response.
    confirm_after_next_line
        Whether progression seen before the next line may be confirmed by an assessment after its
        start.
    """
    ordered = sorted(assessments, key=lambda assessment: assessment.day)
    baseline = line_baseline(ordered, start_day, chain, rules, baseline_window_days)
    later = [a for a in ordered if a.day > start_day]
    within = [a for a in later if next_start_day is None or a.day <= next_start_day]
    confirming = later if confirm_after_next_line else within
    checks = [check_progression(baseline, later[:i], now, rules) for i, now in enumerate(later)]
    progression = find_progression(later[: len(confirming)], checks, n_within=len(within))
    calls = tuple(
        _call(now, within, baseline, check, rules, marrow_window_days=marrow_window_days)
        for now, check in zip(within, checks, strict=False)
    )
    counted = [c for c in calls if progression.day is None or c.day < progression.day]
    response = best_response(counted, progression, within, baseline, marrow_window_days)
    signs = clinical_relapse(baseline, within, rules)
    cr_lost = (
        relapse_from_cr(response.confirmed_day, within, progression.day, rules)
        if response.category in ("sCR", "CR")
        else None
    )
    mrd = mrd_course(within, {call.day for call in calls if call.met["CR"]}, rules)
    assessed = [c.day for c in calls if c.progression.met is not None or c.category != "NE"]
    used = _rules_used(response, progression, baseline, signs, cr_lost)
    return LineResponse(
        baseline=baseline,
        calls=calls,
        response=response,
        progression=progression,
        relapse_from_cr_day=cr_lost,
        clinical_relapse_day=signs[0][0] if signs else None,
        clinical_relapse_signs=tuple(sign for day, sign in signs if day == signs[0][0]),
        mrd_status=mrd.status,
        mrd_day=mrd.day,
        mrd_sustained=mrd.sustained,
        relapse_from_mrd_negative_day=mrd.lost_day,
        unverified_rules=tuple(sorted(set(used) & rules.unverified)),
        last_assessed_day=max(assessed, default=None),
        flags=line_caveats(baseline, within, chain, rules),
    )


def line_baseline(
    assessments: Sequence[Assessment],
    start_day: int,
    chain: str | None,
    rules: Rules,
    window_days: int,
) -> Baseline:
    """Return the last value of each parameter on or before the start, within the window."""
    values: dict[str, object] = {}
    days: dict[str, int] = {}
    for assessment in assessments:
        if start_day - window_days <= assessment.day <= start_day:
            for name in DISEASE_FIELDS:
                if getattr(assessment, name) is not None:
                    values[name], days[name] = getattr(assessment, name), assessment.day
    # A ratio from two visits is not a ratio.
    if days.get("kappa") != days.get("lambda_"):
        for name in ("kappa", "lambda_"):
            values.pop(name, None)
            days.pop(name, None)
    used = tuple(sorted(set(days.values())))
    last = used[-1] if used else start_day
    return measure_baseline(Assessment(last, **values), used, chain, rules)


def _call(
    now: Assessment,
    series: Sequence[Assessment],
    baseline: Baseline,
    check: ProgressionCheck,
    rules: Rules,
    *,
    marrow_window_days: int,
) -> Call:
    marrow, _ = standing_marrow(now, series, marrow_window_days, "marrow")
    clonal, _ = standing_marrow(now, series, marrow_window_days, "marrow_clonal")
    met = responses(now, baseline, marrow, clonal, rules)
    if check.met:
        met = dict.fromkeys(RESPONSES, False)
        return Call(now.day, "PD", met, check)
    category = next((name for name in RESPONSES if met[name]), None)
    if category is None:
        # Stable disease is shown only where no response is left open.
        shown = all(met[name] is False for name in RESPONSES) and check.met is False
        category = "SD" if shown and baseline.mode != "unmeasurable" else "NE"
    return Call(now.day, category, met, check)


def standing_marrow(
    now: Assessment,
    series: Sequence[Assessment],
    window_days: int,
    name: str,
) -> tuple[float | bool | None, int | None]:
    """Return the marrow value that stands for an assessment, and its day.

    The marrow is examined once in a complete response. In a run of negative immunofixations the
    latest examination up to this day stands, else the first one later in the run, else one within
    the window before the run. Outside a run only the day's own value stands.
    """
    value = getattr(now, name)
    run = _negative_run(now, series)
    if value is not None or not run:
        return value, None if value is None else now.day
    found = [(getattr(a, name), a.day) for a in series if getattr(a, name) is not None]
    inside = [pair for pair in found if run[0].day <= pair[1] <= run[-1].day]
    earlier = [pair for pair in inside if pair[1] <= now.day]
    before = [pair for pair in found if run[0].day - window_days <= pair[1] < run[0].day]
    if earlier:
        return earlier[-1]
    return (inside or before[-1:] or [(None, None)])[0]


def _negative_run(now: Assessment, series: Sequence[Assessment]) -> list[Assessment]:
    """Return the stretch of assessments around this one without a positive immunofixation."""

    def positive(assessment: Assessment) -> bool | None:
        return some(immunofixation(assessment, "serum"), immunofixation(assessment, "urine"))

    if positive(now) is not False:
        return []
    first = last = position = series.index(now)
    for i in range(position - 1, -1, -1):
        if positive(series[i]):
            break
        first = i if positive(series[i]) is False else first
    for i in range(position + 1, len(series)):
        if positive(series[i]):
            break
        last = i if positive(series[i]) is False else last
    return list(series[first : last + 1])


def best_response(
    calls: Sequence[Call],
    progression: Progression,
    series: Sequence[Assessment],
    baseline: Baseline,
    marrow_window_days: int,
) -> Response:
    """Return the best category that two consecutive assessments meet before progression.

    Parameters
    ----------
    calls
        The line's calls before progression, in order.
    progression
        Progression of the line.
    series
        The line's assessments, for the marrow that a complete response rests on.
    baseline
        Start of the line.
    marrow_window_days
        As in :func:`standing_marrow`.
    """
    notes: list[str] = []
    first_response = None
    chosen: tuple[str, int, int] | None = None
    for name in RESPONSES:
        found = _confirmed(name, calls, once=baseline.mode == "marrow" and name == "PR")
        if chosen is None and found is not None:
            chosen = (name, *found)
        elif chosen is None:
            alone = next((c.day for c in calls if c.met[name]), None)
            if alone is not None and not any(f"day {alone} " in note for note in notes):
                notes.append(f"{name} on day {alone} is not confirmed")
        if name == "PR" and found is not None:
            first_response = found[0]
    if chosen is not None:
        name, day, confirmed = chosen
        days = [day, confirmed]
        if name in ("sCR", "CR"):
            by_day = {a.day: a for a in series}
            marrow_day = standing_marrow(by_day[day], series, marrow_window_days, "marrow")[1]
            days += [] if marrow_day is None else [marrow_day]
        return Response(
            name, day, confirmed, tuple(sorted(set(days))), first_response, tuple(notes)
        )
    stable = next((c.day for c in calls if c.category in ("SD", *RESPONSES)), None)
    if stable is not None:
        return Response("SD", stable, None, (stable,), None, tuple(notes))
    if progression.day is not None:
        days = tuple(sorted({progression.day, progression.confirmed_day}))
        return Response("PD", progression.day, progression.confirmed_day, days, None, tuple(notes))
    return Response("NE", notes=tuple(notes))


def _confirmed(name: str, calls: Sequence[Call], *, once: bool) -> tuple[int, int] | None:
    """Return the first two consecutive days that meet a category; unknown ones are passed over."""
    known = [c for c in calls if c.met[name] is not None]
    for first, second in itertools.zip_longest(known, known[1:]):
        if first.met[name] and once:
            return first.day, first.day
        if first.met[name] and second is not None and second.met[name]:
            return first.day, second.day
    return None


def _rules_used(
    response: Response,
    progression: Progression,
    baseline: Baseline,
    signs: Sequence[tuple[int, str]],
    cr_lost: int | None,
) -> list[str]:
    used = list(rules_behind(response.category, baseline))
    used += [*progression.criteria, *rules_behind("PD", baseline)] if progression.criteria else []
    words = {
        "calcium": "clinical_relapse_calcium",
        "haemoglobin": "clinical_relapse_hemoglobin_fall",
        "creatinine": "clinical_relapse_creatinine_rise",
    }
    used += [words[sign.split()[0]] for _, sign in signs if sign.split()[0] in words]
    return used + (["relapse_from_cr_marrow"] if cr_lost is not None else [])
