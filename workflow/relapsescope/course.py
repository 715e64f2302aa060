"""The clinical course: one row a patient and line of therapy, from the three clinical tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from relapsescope.imwg import Assessment, Rules, negated, read_rules
from relapsescope.response import LineResponse, assess_line

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
LAB_FIELDS = {
    "serum_m_protein_g_dl": "serum_m",
    "urine_m_protein_mg_24h": "urine_m",
    "flc_kappa_mg_l": "kappa",
    "flc_lambda_mg_l": "lambda_",
    "marrow_plasma_cell_pct": "marrow",
    "mrd_sensitivity": "mrd_sensitivity",
    "calcium_mg_dl": "calcium",
    "hemoglobin_g_dl": "hemoglobin",
    "creatinine_mg_dl": "creatinine",
}
LAB_FLAGS = {
    "serum_immunofixation": "serum_ife",
    "urine_immunofixation": "urine_ife",
    "mrd": "mrd",
    "new_lesion": "new_lesion",
    "marrow_clonality": "marrow_clonal",
}
YES_WORDS = {"positive": True, "yes": True, "negative": False, "no": False}


@dataclass(frozen=True)
class CourseOptions:
    """The choices of ``config.yaml``, section ``course``, that the criteria leave open.

    Parameters
    ----------
    baseline_window_days
        How old a baseline value may be at the start of a line.
    marrow_window_days
        How long before the first negative immunofixation a marrow may stand for a CR.
    confirm_progression_after_next_line
        Whether an assessment after the next line's start may confirm a progression before it.
    antibody_classes, antibody_names
        Therapy classes, and drug names within a regimen, that are monoclonal antibodies.
    antibody_washout_days
        How long after the end of such a line its band may still be seen.
    antibody_band_g_dl
        The largest serum M-protein that may be the drug.
    """

    baseline_window_days: int = 60
    marrow_window_days: int = 35
    confirm_progression_after_next_line: bool = True
    antibody_classes: tuple[str, ...] = ("cd38_antibody", "bispecific")
    antibody_names: tuple[str, ...] = ("daratumumab", "isatuximab", "elotuzumab")
    antibody_washout_days: int = 180
    antibody_band_g_dl: float = 0.2

    @classmethod
    def from_config(cls, section: Mapping[str, object]) -> "CourseOptions":
        """Return the options of a config section; keys of other steps are passed over."""
        known = {name: section[name] for name in cls.__dataclass_fields__ if name in section}
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in known.items()
            }
        )


@dataclass(frozen=True)
class TherapyLine:
    """One row of ``therapies.tsv`` with the start of the line after it."""

    patient_id: str
    line: int
    start_day: int
    end_day: int | None
    regimen: str
    therapy_class: str
    target: str
    reported_response: str
    next_start_day: int | None = None


@dataclass(frozen=True)
class Patient:
    """One patient with all that the clinical tables hold."""

    patient_id: str
    chain: str | None
    death_day: int | None
    last_follow_up_day: int | None
    assessments: tuple[Assessment, ...] = field(default=())
    lines: tuple[TherapyLine, ...] = field(default=())


def read_patients(
    patients: pd.DataFrame, labs: pd.DataFrame, therapies: pd.DataFrame
) -> list[Patient]:
    """Return the patients of the clinical tables, sorted, with lines and assessments.

    Parameters
    ----------
    patients, labs, therapies
        The contract's tables, already checked, as text or typed; a table may be empty. A patient
        who is only in ``labs`` or ``therapies`` is kept, with nothing known about survival.
    """
    rows = {str(row["patient_id"]): row for row in patients.to_dict("records")}
    visits: dict[str, dict[int, Assessment]] = {}
    for row in labs.to_dict("records"):
        visit = read_assessment(row)
        visits.setdefault(str(row["patient_id"]), {})[visit.day] = visit
    lines: dict[str, list[TherapyLine]] = {}
    for row in therapies.to_dict("records"):
        lines.setdefault(str(row["patient_id"]), []).append(_read_line(row))
    found = []
    for patient_id in sorted({*rows, *visits, *lines}):
        row = rows.get(patient_id, {})
        days = sorted(visits.get(patient_id, {}))
        last = _whole(row.get("last_follow_up_day"))
        found.append(
            Patient(
                patient_id=patient_id,
                chain=_text(row.get("involved_chain")) or None,
                death_day=_whole(row.get("death_day")),
                last_follow_up_day=max(
                    [*days[-1:], *([] if last is None else [last])], default=None
                ),
                assessments=tuple(visits[patient_id][day] for day in days),
                lines=_chain_lines(lines.get(patient_id, [])),
            )
        )
    return found


def read_assessment(row: Mapping[str, object]) -> Assessment:
    """Return one row of ``labs.tsv``; empty fields and absent columns become None."""
    numbers = {name: _number(row.get(column)) for column, name in LAB_FIELDS.items()}
    flags = {name: YES_WORDS.get(_text(row.get(column))) for column, name in LAB_FLAGS.items()}
    return Assessment(int(_number(row["day"])), **numbers, **flags)


def assess_patient(
    patient: Patient, options: CourseOptions, rules: Rules
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
                baseline_window_days=options.baseline_window_days,
                marrow_window_days=options.marrow_window_days,
                confirm_after_next_line=options.confirm_progression_after_next_line,
            ),
        )
        for line in patient.lines
    ]


def course_table(
    patients: pd.DataFrame,
    labs: pd.DataFrame,
    therapies: pd.DataFrame,
    *,
    options: CourseOptions | None = None,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """Return ``tables/course.tsv``: one row a patient and line of therapy.

    Parameters
    ----------
    patients, labs, therapies
        The contract's clinical tables, as text or typed; may be empty.
    options
        Choices of the config's section ``course``.
    rules
        Thresholds of the criteria; by default those of ``resources/imwg.yaml``.

    Returns
    -------
    The contract's columns, then those of ``EXTRA_COLUMNS``. Days are whole, events bool, and
    what is missing is null.
    """
    options, rules = options or CourseOptions(), rules or read_rules()
    rows = []
    for patient in read_patients(patients, labs, therapies):
        for line, result in assess_patient(patient, options, rules):
            rows.append(_course_row(patient, line, result, options))
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
    options: CourseOptions | None = None,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """Return one row a patient, line and assessment: the values and the call of that day.

    The numbers behind the M-protein and light-chain curves. Light chains are in mg/L, as in the
    lab table; the baseline visit has the call ``baseline``.
    """
    options, rules = options or CourseOptions(), rules or read_rules()
    rows = []
    for patient in read_patients(patients, labs, therapies):
        by_day = {a.day: a for a in patient.assessments}
        for line, result in assess_patient(patient, options, rules):
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
        "call",
        "is_best_response",
        "is_progression",
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
    observed = bool(result.baseline.days) or last is not None
    if not observed:
        return EndOfProgressionFree(None, None, "no assessment in the table belongs to this line")
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
    patient: Patient, line: TherapyLine, result: LineResponse, options: CourseOptions
) -> dict[str, object]:
    response, progression = result.response, result.progression
    end = progression_free_end(patient, line, result)
    first = response.first_response_day
    survived_to = patient.death_day if patient.death_day is not None else patient.last_follow_up_day
    known_alive = survived_to is not None and survived_to >= line.start_day
    flags = [*result.flags, *antibody_flags(patient, result, options)]
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


def antibody_flags(patient: Patient, result: LineResponse, options: CourseOptions) -> list[str]:
    """Return flags where a therapeutic antibody may be the band that immunofixation saw.

    Daratumumab, isatuximab and elotuzumab are IgG kappa and show on immunofixation; the band is
    small (under 2 g/L in 5 of 6 patients, Thirkettle 2020, 10.1177/0004563219894354). The call
    stays as it is: only an assay that shifts the drug's band can better it.
    """
    flags = []
    visits = {a.day: a for a in patient.assessments}
    for line in patient.lines:
        if not _is_antibody(line, options):
            continue
        end = line.end_day if line.end_day is not None else line.next_start_day
        last = float("inf") if end is None else end + options.antibody_washout_days
        days = [
            call.day
            for call in result.calls
            if line.start_day < call.day <= last
            and visits[call.day].serum_ife
            and (visits[call.day].serum_m or 0.0) <= options.antibody_band_g_dl
            and negated(visits[call.day].urine_ife) is not False
        ]
        if days:
            flags.append(f"antibody_band_possible (line {line.line}, day {_join(days)})")
    return flags


def unit_doubts(assessments: Iterable[Assessment], patient_id: str) -> list[str]:
    """Return lines on values whose size speaks for another unit than the table's.

    Free light chains are in mg/L: with a normal ratio both chains together stay over 5 mg/L
    unless marrow function is lost, so that a lower median speaks for mg/dL. No serum M-protein
    reaches 15 g/dL; such a value is in g/L.
    """
    visits = list(assessments)
    doubts = []
    normal = sorted(
        a.kappa + a.lambda_
        for a in visits
        if a.flc_ratio is not None and 0.26 <= a.flc_ratio <= 1.65
    )
    if len(normal) >= 2 and normal[len(normal) // 2] < 5:
        doubts.append(
            f"labs.tsv {patient_id} flc_kappa_mg_l, flc_lambda_mg_l: values look like mg/dL; "
            "give mg/L (mg/dL times 10)"
        )
    if any(a.serum_m is not None and a.serum_m >= 15 for a in visits):
        doubts.append(
            f"labs.tsv {patient_id} serum_m_protein_g_dl: values look like g/L; "
            "give g/dL (g/L divided by 10)"
        )
    return doubts


def _is_antibody(line: TherapyLine, options: CourseOptions) -> bool:
    words = line.regimen.lower()
    return line.therapy_class in options.antibody_classes or any(
        name in words for name in options.antibody_names
    )


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
        parts.append(f"baseline day {_join(baseline.days, ', ')}, measured by {baseline.mode}")
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


def _chain_lines(lines: Sequence[TherapyLine]) -> tuple[TherapyLine, ...]:
    ordered = sorted(lines, key=lambda line: (line.start_day, line.line))
    chained = []
    for i, line in enumerate(ordered):
        later = [other.start_day for other in ordered[i + 1 :] if other.start_day > line.start_day]
        chained.append(TherapyLine(**{**vars(line), "next_start_day": min(later, default=None)}))
    return tuple(sorted(chained, key=lambda line: line.line))


def _read_line(row: Mapping[str, object]) -> TherapyLine:
    return TherapyLine(
        patient_id=str(row["patient_id"]),
        line=int(_number(row["line"])),
        start_day=int(_number(row["start_day"])),
        end_day=_whole(row.get("end_day")),
        regimen=_text(row.get("regimen")),
        therapy_class=_text(row.get("therapy_class")),
        target=_text(row.get("target")),
        reported_response=_text(row.get("best_response")),
    )


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def _number(value: object) -> float | None:
    text = _text(value)
    return float(text) if text else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _join(values: Iterable[object], separator: str = ";") -> str | None:
    return separator.join(map(str, values)) or None
