"""What may mislead a call: therapeutic antibodies, another clone or chain, wrong units."""

from collections.abc import Iterable, Sequence

from relapsescope.course.assessment import Assessment
from relapsescope.course.clinical_record import TherapyLine
from relapsescope.course.imwg import Baseline, Rules, chain_switched, ratio_normal, read_rules
from relapsescope.course.progression import confirmed_nadir, has_risen
from relapsescope.course.settings import CourseSettings
from relapsescope.course.three_valued import above, below

LOW_LIGHT_CHAINS_MG_L = 5.0


def line_caveats(
    baseline: Baseline, series: Sequence[Assessment], chain: str | None, rules: Rules
) -> tuple[str, ...]:
    """Return caveats of one line: chain switch, contradicted chain, escape, odd immunofixation.

    Parameters
    ----------
    baseline
        Start of the line.
    series
        The line's assessments.
    chain
        Involved chain as the patient table has it.
    rules
        Thresholds.
    """
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
    return (
        value is not None and nadir is not None and has_risen("pd_flc", value, nadir.value, rules)
    )


def antibody_caveats(
    lines: Sequence[TherapyLine], assessments: Sequence[Assessment], settings: CourseSettings
) -> list[str]:
    """Return caveats where a therapeutic antibody may be the band that immunofixation saw.

    Daratumumab, isatuximab and elotuzumab are IgG kappa and show on immunofixation; the band is
    small (under 2 g/L in 5 of 6 patients, Thirkettle 2020, 10.1177/0004563219894354). The call
    stays as it is: only an assay that shifts the drug's band can better it.

    Parameters
    ----------
    lines
        All of the patient's lines, as a drug of an earlier one may still circulate.
    assessments
        Those of the line that is called.
    settings
        Which therapies are antibodies, how long and how strongly they show.
    """
    caveats = []
    for line in lines:
        if not _is_antibody(line, settings):
            continue
        end = line.end_day if line.end_day is not None else line.next_start_day
        last = float("inf") if end is None else end + settings.antibody_washout_days
        days = [
            visit.day
            for visit in assessments
            if line.start_day < visit.day <= last
            and visit.serum_ife
            and (visit.serum_m or 0.0) <= settings.antibody_band_g_dl
            and not visit.urine_ife
        ]
        if days:
            caveats.append(
                f"antibody_band_possible (line {line.line}, day {', '.join(map(str, days))})"
            )
    return caveats


def unit_caveats(assessments: Iterable[Assessment]) -> list[str]:
    """Return a caveat where light chains are of a size that speaks for mg/dL.

    With a normal ratio both chains together stay over 5 mg/L unless the marrow's function is
    lost (reference ranges begin at 3.3 and 5.7 mg/L, Katzmann 2002, Clin Chem 48:1437).
    """
    together = sorted(
        a.kappa + a.lambda_
        for a in assessments
        if a.flc_ratio is not None and ratio_normal(a.flc_ratio, read_rules())
    )
    doubtful = len(together) >= 2 and together[len(together) // 2] < LOW_LIGHT_CHAINS_MG_L
    return ["flc_unit_doubtful (mg/dL?)"] if doubtful else []


def _is_antibody(line: TherapyLine, settings: CourseSettings) -> bool:
    words = line.regimen.lower()
    return line.therapy_class in settings.antibody_classes or any(
        name in words for name in settings.antibody_names
    )
