"""The table of CAR-T cells: a row a library and population, with the reason where there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from relapsescope.car_t.exhaustion_rows import EFFECT_COLUMNS
from relapsescope.car_t.sensitivity import Rate, library_rate
from relapsescope.car_t.settings import CarSettings, FractionSettings, ProliferationSettings
from relapsescope.car_t.tables import CONTRACT, CarTSettings, Cohort, car_t_rows, columns_of
from relapsescope.car_t.transgene_rates import (
    RATE_COLUMNS,
    rate_rows,
    read_rates,
    transgene_cells,
)
from relapsescope.libraries.settings import CycleSettings
from relapsescope.run.config_file import default_values
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.tables import write_tsv

CONFIG = default_values()
BELIEFS = LeaningSettings(**CONFIG["leaning"])
SETTINGS = CarTSettings(
    CarSettings(**CONFIG["car_calls"]),
    CycleSettings(**CONFIG["cell_cycle"]),
    FractionSettings(**CONFIG["car_fraction"]),
    ProliferationSettings(**CONFIG["proliferation"]),
    LeaningSettings(**CONFIG["leaning"]),
)
SETTINGS_OF_RATES = (SETTINGS.calls, SETTINGS.fraction)


def t_cells(n, n_car, n_cycling, *, status="not_detected", depth=3000.0):
    """Return `n` T cells: the first `n_car` detected, of these the first `n_cycling` dividing."""
    place = np.arange(n)
    car = place < n_car
    cycling = place < n_cycling
    return pd.DataFrame(
        {
            "barcode": [f"C{i}" for i in place],
            "car_status": np.where(car, "detected", status),
            "cycling": cycling,
            "t_stratum": np.where(place % 2, "CD4", "CD8"),
            "car_umi": np.where(car, 2.0, 0.0),
            "car_ambient_umi": 0.001,
            "native_umi": depth,
            "s_umi": np.where(cycling, 30.0, 1.0),
            "g2m_umi": 1.0,
            "s_expected": 1.0,
            "g2m_expected": 1.0,
        }
    )


def sheet_row(sample, timepoint, day, *, car_feature=("CAR",), sorting="none", patient="P"):
    return {
        "patient_id": patient,
        "sample_id": sample,
        "timepoint": timepoint,
        "day": day,
        "tissue": "bone_marrow",
        "sorting": sorting,
        "car_feature": list(car_feature),
    }


def effects(sample, population, verdict):
    rows = [
        dict.fromkeys(EFFECT_COLUMNS, "")
        | {"sample_id": sample, "population": population, "exhaustion_verdict": verdict}
        | {"set": name, "role": role, "mean": "0.05", "effect": "1.1", "reason": "both rose"}
        for name, role in (("good2021", "exhaustion"), ("effector", "effector"))
    ]
    return {(sample, population): pd.DataFrame(rows)}


@pytest.fixture
def cohort():
    rows = [
        sheet_row("H", "healthy", None, car_feature=(), patient="H"),
        sheet_row("PRE", "pre_infusion", -10),
        sheet_row("EXP", "expansion", 14),
        sheet_row("REL", "relapse", 300),
        sheet_row("UNNAMED", "relapse", 300, car_feature=(), patient="Q"),
        sheet_row("NONE", "relapse", 300, car_feature=(), patient="R"),
        sheet_row("BAD", "relapse", 300, patient="S"),
    ]
    return Cohort(
        sheet={row["sample_id"]: row for row in rows},
        t_cells={
            "H": t_cells(100, 0, 1, status="not_assessable"),
            "PRE": t_cells(200, 0, 2),
            "EXP": t_cells(400, 150, 50),
            "REL": t_cells(300, 30, 0),
            "UNNAMED": t_cells(100, 0, 1, status="not_assessable"),
            "NONE": t_cells(100, 0, 1, status="not_assessable"),
        },
        effects=effects("REL", "car_detected", "EXHAUSTED"),
        features={"UNNAMED": ["BCMA_CAR", "CD3_antibody"], "NONE": ["CD3_antibody"]},
        verdicts={"BAD": "fail"},
        # 15 and 5 CAR-T cells of two clonotypes; each other T cell its own.
        clonotypes={
            "REL": pd.Series(
                [*["a"] * 15, *["b"] * 5, *[f"c{i}" for i in range(200)]],
                index=[f"C{i}" for i in [*range(20), *range(50, 250)]],
            )
        },
    )


@pytest.fixture
def rows(cohort):
    return {(r["sample_id"], r["population"]): r for r in car_t_rows(cohort, SETTINGS, seed=1)}


def test_every_library_of_a_car_t_course_has_both_populations(rows):
    samples = {"PRE", "EXP", "REL", "UNNAMED", "NONE", "BAD"}
    expected = {(s, p) for s in samples for p in ("car_detected", "car_not_detected")}
    assert set(rows) == expected


@pytest.fixture
def travelled(tmp_path, cohort):
    """Return what a reference keeps of a cohort's transgene rates, written and read again."""
    table = pd.concat([part.assign(sample_id=name) for name, part in cohort.t_cells.items()])
    table.to_parquet(tmp_path / "car_cells.parquet")
    sheet = list(cohort.sheet.values())
    # Cells of a library that is no longer in the sheet, or of no T cell, say nothing.
    paths = [tmp_path / "car_cells.parquet"]
    rows = rate_rows([row for row in sheet if row["sample_id"] != "REL"], paths, *SETTINGS_OF_RATES)
    write_tsv(tmp_path / "transgene.tsv", RATE_COLUMNS, rows)
    return rows, read_rates(tmp_path / "transgene.tsv")


def test_rates_of_a_reference_are_numbers_without_names(cohort, travelled):
    rows, rates = travelled
    (row,) = rows
    assert set(row) == set(RATE_COLUMNS)
    assert "EXP" not in {str(value) for value in row.values()}
    cells = transgene_cells(cohort.t_cells["EXP"], cohort.sheet["EXP"])
    own = library_rate(cells, *SETTINGS_OF_RATES)
    ((found,),) = [list(of_one.values()) for of_one in rates.values()]
    assert list(rates) == [("CAR",)]
    assert found.log_rate == pytest.approx(own.log_rate)
    assert (found.error, found.of_sorted) == (pytest.approx(own.error), False)
    assert read_rates(None) == {}


def test_a_references_rate_serves_where_the_cohort_shows_none(cohort, travelled):
    _, rates = travelled

    def source(one, reference):
        found = car_t_rows(one, SETTINGS, seed=1, reference=reference)
        return {row["sample_id"]: row for row in found if "sensitivity_source" in row}["REL"]

    alone = replace(cohort, t_cells={"REL": cohort.t_cells["REL"]})
    assert "a usual rate" in source(alone, {})["sensitivity_source"]
    with_it = source(alone, rates)
    assert with_it["sensitivity_source"].endswith(
        "1 libraries of the reference with detected cells"
    )
    # The same as if that library were the cohort's own, which goes first.
    beside = source(cohort, {("CAR",): {"reference:0": Rate(0.0, 1e-3, True)}})
    assert beside["sensitivity_source"].endswith("1 other libraries with detected cells")
    assert with_it["sensitivity"] == pytest.approx(beside["sensitivity"], rel=1e-3)
    other = source(alone, {("OTHER",): rates["CAR",]})
    assert "a usual rate" in other["sensitivity_source"]


def test_columns_begin_with_the_contracts():
    columns = columns_of(["good2021"])
    assert tuple(columns[: len(CONTRACT)]) == CONTRACT
    assert columns[len(CONTRACT)] == "good2021_mean"
    assert len(set(columns)) == len(columns)


def test_numbers_of_a_library(rows):
    row = rows["REL", "car_detected"]
    assert (row["n_cells"], row["n_t_cells"]) == (30, 300)
    assert row["detected_fraction"] == 0.1
    assert row["fraction_of_t"] > 0.1
    assert row["fraction_ci_low"] <= row["fraction_of_t"] <= row["fraction_ci_high"]
    assert row["cd4_fraction"] == 0.5
    assert row["cycling_fraction"] == 0
    assert row["persistence_verdict"] == "PERSISTENT"
    assert row["proliferation_verdict"] == "NOT_PROLIFERATING"
    assert "EXP" in row["proliferation_reason"]
    assert row["exhaustion_verdict"] == "EXHAUSTED"
    assert row["good2021_effect"] == "1.1"
    assert row["effector_change"] == "1.1"
    # 1 + (3/4 ln 3/4 + 1/4 ln 1/4) / ln 2.
    assert row["clonality"] == pytest.approx(0.188722, abs=1e-5)
    assert rows["EXP", "car_detected"]["clonality"] is None
    other = rows["REL", "car_not_detected"]
    assert other["clonality"] == pytest.approx(0.0, abs=1e-9)
    assert other["n_cells"] == 270
    assert other["fraction_of_t"] == pytest.approx(1 - row["fraction_of_t"])
    assert other["proliferation_verdict"] == "INDETERMINATE"


def test_an_open_verdict_leans(cohort):
    """By hand: no CAR-T cell among 60 T cells leans towards gone, with half of them unseen less."""
    cohort.t_cells["REL"] = t_cells(60, 0, 0)
    cohort.effects.clear()
    rows = {(r["sample_id"], r["population"]): r for r in car_t_rows(cohort, SETTINGS, seed=1)}
    row = rows["REL", "car_detected"]
    assert row["persistence_verdict"] == "INDETERMINATE"
    assert BELIEFS.prior < row["persistence_leaning"] < 0.8
    assert "persistence_leaning" not in rows["EXP", "car_detected"]


@pytest.mark.parametrize(("controls", "leans"), [("True", True), ("False", False)])
def test_open_exhaustion_leans_where_a_rise_could_be_told(cohort, controls, leans):
    open_still = effects("REL", "car_detected", "INDETERMINATE")["REL", "car_detected"].assign(
        timepoint="relapse", contrast="earlier_car_t", controls=controls,
        joint_effect="0.9", joint_low="0.4", joint_high="1.4",
    )  # fmt: skip
    cohort.effects["REL", "car_detected"] = open_still
    rows = {(r["sample_id"], r["population"]): r for r in car_t_rows(cohort, SETTINGS, seed=1)}
    row = rows["REL", "car_detected"]
    assert ("exhaustion_leaning" in row) == leans
    assert not leans or 0.6 < row["exhaustion_leaning"] < 1
    assert "exhaustion_leaning" not in rows["EXP", "car_detected"]


def test_a_library_sorted_for_the_car_at_the_same_visit_is_asked(cohort):
    cohort.sheet["REL_S"] = sheet_row("REL_S", "relapse", 300, sorting="CAR_positive")
    cohort.t_cells["REL_S"] = t_cells(100, 90, 0)
    cohort.t_cells["REL"] = t_cells(400, 0, 0)
    rows = {(r["sample_id"], r["population"]): r for r in car_t_rows(cohort, SETTINGS, seed=1)}
    assert rows["REL", "car_detected"]["persistence_verdict"] == "INDETERMINATE"
    assert "REL_S, sorted for the CAR" in rows["REL", "car_detected"]["persistence_reason"]


def test_the_peak_divides(rows):
    assert rows["EXP", "car_detected"]["proliferation_verdict"] == "PROLIFERATING"
    before = rows["PRE", "car_detected"]
    assert before["n_cells"] == 0
    assert before["persistence_verdict"] == "INDETERMINATE"
    assert "before the infusion" in before["proliferation_reason"]


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("UNNAMED", "BCMA_CAR, which looks like a CAR transgene: name it"),
        ("NONE", "no transgene: car_feature is empty"),
        ("BAD", "failed quality control"),
    ],
)
def test_what_cannot_be_told_is_empty_and_says_why(rows, sample, words):
    row = rows[sample, "car_detected"]
    for name in ("exhaustion", "proliferation", "persistence"):
        assert row[f"{name}_verdict"] == "INDETERMINATE"
    assert row["reason"].startswith("not assessable: ")
    assert words in row["reason"]
    assert not {"n_cells", "fraction_of_t", "detection_limit", "cycling_fraction"} & set(row)
