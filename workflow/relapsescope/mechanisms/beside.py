"""What the clinical tables say beside the cells: soluble BCMA, and disease outside the marrow."""

from dataclasses import dataclass

from relapsescope.mechanisms.cited import Cited, Row, cited
from relapsescope.mechanisms.patient_evidence import MARROW, PatientEvidence
from relapsescope.vocabulary import LOST, RETAINED

BCMA = "TNFRSF17"
AGREES, CONTRADICTS, SILENT = "agrees", "contradicts", ""
# Excretion falls with the kidneys, so that soluble BCMA is high without more cells: from this
# creatinine (mg/dL; the limit of SLiM-CRAB) its height says nothing.
HIGH_CREATININE = 2.0


@dataclass(frozen=True)
class Beside:
    """Whether soluble BCMA agrees with what the relapse clone's RNA says, in words."""

    says: str
    words: Cited


def soluble_bcma(patient: PatientEvidence, verdict: str) -> Beside:
    """Return what soluble BCMA at relapse says of the verdict on BCMA.

    Cells without BCMA shed none: with biallelic loss it is absent (Samur 2021). So disease that is
    back with hardly any of it speaks for a loss, with much of it against one in all cells. It is
    held against the value before the infusion, the patient's own.
    """
    if patient.target != BCMA or verdict not in (LOST, RETAINED):
        return Beside(SILENT, Cited(""))
    now = _nearest(patient)
    if now is None:
        return Beside(SILENT, Cited(""))
    then = _before(patient)
    if then is None or not then.value("soluble_bcma_ng_ml") > 0:
        why = "no value from before the infusion to hold it against"
        return Beside(SILENT, _seen(now) + f": {why}")
    told = _seen(now) + cited(
        " against {then} before the infusion", then=then.number("soluble_bcma_ng_ml")
    )
    share = now.value("soluble_bcma_ng_ml") / then.value("soluble_bcma_ng_ml")
    if _after_adc(patient):
        return Beside(SILENT, told + ": says nothing after an antibody-drug conjugate against it")
    absent = share <= patient.course.soluble_bcma_absent
    present = share >= patient.course.soluble_bcma_present
    if present and now.value("creatinine_mg_dl") > HIGH_CREATININE:
        return Beside(SILENT, told + ": its height says nothing where the kidneys fail")
    if not absent and not present:
        return Beside(SILENT, told + ": neither absent nor as before")
    if absent == (verdict == LOST):
        return Beside(AGREES, told + f": agrees with {'loss' if absent else 'retention'}")
    words = "contradicts retention" if absent else "contradicts a loss in all cells of the disease"
    return Beside(CONTRADICTS, told + f": {words}")


def _seen(row: Row) -> Cited:
    return cited(
        "soluble BCMA {now} ng/mL on day {day}",
        now=row.number("soluble_bcma_ng_ml"),
        day=row.number("day"),
    )


def _values(patient: PatientEvidence) -> list[Row]:
    return [row for row in patient.tables["assessments"] if row["soluble_bcma_ng_ml"]]


def _nearest(patient: PatientEvidence) -> Row | None:
    """Return the value nearest to the last relapse library, or to progression without its day."""
    day = patient.relapse_day
    if day is None:
        return None
    rows = [r for r in _values(patient) if abs(r.value("day") - day) <= patient.course.near_days]
    return min(rows, key=lambda row: abs(row.value("day") - day)) if rows else None


def _before(patient: PatientEvidence) -> Row | None:
    line = patient.car_line
    start = 0.0 if line is None or not line["start_day"] else line.value("start_day")
    rows = [row for row in _values(patient) if row.value("day") <= start]
    return rows[-1] if rows else None


def _after_adc(patient: PatientEvidence) -> bool:
    """Return whether an antibody-drug conjugate was given between the infusion and relapse."""
    line, day = patient.car_line, patient.relapse_day
    start = 0.0 if line is None or not line["start_day"] else line.value("start_day")
    return any(
        row["therapy_class"] == "adc" and start <= row.value("start_day") <= (day or 0.0)
        for row in patient.tables["course"]
    )


def outside_marrow(patient: PatientEvidence) -> Cited:
    """Return a warning where disease outside the marrow was seen and only marrow was sequenced."""
    day = patient.relapse_day
    libraries = [one for one in patient.relapses if one.verdict != "fail"]
    if day is None or not libraries or any(one.tissue != MARROW for one in libraries):
        return Cited("")
    seen = [
        row
        for row in patient.tables["assessments"]
        if "yes" in (row["new_lesion"], row["extramedullary"])
        and abs(row.value("day") - day) <= patient.course.near_days
    ]
    if not seen:
        return Cited("")
    what = "disease outside the marrow" if seen[0]["extramedullary"] == "yes" else "new lesions"
    return cited(
        "{what} on day {day} and only marrow was sequenced: the marrow may not hold the cells that "
        "came back",
        what=what,
        day=seen[0].number("day"),
    )
