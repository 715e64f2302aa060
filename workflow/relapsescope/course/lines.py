"""The clinical course: one row a patient and line of therapy, from the three clinical tables."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from relapsescope.course.caveats import antibody_caveats, unit_caveats
from relapsescope.course.clinical_record import Patient, TherapyLine, read_patients
from relapsescope.course.imwg import MODE_WORDS, Rules, read_rules
from relapsescope.course.relapse import slim_crab_signs
from relapsescope.course.response import LineResponse, assess_line
from relapsescope.course.settings import CourseSettings

CONTRACT_COLUMNS = (
    "patient_id",
    "line",
    "therapy_class",
    "best_response",
    "progression_day",
    "time_to_response_days",
    "duration_of_response_days",
    "pfs_days",
    "pfs_event",
    "os_days",
    "os_event",
    "evaluable",
    "reason",
)
EXTRA_COLUMNS = (
    "regimen",
    "target",
    "start_day",
    "end_day",
    "baseline_days",
    "measured_by",
    "best_response_day",
    "best_response_confirmed_day",
    "response_assessments",
    "progression_confirmed_day",
    "progression_criteria",
    "unconfirmed_progression_days",
    "dor_event",
    "relapse_from_cr_day",
    "clinical_relapse_day",
    "clinical_relapse_signs",
    "mrd_status",
    "mrd_day",
    "mrd_sustained",
    "relapse_from_mrd_negative_day",
    "flags",
    "unverified_rules",
    "reported_response",
    "car_product",
)
INTEGER_COLUMNS = (
    "line",
    "progression_day",
    "time_to_response_days",
    "duration_of_response_days",
    "pfs_days",
    "os_days",
    "start_day",
    "end_day",
    "best_response_day",
    "best_response_confirmed_day",
    "progression_confirmed_day",
    "relapse_from_cr_day",
    "clinical_relapse_day",
    "mrd_day",
    "relapse_from_mrd_negative_day",
)
MRD_WORDS = {True: "positive", False: "negative", None: None}
YES_NO = {True: "yes", False: "no", None: None}


def assess_patient(
    patient: Patient, settings: CourseSettings, rules: Rules
) -> list[tuple[TherapyLine, LineResponse]]:
    """Return each line of a patient with what the criteria say about it."""
    return [
        (
            line,
            assess_line(
                patient.assessments,
                start_day=line.start_day,
                next_start_day=line.next_start_day,
                chain=patient.chain,
                rules=rules,
                baseline_window_days=settings.baseline_window_days,
                marrow_window_days=settings.marrow_window_days,
                confirm_after_next_line=settings.confirm_progression_after_next_line,
            ),
        )
        for line in patient.lines
    ]


def course_table(
    patients: pd.DataFrame,
    labs: pd.DataFrame,
    therapies: pd.DataFrame,
    *,
    settings: CourseSettings | None = None,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """Return ``tables/course.tsv``: one row a patient and line of therapy.

    Parameters
    ----------
    patients, labs, therapies
        The contract's clinical tables, as text or typed; may be empty.
    settings
        Choices of the config's section ``course``.
    rules
        Thresholds of the criteria; by default those of ``resources/imwg.yaml``.

    Returns
    -------
    The contract's columns, then those of ``EXTRA_COLUMNS``. Days are whole, events bool, and
    what is missing is null.
    """
    settings, rules = settings or CourseSettings(), rules or read_rules()
    rows = []
    for patient in read_patients(patients, labs, therapies):
        for line, result in assess_patient(patient, settings, rules):
            rows.append(_course_row(patient, line, result, settings))
    table = pd.DataFrame(rows, columns=[*CONTRACT_COLUMNS, *EXTRA_COLUMNS])
    for name in INTEGER_COLUMNS:
        table[name] = pd.array(table[name].tolist(), dtype="Int64")
    for name in ("pfs_event", "os_event", "dor_event", "evaluable", "mrd_sustained"):
        table[name] = pd.array(table[name].tolist(), dtype="boolean")
    return table


def assessment_table(
    patients: pd.DataFrame,
    labs: pd.DataFrame,
    therapies: pd.DataFrame,
    *,
    settings: CourseSettings | None = None,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """Return one row a patient, line and assessment: the values and the call of that day.

    The numbers behind the M-protein and light-chain curves. Light chains are in mg/L, as in the
    lab table; the baseline visit has the call ``baseline``.
    """
    settings, rules = settings or CourseSettings(), rules or read_rules()
    rows = []
    for patient in read_patients(patients, labs, therapies):
        by_day = {a.day: a for a in patient.assessments}
        for line, result in assess_patient(patient, settings, rules):
            marks = dict.fromkeys(result.baseline.days, "baseline")
            marks |= {call.day: call.category for call in result.calls}
            for day in sorted(marks):
                visit = by_day[day]
                rows.append(
                    {
                        "patient_id": patient.patient_id,
                        "line": line.line,
                        "day": day,
                        "serum_m_protein_g_dl": visit.serum_m,
                        "urine_m_protein_mg_24h": visit.urine_m,
                        "flc_kappa_mg_l": visit.kappa,
                        "flc_lambda_mg_l": visit.lambda_,
                        "marrow_plasma_cell_pct": visit.marrow,
                        "hemoglobin_g_dl": visit.hemoglobin,
                        "calcium_mg_dl": visit.calcium,
                        "creatinine_mg_dl": visit.creatinine,
                        "soluble_bcma_ng_ml": visit.soluble_bcma,
                        "new_lesion": YES_NO[visit.new_lesion],
                        "extramedullary": YES_NO[visit.extramedullary],
                        "slim_crab": "; ".join(
                            slim_crab_signs(visit, result.baseline.chain, rules)
                        ),
                        "mrd": MRD_WORDS[visit.mrd],
                        "mrd_sensitivity": visit.mrd_sensitivity,
                        "call": marks[day],
                        "is_best_response": day == result.response.day,
                        "is_progression": day == result.progression.day,
                    }
                )
    columns = [
        "patient_id",
        "line",
        "day",
        "serum_m_protein_g_dl",
        "urine_m_protein_mg_24h",
        "flc_kappa_mg_l",
        "flc_lambda_mg_l",
        "mrd",
        "mrd_sensitivity",
        "call",
        "is_best_response",
        "is_progression",
        "marrow_plasma_cell_pct",
        "hemoglobin_g_dl",
        "calcium_mg_dl",
        "creatinine_mg_dl",
        "soluble_bcma_ng_ml",
        "new_lesion",
        "extramedullary",
        "slim_crab",
    ]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class EndOfProgressionFree:
    """The day that progression-free survival of a line ends, and how."""

    day: int | None
    event: bool | None
    words: str


def progression_free_end(
    patient: Patient, line: TherapyLine, result: LineResponse
) -> EndOfProgressionFree:
    """Return when progression-free survival ends.

    Progression or death is the event. Without either, the line is censored at its last
    assessment; so it is when a new line starts before progression, which is no event.
    """
    if result.progression.day is not None:
        return EndOfProgressionFree(result.progression.day, True, "")
    last = result.last_assessed_day
    death = patient.death_day
    if not result.baseline.days:
        return EndOfProgressionFree(None, None, "no baseline within the window")
    if line.next_start_day is not None and (death is None or death >= line.next_start_day):
        return EndOfProgressionFree(
            last, None if last is None else False, "censored: a new line began before progression"
        )
    if death is not None and death >= line.start_day:
        return EndOfProgressionFree(death, True, f"death on day {death}")
    return EndOfProgressionFree(
        last, None if last is None else False, "censored at the last assessment"
    )


def _course_row(
    patient: Patient, line: TherapyLine, result: LineResponse, settings: CourseSettings
) -> dict[str, object]:
    response, progression = result.response, result.progression
    end = progression_free_end(patient, line, result)
    first = response.first_response_day
    survived_to = patient.death_day if patient.death_day is not None else patient.last_follow_up_day
    known_alive = survived_to is not None and survived_to >= line.start_day
    visits = {assessment.day: assessment for assessment in patient.assessments}
    called = [visits[call.day] for call in result.calls]
    flags = [*result.flags, *antibody_caveats(patient.lines, called, settings)]
    flags += unit_caveats(patient.assessments) if called else []
    pending = [] if progression.pending_day is None else [progression.pending_day]
    return {
        "patient_id": patient.patient_id,
        "line": line.line,
        "therapy_class": line.therapy_class or None,
        "best_response": response.category,
        "progression_day": progression.day,
        "time_to_response_days": None if first is None else first - line.start_day,
        "duration_of_response_days": (
            None if first is None or end.day is None else end.day - first
        ),
        "pfs_days": None if end.day is None else end.day - line.start_day,
        "pfs_event": end.event,
        "os_days": survived_to - line.start_day if known_alive else None,
        "os_event": patient.death_day is not None if known_alive else None,
        "evaluable": response.category != "NE",
        "reason": _reason(line, result, end),
        "regimen": line.regimen or None,
        "target": line.target or None,
        "start_day": line.start_day,
        "end_day": line.end_day,
        "baseline_days": _join(result.baseline.days),
        "measured_by": result.baseline.mode,
        "best_response_day": response.day,
        "best_response_confirmed_day": response.confirmed_day,
        "response_assessments": _join(response.days),
        "progression_confirmed_day": progression.confirmed_day,
        "progression_criteria": _join(progression.criteria),
        "unconfirmed_progression_days": _join([*progression.unconfirmed_days, *pending]),
        "dor_event": None if first is None else end.event,
        "relapse_from_cr_day": result.relapse_from_cr_day,
        "clinical_relapse_day": result.clinical_relapse_day,
        "clinical_relapse_signs": _join(result.clinical_relapse_signs),
        "mrd_status": result.mrd_status,
        "mrd_day": result.mrd_day,
        "mrd_sustained": result.mrd_sustained,
        "relapse_from_mrd_negative_day": result.relapse_from_mrd_negative_day,
        "flags": _join(flags),
        "unverified_rules": _join(result.unverified_rules),
        "reported_response": line.reported_response or None,
    }


def _reason(line: TherapyLine, result: LineResponse, end: EndOfProgressionFree) -> str:
    response, progression, baseline = result.response, result.progression, result.baseline
    parts = []
    if response.category == "NE":
        parts.append(f"not evaluable: {_why_not_evaluable(result)}")
    elif response.category == "SD":
        parts.append(f"SD: no confirmed response, first assessment day {response.day}")
    elif response.category == "PD":
        parts.append(f"PD is the best call, from day {response.day}")
    else:
        parts.append(
            f"{response.category} on day {response.day}, confirmed day {response.confirmed_day}"
            f" (assessments: day {_join(response.days, ', ')})"
        )
    if baseline.days:
        days, mode = _join(baseline.days, ", "), MODE_WORDS[baseline.mode]
        parts.append(f"baseline day {days}, measured by {mode}")
    parts += response.notes
    if response.category == "CR":
        parts.append("sCR not assessable without the marrow's clonality and a normal ratio")
    if progression.day is not None:
        parts.append(
            f"PD on day {progression.day}: {progression.sentence}; confirmed day "
            f"{progression.confirmed_day}"
        )
        late = line.next_start_day is not None and progression.confirmed_day > line.next_start_day
        if late:
            parts.append(f"confirmed after the next line began on day {line.next_start_day}")
    parts += [f"rise on day {day} not confirmed" for day in progression.unconfirmed_days]
    if progression.pending_day is not None:
        parts.append(f"PD unconfirmed: rise on day {progression.pending_day} was not followed up")
    parts += [end.words] if end.words and response.category != "NE" else []
    return "; ".join(parts)


def _why_not_evaluable(result: LineResponse) -> str:
    baseline = result.baseline
    if not baseline.days and not result.calls:
        return "no assessment in the table belongs to this line"
    if not baseline.days:
        return "no baseline within the window"
    if not result.calls:
        return "no assessment after the start"
    if baseline.mode == "unmeasurable":
        return "no measurable disease at baseline (only CR and PD can be called)"
    if baseline.mode == "unknown":
        order = ("serum", "urine", "flc", "marrow")
        missing = [name for name in order if baseline.measurable[name] is None]
        return f"baseline lacks {missing[0]}"
    if result.progression.pending_day is not None:
        return "the only informative assessment shows an unconfirmed rise"
    return "the assessments lack values that the categories need"


def _join(values: Iterable[object], separator: str = ";") -> str | None:
    return separator.join(map(str, values)) or None
