"""What the tables of a run hold of one patient: the rows that verdicts on relapse rest on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relapsescope.course.genetics import TargetGenetics, target_genetics
from relapsescope.course.settings import CourseSettings
from relapsescope.mechanisms.cited import Cited, Row, cited
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import TIMEPOINTS

# With CAR-T cells, before the relapse.
WITH_CAR_T = ("infusion_product", "expansion", "remission")
MARROW = "bone_marrow"
UNSORTED = ("", "none")
COMPLETE = ("sCR", "CR")


@dataclass(frozen=True)
class RelapseLibrary:
    """A library taken at relapse; `verdict` and `reason` are the quality control's."""

    sample_id: str
    tissue: str
    day: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class PatientEvidence:
    """One patient's rows of every evidence table, in the tables' order.

    Attributes
    ----------
    relapses
        The libraries at relapse, marrow before blood, the last one first.
    car_target
        The configuration's; the CAR-T line's own target goes before it.
    lost_below, reduced_below
        Ratios to the reference under which an antigen is lost and reduced.
    beliefs
        What a leaning believes before the data.
    course
        The section `course` of the configuration.
    remissions
        Unsorted marrow libraries in remission that quality control let pass.
    failed
        Which step of the patient's failed, so that nothing can be said; "" as a rule.
    """

    patient_id: str
    tables: Mapping[str, Sequence[Row]]
    relapses: tuple[RelapseLibrary, ...]
    car_target: str
    lost_below: float
    reduced_below: float
    beliefs: LeaningSettings
    course: CourseSettings
    remissions: tuple[str, ...] = ()
    failed: str = ""

    @property
    def usable(self) -> list[str]:
        """Relapse libraries that quality control let pass."""
        return [library.sample_id for library in self.relapses if library.verdict != "fail"]

    @property
    def relapse_clone(self) -> Row | None:
        """The relapse clone's row of `clones.tsv`: of the last day, the library of most of it."""
        days = {library.sample_id: library.day for library in self.relapses}
        rows = [row for row in self.tables["clones"] if row.is_true("is_relapse_clone")]

        def key(row: Row) -> tuple[float, float]:
            day = days.get(row["sample_id"], math.nan)
            return (-math.inf if math.isnan(day) else day, row.value("n_cells"))

        return max(rows, key=key) if rows else None

    @property
    def car_line(self) -> Row | None:
        """The CAR-T line that this relapse follows: the last that began before it.

        Where no relapse library has a day, the last with a progression, else the last.
        """
        lines = [row for row in self.tables["course"] if row["therapy_class"] == "car_t"]
        days = [library.day for library in self.relapses if library.day == library.day]
        if days:
            begun = [row for row in lines if row.value("start_day") <= max(days)]
            return begun[-1] if begun else None
        progressed = [row for row in lines if row["progression_day"]]
        return (progressed or lines or [None])[-1]

    @property
    def relapse_day(self) -> float | None:
        """Day of the last relapse library, else of progression; None where neither is known."""
        days = [library.day for library in self.relapses if library.day == library.day]
        if days:
            return max(days)
        line = self.car_line
        known = line is not None and line["progression_day"]
        return line.value("progression_day") if known else None

    @property
    def target(self) -> str:
        """The antigen that this patient's CAR recognises."""
        line = self.car_line
        return (line["target"] if line else "") or self.car_target

    @property
    def target_genetics(self) -> TargetGenetics:
        """What genetics of the relapse says of the CAR's target."""
        line = self.car_line
        since = line.value("start_day") if line is not None and line["start_day"] else None
        rows = [row.values for row in self.tables.get("genetics", ())]
        return target_genetics(rows, self.target, since=since)

    def why_no_relapse(self) -> Cited:
        """Return why nothing is known of the cells at relapse; empty where something is."""
        if self.usable:
            return Cited("")
        if not self.relapses:
            return Cited("there is no library at relapse")
        failed = self.relapses[0]
        rows = [r for r in self.tables["samples"] if r["sample_id"] == failed.sample_id]
        reason = rows[0].word("reason") if rows else Cited(failed.reason)
        return cited("the relapse library failed quality control ({reason})", reason=reason)

    def why_no_clone(self) -> Cited:
        """Return why no clone is known at relapse, as the clones' own table says it.

        Where plasma cells were set aside before any could be judged, how many.
        """
        if self.failed:
            return Cited(self.failed)
        rows = [r for r in self.tables["clones"] if r["timepoint"] == TIMEPOINTS[-1]]
        words = [row.word("reason") for row in rows if not row["clone_id"] and row["reason"]]
        why = self.why_no_relapse() or (
            words[0] if words else Cited("malignant cells could not be told at relapse")
        )
        for row in self.at_relapse("samples"):
            if row["n_plasma_set_aside"] not in ("", "0"):
                why += cited(
                    "; {n} plasma cells of {sample} were set aside (doublets, quality)",
                    n=row.number("n_plasma_set_aside"),
                    sample=row.word("sample_id"),
                )
        return why

    def at_relapse(self, table: str) -> list[Row]:
        """Return the rows of the relapse libraries, marrow first."""
        rows = self.tables.get(table, ())
        return [row for name in self.usable for row in rows if row["sample_id"] == name]

    def car_t(self, timepoints: Iterable[str]) -> list[Row]:
        """Return the CAR-T cells' rows at these timepoints, in the table's order."""
        wanted = tuple(timepoints)
        return [
            row
            for row in self.tables["car_t"]
            if row["population"] == "car_detected" and row["timepoint"] in wanted
        ]


def patient_evidence(
    patient_id: str,
    tables: Mapping[str, Sequence[Row]],
    sheet: Iterable[Mapping[str, str]],
    *,
    car_target: str,
    lost_below: float,
    reduced_below: float,
    beliefs: LeaningSettings,
    course: CourseSettings,
    failed: str = "",
) -> PatientEvidence:
    """Return one patient's evidence.

    Parameters
    ----------
    tables
        Rows by table of the whole cohort: `samples`, `clones`, `antigens`, `course`,
        `assessments`, `genetics`, `car_t` and `suppression`, each empty where the run has none.
    sheet
        The sample sheet's rows.
    failed
        As `PatientEvidence` has it.
    """
    own = {
        name: [row for row in rows if row["patient_id"] == patient_id]
        for name, rows in tables.items()
        if name != "samples"
    }
    here = [row for row in sheet if row["patient_id"] == patient_id]
    names = {row["sample_id"] for row in here}
    samples = [row for row in tables["samples"] if row["sample_id"] in names]
    quality = {row["sample_id"]: row for row in samples}
    relapses = [
        RelapseLibrary(
            sample_id=row["sample_id"],
            tissue=row["tissue"],
            day=float(row["day"]) if row.get("day") else float("nan"),
            verdict=quality[row["sample_id"]]["verdict"] if row["sample_id"] in quality else "fail",
            reason="not among the samples",
        )
        for row in here
        if row["timepoint"] == TIMEPOINTS[-1]
    ]
    relapses.sort(key=lambda lib: (lib.tissue != MARROW, -lib.day if lib.day == lib.day else 0))
    return PatientEvidence(
        patient_id,
        own | {"samples": samples},
        tuple(relapses),
        car_target,
        lost_below,
        reduced_below,
        beliefs,
        course,
        tuple(
            row["sample_id"]
            for row in here
            if row["timepoint"] == "remission"
            and row["tissue"] == MARROW
            and row.get("sorting", "") in UNSORTED
            and quality.get(row["sample_id"], {"verdict": "fail"})["verdict"] != "fail"
        ),
        failed,
    )


def relapsed_patients(
    tables: Mapping[str, Sequence[Row]], sheet: Iterable[Mapping[str, str]]
) -> list[str]:
    """Return who relapsed: a library at relapse, or a progression after CAR-T in the course.

    In the sheet's order, then the course's.
    """
    sampled = [row["patient_id"] for row in sheet if row["timepoint"] == TIMEPOINTS[-1]]
    progressed = [
        row["patient_id"]
        for row in tables["course"]
        if row["therapy_class"] == "car_t" and row["progression_day"]
    ]
    return list(dict.fromkeys([*sampled, *progressed]))
