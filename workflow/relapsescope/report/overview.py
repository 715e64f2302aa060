"""What the picture at the head of a patient's page shows: course, clones, target, CAR-T cells.

Plain values only, taken from the run's tables; `overview_drawing` makes the picture of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relapsescope.mechanisms.cited import Row
from relapsescope.vocabulary import INDETERMINATE, antigen_name

EARLIEST_DAY = -120.0
"""Days before this are not drawn: earlier treatment would press the course together."""
CURVES = {
    "serum_m_protein_g_dl": "serum M-protein, g/dL",
    "urine_m_protein_mg_24h": "urine M-protein, mg/24 h",
    "flc_kappa_mg_l": "free kappa, mg/L",
    "flc_lambda_mg_l": "free lambda, mg/L",
}
CALLS_LAST = {"baseline": 1, "NE": 2}
"""Calls that say less than any other of the same day."""
LIGHT_CHAINS = ("flc_kappa_mg_l", "flc_lambda_mg_l")
TISSUE_WORDS = {
    "bone_marrow": "",
    "infusion_product": "",
    "blood": "blood",
    "extramedullary": "outside marrow",
}
SORTING_WORDS = {
    "CD138_positive": "CD138+",
    "CD138_negative": "CD138−",
    "CD3_positive": "CD3+",
    "CAR_positive": "CAR+",
}
TIMEPOINT_WORDS = {"pre_infusion": "before CAR-T", "infusion_product": "product"}
NOT_MEASURED, FAILED = "not measured", "failed"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where an end is open."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """A clone's share of a library's malignant cells."""

    clone_id: str
    fraction: float
    returned: bool


@dataclass(frozen=True)
class Library:
    """One library: when it was taken, and what it shows in each lane.

    Attributes
    ----------
    day
        From the infusion; None where the sheet has none.
    words
        Timepoint, and tissue or sorting where it is not whole marrow.
    shares
        Clones of the malignant cells; empty where there are none.
    clone_words, target_words, car_words
        What stands below each lane: a count, a verdict, a share, or why there is none.
    target
        The antigen's rate as a ratio to its reference.
    car
        Share of CAR-T cells among T cells.
    """

    sample_id: str
    day: float | None
    words: tuple[str, ...]
    shares: tuple[Share, ...]
    clone_words: str
    target: Estimate | None
    target_words: str
    car: Estimate | None
    car_words: str


@dataclass(frozen=True)
class Therapy:
    """A line of therapy; `end` is None where it goes on or its end is not known."""

    words: str
    start: float
    end: float | None
    is_car_t: bool


@dataclass(frozen=True)
class Visit:
    """What one visit alone meets by IMWG, and the value of the curve (NaN where missing)."""

    day: float
    call: str
    value: float


@dataclass(frozen=True)
class Overview:
    """Everything that the picture shows.

    Attributes
    ----------
    earlier_lines
        How many lines of therapy ended before what is drawn.
    events
        Day and words of the best response and of progression of each CAR-T line.
    end_words
        Whether and when the patient died, or was last seen.
    target_name
        The antigen of the CAR.
    """

    therapies: tuple[Therapy, ...]
    earlier_lines: int
    curve_name: str
    visits: tuple[Visit, ...]
    events: tuple[tuple[float, str], ...]
    end_words: str
    target_name: str
    libraries: tuple[Library, ...]

    @property
    def days(self) -> tuple[float, float] | None:
        """First and last day of the axis; None where nothing has a day."""
        known = [library.day for library in self.libraries if library.day is not None]
        known += [visit.day for visit in self.visits] + [day for day, _ in self.events]
        known += [therapy.start for therapy in self.therapies]
        drawn = [day for day in known if day >= EARLIEST_DAY]
        if not drawn:
            return (EARLIEST_DAY, 0.0) if known else None
        first, last = min(*drawn, 0.0), max(*drawn, 0.0)
        return first, max(last, first + 30)


def overview_of(
    tables: Mapping[str, Sequence[Row]],
    libraries: Sequence[Mapping[str, str]],
    *,
    verdicts: Mapping[str, str],
    car_target: str,
) -> Overview:
    """Return what one patient's picture shows.

    Parameters
    ----------
    tables
        The patient's rows of `course`, `assessments`, `clones`, `antigens` and `car_t`.
    libraries
        The patient's rows of the sample sheet, in the order of time.
    verdicts
        Of quality control by sample.
    car_target
        Gene symbol of the CAR's antigen where no row of `antigens` says it.
    """
    course = tables["course"]
    curve, visits = _visits(course, tables["assessments"])
    every = [_therapy(row) for row in course if row["start_day"]]
    drawn = [one for one in every if _is_drawn(one)]
    targets = [row for row in tables["antigens"] if row.is_true("is_car_target")]
    return Overview(
        therapies=tuple(drawn),
        earlier_lines=len(every) - len(drawn),
        curve_name=curve,
        visits=tuple(visits),
        events=tuple(_events(course)),
        end_words=_end_words(course),
        target_name=antigen_name(targets[0]["antigen"] if targets else car_target),
        libraries=tuple(
            _library(row, tables, targets, failed=verdicts.get(row["sample_id"]) == "fail")
            for row in libraries
        ),
    )


def _therapy(row: Row) -> Therapy:
    is_car_t = row["therapy_class"] == "car_t"
    named = row["regimen"] or row["therapy_class"].replace("_", " ")
    words = f"CAR-T: {row['regimen']}" if is_car_t and row["regimen"] else named
    end = row.value("end_day")
    return Therapy(
        "CAR-T" if is_car_t and not row["regimen"] else words,
        row.value("start_day"),
        None if math.isnan(end) else end,
        is_car_t,
    )


def _is_drawn(therapy: Therapy) -> bool:
    return therapy.end is None or max(therapy.start, therapy.end) >= EARLIEST_DAY


def _visits(course: Sequence[Row], assessments: Sequence[Row]) -> tuple[str, list[Visit]]:
    """Return the curve's name, and the visits from the first CAR-T line on, one a day.

    A day that ends one line and begins the next is shown with the call of the line that it ends.
    """
    cars = [row for row in course if row["therapy_class"] == "car_t"]
    first = min((row.value("line") for row in cars), default=-math.inf)
    by_day: dict[float, Row] = {}
    for row in sorted(assessments, key=lambda row: CALLS_LAST.get(row["call"], 0)):
        if row.value("line") >= first and row.value("day") >= EARLIEST_DAY:
            by_day.setdefault(row.value("day"), row)
    rows = [by_day[day] for day in sorted(by_day)]
    column = _curve(rows, cars[0]["measured_by"] if cars else "")
    name = CURVES.get(column, "")
    return name, [Visit(row.value("day"), row["call"], row.value(column)) for row in rows]


def _curve(rows: Sequence[Row], measured_by: str) -> str:
    """Return the column that tells most of the tumour's course: what responses were measured by."""
    peaks = {
        name: max((row.value(name) for row in rows if row[name]), default=-math.inf)
        for name in CURVES
    }
    chains = max(LIGHT_CHAINS, key=lambda name: peaks[name])
    proteins = [name for name in CURVES if name not in LIGHT_CHAINS and peaks[name] > 0]
    if proteins and not ("flc" in measured_by or "light" in measured_by):
        return proteins[0]
    return chains if peaks[chains] > -math.inf else next(iter(CURVES))


def _events(course: Sequence[Row]) -> list[tuple[float, str]]:
    found = []
    for row in course:
        if row["therapy_class"] != "car_t":
            continue
        if row["best_response_day"]:
            day = row["best_response_day"]
            told = f"best response {row['best_response']}, day {day}"
            found.append((row.value("best_response_day"), told))
        if row["progression_day"]:
            told = f"progression, day {row['progression_day']}"
            found.append((row.value("progression_day"), told))
    return sorted(found)


def _end_words(course: Sequence[Row]) -> str:
    rows = [row for row in course if row["therapy_class"] == "car_t" and row["os_days"]]
    if not rows:
        return ""
    last = rows[-1]
    day = f"{last.value('start_day') + last.value('os_days'):g}"
    return f"died on day {day}" if last.is_true("os_event") else f"alive on day {day}"


def _library(
    sheet: Mapping[str, str],
    tables: Mapping[str, Sequence[Row]],
    targets: Sequence[Row],
    *,
    failed: bool,
) -> Library:
    sample = sheet["sample_id"]
    clones = [row for row in tables["clones"] if row["sample_id"] == sample and row["clone_id"]]
    cars = [
        row
        for row in tables["car_t"]
        if row["sample_id"] == sample and row["population"] == "car_detected"
    ]
    target, target_words = _target([row for row in targets if row["sample_id"] == sample], clones)
    car, car_words = _car(cars[0] if cars else None)
    n_malignant = clones[0]["n_malignant"] if clones else ""
    clone_words = f"{n_malignant} cells" if n_malignant else "none called"
    if failed:
        clone_words = target_words = car_words = FAILED
    return Library(
        sample_id=sample,
        day=float(sheet["day"]) if sheet.get("day") else None,
        words=_material(sheet),
        shares=tuple(
            Share(row["clone_id"], row.value("fraction"), row.is_true("is_relapse_clone"))
            for row in clones
            if row.value("fraction") > 0
        ),
        clone_words=clone_words,
        target=None if failed else target,
        target_words=target_words,
        car=None if failed else car,
        car_words=car_words,
    )


def _material(sheet: Mapping[str, str]) -> tuple[str, ...]:
    timepoint = sheet["timepoint"]
    tissue = TISSUE_WORDS.get(sheet.get("tissue", ""), "")
    place = (sheet.get("site") or "").replace("_", " ") or tissue
    sorting = SORTING_WORDS.get(sheet.get("sorting") or "", "")
    words = TIMEPOINT_WORDS.get(timepoint, timepoint.replace("_", " "))
    material = " ".join(filter(None, (place, sorting)))
    return (words, material) if material else (words,)


def _target(rows: Sequence[Row], clones: Sequence[Row]) -> tuple[Estimate | None, str]:
    row = relevant_target(rows, clones)
    if row is None:
        return None, "no cells"
    words = verdict_words(row)
    if not row["ratio"]:
        return None, words
    return Estimate(
        *(row.value(name) for name in ("ratio", "ratio_ci_low", "ratio_ci_high"))
    ), words


def verdict_words(row: Row) -> str:
    """Return an antigen's verdict as the picture says it."""
    return "not decided" if row["verdict"] == INDETERMINATE else row["verdict"].lower()


def relevant_target(rows: Sequence[Row], clones: Sequence[Row]) -> Row | None:
    """Return the CAR's antigen in the clone that came back, else in all malignant cells.

    Parameters
    ----------
    rows, clones
        One library's rows of `antigens` and `clones`.
    """
    returned = {row["clone_id"] for row in clones if row.is_true("is_relapse_clone")}
    own = [row for row in rows if row.is_true("is_car_target")]
    of_returned = [row for row in own if row["clone_id"] in returned]
    every = [row for row in own if row["clone_id"] == "all_malignant"]
    return next(iter([*of_returned, *every]), None)


def head(library: Library) -> tuple[str, ...]:
    """Return what stands above a library's column."""
    day = "" if library.day is None else f"day {library.day:g}".replace("-", "−")
    return (*library.words, day or "day unknown")


def _car(row: Row | None) -> tuple[Estimate | None, str]:
    if row is None or not row["n_cells"]:
        return None, NOT_MEASURED
    if not row["fraction_of_t"]:
        return None, "no share"
    names = ("fraction_of_t", "fraction_ci_low", "fraction_ci_high")
    found = Estimate(*(row.value(name) for name in names))
    if row["n_cells"] == "0":
        return found, "none found"
    return found, f"{100 * found.value:.2g} %" if found.value < 1 else "100 %"
