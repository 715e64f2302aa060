"""Soluble BCMA beside the verdict, disease outside the marrow, and SLiM-CRAB signs."""

import pytest
from relapsescope.course.assessment import Assessment
from relapsescope.course.imwg import read_rules
from relapsescope.course.relapse import slim_crab_signs
from relapsescope.mechanisms.answers import answer_rows
from relapsescope.mechanisms.beside import outside_marrow, soluble_bcma
from relapsescope.mechanisms.cited import uncited_numbers
from relapsescope.mechanisms.verdicts import mechanism_rows
from relapsescope.mechanisms.verdicts import read_rules as mechanism_rules

from ..cohorts.relapse_evidence import SHEET, patient

VISIT = {"patient_id": "P", "line": "2"}
IMWG = read_rules()


def with_visits(*visits, sheet=None, course=()):
    """Return P with these assessments in place of its own."""
    found = patient(sheet=sheet)
    rows = [type(found.tables["course"][0])("assessments", VISIT | visit) for visit in visits]
    found.tables["assessments"][:] = rows
    for line in course:
        found.tables["course"].append(type(rows[0])("course", {"patient_id": "P"} | line))
    return found


def visit(day, bcma="", **more):
    return {"day": str(day), "soluble_bcma_ng_ml": str(bcma)} | more


BEFORE = visit(-7, 100)


@pytest.mark.parametrize(
    ("now", "verdict", "says", "words"),
    [
        (visit(300, 4), "LOST", "agrees", "agrees with loss"),
        (visit(300, 80), "LOST", "contradicts", "a loss in all cells"),
        (visit(300, 80), "RETAINED", "agrees", "agrees with retention"),
        (visit(300, 4), "RETAINED", "contradicts", "contradicts retention"),
        (visit(300, 30), "LOST", "", "neither absent nor as before"),
        (visit(300, 80, creatinine_mg_dl="3.1"), "RETAINED", "", "where the kidneys fail"),
        (visit(300, 4, creatinine_mg_dl="3.1"), "LOST", "agrees", "agrees with loss"),
        (visit(500, 4), "LOST", "", ""),
        (visit(300, 4), "INDETERMINATE", "", ""),
    ],
)
def test_soluble_bcma_beside_the_verdict(now, verdict, says, words):
    found = soluble_bcma(with_visits(BEFORE, now), verdict)
    assert found.says == says
    assert words in found.words.text
    assert uncited_numbers(found.words) == []


def test_soluble_bcma_says_nothing_without_a_past_or_after_an_adc():
    alone = soluble_bcma(with_visits(visit(300, 4)), "LOST")
    assert (alone.says, "no value from before" in alone.words.text) == ("", True)
    adc = {"line": "3", "therapy_class": "adc", "start_day": "200"}
    after = soluble_bcma(with_visits(BEFORE, visit(300, 4), course=[adc]), "LOST")
    assert (after.says, "antibody-drug conjugate" in after.words.text) == ("", True)


def test_what_contradicts_stands_against_the_verdict():
    found = with_visits(BEFORE, visit(300, 4))
    row = next(r for r in mechanism_rows(found) if r["mechanism"] == "antigen_escape")
    assert "contradicts retention" in row["against"]
    assert row["beside"].startswith("soluble BCMA 4 ng/mL on day 300")


def test_new_lesions_beside_a_marrow_alone_are_a_warning():
    lesion = visit(290, new_lesion="yes")
    warned = with_visits(lesion)
    assert "the marrow may not hold the cells" in outside_marrow(warned).text
    sure = answer_rows(warned, mechanism_rows(warned), mechanism_rules())[2]["answer"]
    assert "new lesions on day 290 and only marrow was sequenced" in sure
    outside = with_visits(visit(290, extramedullary="yes"))
    assert outside_marrow(outside).text.startswith("disease outside the marrow")
    assert not outside_marrow(with_visits(visit(290)))
    assert not outside_marrow(with_visits(visit(100, new_lesion="yes")))
    sampled = [*SHEET, SHEET[2] | {"sample_id": "P_skin", "tissue": "extramedullary"}]
    found = with_visits(lesion, sheet=sampled)
    found.tables["samples"].append(
        type(found.tables["course"][0])("samples", {"sample_id": "P_skin", "verdict": "pass"})
    )
    again = patient_with(found, sampled)
    assert not outside_marrow(again)


def patient_with(found, sheet):
    """Return the evidence built anew, so that the further library's verdict is read."""
    from relapsescope.mechanisms.patient_evidence import patient_evidence

    rows = [{"patient_id": "P"} | row for row in sheet]
    names = ("car_target", "lost_below", "reduced_below", "beliefs", "course")
    return patient_evidence(
        "P", found.tables, rows, **{name: getattr(found, name) for name in names}
    )


def test_slim_crab_signs_by_hand():
    well = Assessment(1, calcium=9.4, hemoglobin=12.0, creatinine=0.9, marrow=30.0)
    assert slim_crab_signs(well, "kappa", IMWG) == []
    ill = Assessment(
        1, calcium=11.2, hemoglobin=9.9, creatinine=2.1, marrow=60.0, kappa=1000.0, lambda_=5.0,
        new_lesion=True,
    )  # fmt: skip
    assert slim_crab_signs(ill, "kappa", IMWG) == [
        "calcium 11.2 mg/dL (limit 11)",
        "creatinine 2.1 mg/dL (limit 2)",
        "haemoglobin 9.9 g/dL (limit 10)",
        "marrow plasma cells 60 % (limit 60)",
        "involved over uninvolved free light chain 200 (limit 100)",
        "new or grown lesion",
    ]
    edge = Assessment(1, calcium=11.0, hemoglobin=10.0, creatinine=2.0)
    assert slim_crab_signs(edge, None, IMWG) == []
