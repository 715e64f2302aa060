"""Plasma-cell aplasia: exact limits, confounders, and that it overrides no transgene verdict."""

import numpy as np
import pytest
from relapsescope.mechanisms.aplasia import aplasia_rows
from relapsescope.mechanisms.car_t_findings import plasma_cell_aplasia
from relapsescope.mechanisms.cited import parse_cited, rows_of, uncited_numbers
from relapsescope.mechanisms.verdicts import mechanism_rows
from relapsescope.simulate.cells import _weights, profile_table
from relapsescope.simulate.plan import LibraryPlan, PatientPlan
from scipy import stats

from ..cohorts.relapse_evidence import SHEET, emptied, patient

CAR = {"population": "car_detected", "sample_id": "P_relapse"}
PRESENT = {"P_pre": (400, 200, 200, 4200), "P_relapse": (200, 200, 0, 4200)}


def tables(counts, *, course=(), sd=0.2):
    """Return the tables of libraries: plasma cells, malignant and normal ones, all cells."""
    made = {"microenvironment": [], "clones": [], "antigens": [], "anxa1": []}
    for sample, (plasma, malignant, normal, total) in counts.items():
        own = {"sample_id": sample, "patient_id": "P"}
        row = {"cell_type": "Plasma", "n_cells": plasma, "n_total": total, "library_sd": sd}
        made["microenvironment"].append(own | row)
        made["clones"].append(own | {"n_malignant": malignant})
        made["anxa1"].append(own | {"compartment": "normal_plasma", "n_cells": normal})
    made["course"] = [
        {"patient_id": "P", "start_day": 0, "therapy_class": "car_t"},
        *({"patient_id": "P"} | line for line in course),
    ]
    return {
        name: rows_of(name, [{k: str(v) for k, v in row.items()} for row in rows])
        for name, rows in made.items()
    }


def relapse_row(counts, *, sheet=SHEET, course=(), sd=0.2):
    sheet = [{"patient_id": "P", "sorting": "none"} | row for row in sheet]
    rows = aplasia_rows(tables(counts, course=course, sd=sd), sheet, below=0.1)
    return next(row for row in rows if row["sample_id"] == "P_relapse")


def test_limits_are_the_exact_ones_widened_by_two_libraries():
    row = relapse_row(PRESENT)
    spread = np.exp(1.959964 * np.sqrt(2) * 0.2)
    # None of 200 cells of both libraries is of the later one: Clopper and Pearson by hand.
    upper = 1 - 0.025 ** (1 / 200)
    assert row["ratio_ci_high"] == pytest.approx(upper / (1 - upper) * spread)
    assert row["ratio_ci_low"] == 0
    assert (row["verdict"], row["confounders"]) == ("APLASIA", "")
    assert (row["fraction"], row["n_beside"]) == (0, 4000)
    exact = stats.binomtest(0, 4000).proportion_ci(method="exact")
    assert row["fraction_ci_high"] == pytest.approx(exact.high)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ((350, 200, 150, 4200), "NO_APLASIA"),
        ((204, 200, 0, 4200), "APLASIA"),
        # Cells that were not called may be normal: 60 of them show no aplasia, nor the contrary.
        ((260, 200, 0, 4200), "INDETERMINATE"),
        ((10, 10, 0, 60), "INDETERMINATE"),
        # More malignant cells than plasma cells: libraries were taken together.
        ((190, 200, 0, 4200), "NOT_ASSESSABLE"),
    ],
)
def test_the_verdict_follows_from_the_limits(now, verdict):
    assert relapse_row(PRESENT | {"P_relapse": now})["verdict"] == verdict


def test_uneven_libraries_are_not_taken_for_aplasia():
    counts = PRESENT | {"P_relapse": (204, 200, 4, 4200)}
    assert relapse_row(counts, sd=0.05)["verdict"] == "APLASIA"
    assert relapse_row(counts, sd=0.6)["verdict"] == "INDETERMINATE"


def test_what_else_empties_a_marrow_is_named():
    line = {"start_day": 100, "therapy_class": "cd38_antibody"}
    counts = PRESENT | {"P_relapse": (400, 400, 0, 4400)}
    told = relapse_row(counts, course=[line])["confounders"]
    assert "cd38 antibody since the infusion" in told and "displace" in told
    late = relapse_row(PRESENT, course=[line | {"start_day": 301}])
    assert late["confounders"] == ""
    expansion = [row | {"timepoint": "expansion"} for row in SHEET[2:]]
    told = relapse_row(PRESENT, sheet=[SHEET[0], *expansion])["confounders"]
    assert "lymphodepletion" in told


def test_sorted_or_lonely_marrows_are_not_assessable():
    sheet = [SHEET[0], SHEET[2] | {"sorting": "CD138_negative"}]
    assert "sorting" in relapse_row(PRESENT, sheet=sheet)["reason"]
    assert "before the infusion" in relapse_row(PRESENT, sheet=SHEET[1:])["reason"]
    unknown = {"P_pre": PRESENT["P_pre"]}
    assert "not told" in relapse_row(unknown)["reason"]


def persistence(*changes, **given):
    (row,) = [
        row
        for row in mechanism_rows(patient(*changes, **given))
        if row["mechanism"] == "car_t_non_persistence"
    ]
    return row


@pytest.mark.parametrize("verdict", ["APLASIA", "NO_APLASIA"])
def test_a_transgene_verdict_stays_whatever_the_plasma_cells_say(verdict):
    names = ("state", "verdict", "strength", "evidence")
    for change in ((), (("car_t", CAR, {"persistence_verdict": "NOT_PERSISTENT"}),)):
        usual, with_it = persistence(*change), persistence(*change, aplasia=[emptied(verdict)])
        assert [usual[name] for name in names] == [with_it[name] for name in names]
        assert bool(with_it["beside"]) == (verdict == "APLASIA")


def test_without_a_transgene_the_state_is_aplasia_and_decides_nothing():
    gone = ("car_t", CAR, None)
    row = persistence(gone, aplasia=[emptied("APLASIA")])
    assert (row["state"], row["verdict"]) == ("aplasia", "NOT_ASSESSABLE")
    assert "0 to 0.06" in row["evidence"] and "indirect" in row["evidence"]
    assert not uncited_numbers(parse_cited(row["evidence"], row["evidence_cells"]))
    assert persistence(gone, aplasia=[emptied("NO_APLASIA")])["state"] == "aplasia_ended"
    why = "cd38 antibody since the infusion"
    row = persistence(gone, aplasia=[emptied("APLASIA", confounders=why)])
    assert row["state"] == "no_data" and why in row["beside"]
    assert persistence(gone)["state"] == "no_data"


def test_only_cells_against_bcma_empty_the_plasma_cells():
    gone = ("car_t", CAR, None)
    row = persistence(gone, aplasia=[emptied("APLASIA")], car_target="GPRC5D")
    assert (row["state"], row["beside"]) == ("no_data", "")


def test_the_simulator_takes_normal_plasma_cells_away():
    at = profile_table().index.get_loc("Plasma")
    person = PatientPlan("P", ())
    usual, half, none = (
        _weights(person, LibraryPlan("relapse", normal_plasma=x), np.random.default_rng(1))[at]
        for x in (1.0, 0.5, 0.0)
    )
    assert 0 == none < half < usual


def test_b_cells_of_both_marrows_are_counted_and_said_and_decide_nothing():
    counted = tables(PRESENT)
    types = (("P_pre", "B naive", 30), ("P_pre", "B", 12), ("P_relapse", "B memory", 2))
    counted["microenvironment"] += rows_of(
        "microenvironment",
        [
            {"sample_id": sample, "patient_id": "P", "cell_type": kind, "n_cells": str(n)}
            for sample, kind, n in types
        ],
    )
    sheet = [{"patient_id": "P", "sorting": "none"} | row for row in SHEET]
    rows = aplasia_rows(counted, sheet, below=0.1)
    row = next(row for row in rows if row["sample_id"] == "P_relapse")
    assert (row["n_b"], row["n_b_before"]) == (2, 42)
    assert row["verdict"] == relapse_row(PRESENT)["verdict"]
    told = emptied("APLASIA")
    counts = {"n_b": "2", "n_b_before": "42", "n_beside": "4000", "n_beside_before": "4000"}
    state, words = plasma_cell_aplasia(patient(aplasia=[told | counts]))
    assert state == "aplasia"
    assert "; B cells 2 of 4,000 cells beside the tumour, 42 of 4,000 before" in words.text
    assert "B cells" not in plasma_cell_aplasia(patient(aplasia=[told]))[1].text
    assert uncited_numbers(words) == []
