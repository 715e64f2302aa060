"""IMWG 2016 response and progression over one line of therapy.

A category counts when two consecutive assessments meet it (marrow and imaging once), progression
is measured from the lowest confirmed value, and every call names the days that it rests on.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relapsescope.imwg import (
    RESPONSES,
    ROUNDING,
    Assessment,
    Baseline,
    Rules,
    above,
    at_least,
    below,
    chain_switched,
    every,
    immunofixation,
    measure_baseline,
    negated,
    ratio_normal,
    responses,
    rules_behind,
    some,
)

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
    """

    met: bool | None
    criteria: tuple[str, ...]
    sentence: str
    final: bool


@dataclass(frozen=True)
class Call:
    """The call at one assessment: a category of ``imwg.CATEGORIES``, unconfirmed."""

    day: int
    category: str
    met: dict[str, bool | None]
    progression: ProgressionCheck


@dataclass(frozen=True)
class Progression:
    """First confirmed progression, and unconfirmed rises before or after it."""

    day: int | None = None
    confirmed_day: int | None = None
    criteria: tuple[str, ...] = ()
    sentence: str = ""
    unconfirmed_days: tuple[int, ...] = ()
    pending_day: int | None = None


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
    flags: tuple[str, ...] = field(default=())


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
        _call(now, within, baseline, check, rules, marrow_window_days)
        for now, check in zip(within, checks, strict=False)
    )
    counted = [c for c in calls if progression.day is None or c.day < progression.day]
    response = best_response(counted, progression, within, baseline, marrow_window_days)
    signs = clinical_relapse(baseline, within, rules)
    cr_lost = relapse_from_cr(response, within, progression, rules)
    mrd = mrd_course(within, calls, rules)
    assessed = [c.day for c in calls if c.progression.met is not None]
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
        flags=_flags(baseline, within, chain, rules),
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
    criteria, sentences = [], []
    for name, label, unit, read, applies in parameters:
        value = read(now)
        if applies is False or value is None:
            continue
        series = [(a.day, read(a)) for a in before if read(a) is not None]
        nadir = confirmed_nadir(read(baseline.values), baseline.values.day, series)
        if nadir is None:
            continue
        risen = _risen(name, value, nadir.value, rules)
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
    )


def _risen(name: str, value: float, nadir: float, rules: Rules) -> bool:
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

    "No progression" needs more than a report without a new lesion.
    """
    followed = {
        "m_protein": (now.serum_m if baseline.measurable["serum"] else now.urine_m),
        "flc": now.flc_difference(baseline.chain),
        "marrow": now.marrow,
    }.get(baseline.mode, now.serum_m)
    return bool(answers) and followed is not None


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
                # An assessment that measured nothing of the kind neither confirms nor refutes.
                if checks[j].met is not None:
                    confirmed = assessments[j].day if checks[j].met else None
                    refuted = not checks[j].met
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


def _call(
    now: Assessment,
    series: Sequence[Assessment],
    baseline: Baseline,
    check: ProgressionCheck,
    rules: Rules,
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


def relapse_from_cr(
    response: Response,
    series: Sequence[Assessment],
    progression: Progression,
    rules: Rules,
) -> int | None:
    """Return the first day of relapse from a confirmed complete response.

    M-protein that comes back counts when the next assessment shows it too; marrow and progression
    count as they are. This end point serves disease-free survival only, never PFS.
    """
    if response.category not in ("sCR", "CR"):
        return None
    after = [a for a in series if a.day > response.confirmed_day]

    def reappeared(a: Assessment) -> bool | None:
        return some(
            *(immunofixation(a, fluid) for fluid in ("serum", "urine")),
            above(a.serum_m, 0),
            above(a.urine_m, 0),
        )

    known = [a for a in after if reappeared(a) is not None]
    days = [
        first.day
        for first, second in itertools.pairwise(known)
        if reappeared(first) and reappeared(second)
    ]
    days += [a.day for a in after if at_least(a.marrow, rules["relapse_from_cr_marrow"])]
    days += [] if progression.day is None else [progression.day]
    return min(days, default=None)


def clinical_relapse(
    baseline: Baseline, series: Sequence[Assessment], rules: Rules
) -> list[tuple[int, str]]:
    """Return days and signs of clinical relapse, earliest first.

    Haemoglobin falls from the highest confirmed value of the line, creatinine rises from its
    start. Whether therapy is the cause cannot be seen here: the rules are marked unverified.
    """
    start = baseline.values
    found: list[tuple[int, str]] = []
    for i, now in enumerate(series):
        if now.new_lesion:
            found.append((now.day, "new or grown lesion"))
        if above(now.calcium, rules["clinical_relapse_calcium"]):
            found.append((now.day, f"calcium {now.calcium:g} mg/dL"))
        if now.hemoglobin is not None:
            past = [(a.day, -a.hemoglobin) for a in series[:i] if a.hemoglobin is not None]
            first = None if start.hemoglobin is None else -start.hemoglobin
            peak = confirmed_nadir(first, start.day, past)
            fall = None if peak is None else -peak.value - now.hemoglobin
            if at_least(fall, rules["clinical_relapse_hemoglobin_fall"]):
                found.append((now.day, f"haemoglobin {now.hemoglobin:g} g/dL, fell {fall:.2g}"))
        if now.creatinine is not None and start.creatinine is not None:
            rise = now.creatinine - start.creatinine
            if at_least(rise, rules["clinical_relapse_creatinine_rise"]):
                found.append((now.day, f"creatinine {now.creatinine:g} mg/dL, rose {rise:.2g}"))
    return sorted(found)


@dataclass(frozen=True)
class MrdCourse:
    """MRD by IMWG: negative needs a complete response and a sensitivity of 1e-5."""

    status: str
    day: int | None = None
    sustained: bool | None = None
    lost_day: int | None = None


def mrd_course(series: Sequence[Assessment], calls: Sequence[Call], rules: Rules) -> MrdCourse:
    """Return the line's MRD status: ``negative``, ``positive`` or ``not_assessable``."""
    in_cr = {c.day for c in calls if c.met["CR"]}
    limit = rules["mrd_sensitivity"] * (1 + 1e-6)
    tested = [a for a in series if a.mrd is not None]
    negative = [
        a.day
        for a in tested
        if a.mrd is False
        and a.mrd_sensitivity is not None
        and a.mrd_sensitivity <= limit
        and a.day in in_cr
    ]
    if not negative:
        positive = [a.day for a in tested if a.mrd]
        return MrdCourse("positive" if positive else "not_assessable", min(positive, default=None))
    lost = min((a.day for a in tested if a.mrd and a.day > negative[0]), default=None)
    held = [day for day in negative if lost is None or day < lost]
    return MrdCourse("negative", negative[0], held[-1] - held[0] >= rules["mrd_sustained"], lost)


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


def _flags(
    baseline: Baseline, series: Sequence[Assessment], chain: str | None, rules: Rules
) -> tuple[str, ...]:
    flags = []
    switched = [a.day for a in series if chain_switched(a, baseline, rules)]
    if switched:
        flags.append(f"involved_chain_switch (day {', '.join(map(str, switched))})")
    ratio = baseline.values.flc_ratio
    if chain and ratio is not None and ratio_normal(ratio, rules) is False:
        seen = "kappa" if ratio > rules["flc_ratio_high"] else "lambda"
        if seen != chain:
            flags.append(f"involved_chain_contradicted (table {chain}, baseline ratio {seen})")
    escape = [
        a.day
        for a in series
        if baseline.mode == "m_protein"
        and below(a.serum_m, rules["measurable_serum"])
        and below(a.urine_m, rules["measurable_urine"])
        and _excess_rise(a, baseline, series, rules)
    ]
    if escape:
        flags.append(f"light_chain_escape_possible (day {', '.join(map(str, escape))})")
    contradictory = [a.day for a in series if a.serum_ife is False and above(a.serum_m, 0)]
    if contradictory:
        flags.append(
            "m_protein_with_negative_immunofixation (day "
            + ", ".join(map(str, contradictory))
            + ")"
        )
    return tuple(flags)


def _excess_rise(
    now: Assessment, baseline: Baseline, series: Sequence[Assessment], rules: Rules
) -> bool:
    """Return whether dFLC rose by the size of progression while M-protein stayed unmeasurable."""
    value = now.flc_difference(baseline.chain)
    past = [
        (a.day, a.flc_difference(baseline.chain))
        for a in series
        if a.day < now.day and a.flc_difference(baseline.chain) is not None
    ]
    nadir = confirmed_nadir(
        baseline.values.flc_difference(baseline.chain), baseline.values.day, past
    )
    return value is not None and nadir is not None and _risen("pd_flc", value, nadir.value, rules)
