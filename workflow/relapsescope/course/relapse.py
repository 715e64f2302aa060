"""Relapse from complete response, clinical relapse and MRD over a line of therapy."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass

from relapsescope.course.assessment import Assessment, immunofixation
from relapsescope.course.imwg import Baseline, Rules
from relapsescope.course.progression import confirmed_nadir
from relapsescope.course.three_valued import above, at_least, below, some


def relapse_from_cr(
    confirmed_day: int,
    series: Sequence[Assessment],
    progression_day: int | None,
    rules: Rules,
) -> int | None:
    """Return the first day of relapse from a complete response confirmed on a given day.

    M-protein that comes back counts when the next assessment shows it too; marrow and progression
    count as they are. This end point serves disease-free survival only, never PFS.
    """
    after = [a for a in series if a.day > confirmed_day]

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
    days += [] if progression_day is None else [progression_day]
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


def slim_crab_signs(now: Assessment, chain: str | None, rules: Rules) -> list[str]:
    """Return which of the SLiM-CRAB signs one visit shows, with the value and the limit.

    Whether the disease is their cause cannot be seen in a table of values.
    """
    uninvolved = {"kappa": now.lambda_, "lambda": now.kappa}.get(chain or "")
    involved = {"kappa": now.kappa, "lambda": now.lambda_}.get(chain or "")
    ratio = involved / uninvolved if involved is not None and uninvolved else None
    signs = (
        (
            above(now.calcium, rules["crab_calcium"]),
            "calcium", now.calcium, "mg/dL", "crab_calcium",
        ),
        (
            above(now.creatinine, rules["crab_creatinine"]),
            "creatinine", now.creatinine, "mg/dL", "crab_creatinine",
        ),
        (
            below(now.hemoglobin, rules["crab_hemoglobin"]),
            "haemoglobin", now.hemoglobin, "g/dL", "crab_hemoglobin",
        ),
        (
            at_least(now.marrow, rules["slim_marrow"]),
            "marrow plasma cells", now.marrow, "%", "slim_marrow",
        ),
        (
            at_least(ratio, rules["slim_flc_ratio"]),
            "involved over uninvolved free light chain", ratio, "", "slim_flc_ratio",
        ),
    )  # fmt: skip
    told = [
        f"{name} {value:g} {unit}".rstrip() + f" (limit {rules[rule]:g})"
        for met, name, value, unit, rule in signs
        if met
    ]
    return [*told, *(["new or grown lesion"] if now.new_lesion else [])]


@dataclass(frozen=True)
class MrdCourse:
    """MRD by IMWG: negative needs a complete response and a sensitivity of 1e-5."""

    status: str
    day: int | None = None
    sustained: bool | None = None
    lost_day: int | None = None


def mrd_course(series: Sequence[Assessment], days_in_cr: Container[int], rules: Rules) -> MrdCourse:
    """Return the line's MRD status: ``negative``, ``positive`` or ``not_assessable``."""
    limit = rules["mrd_sensitivity"] * (1 + 1e-6)
    tested = [a for a in series if a.mrd is not None]
    negative = [
        a.day
        for a in tested
        if a.mrd is False
        and a.mrd_sensitivity is not None
        and a.mrd_sensitivity <= limit
        and a.day in days_in_cr
    ]
    if not negative:
        positive = [a.day for a in tested if a.mrd]
        return MrdCourse("positive" if positive else "not_assessable", min(positive, default=None))
    lost = min((a.day for a in tested if a.mrd and a.day > negative[0]), default=None)
    held = [day for day in negative if lost is None or day < lost]
    return MrdCourse("negative", negative[0], held[-1] - held[0] >= rules["mrd_sustained"], lost)
