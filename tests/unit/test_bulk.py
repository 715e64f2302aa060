"""Genes against survival in bulk cohorts that the test makes up."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.survival.bulk import (
    bulk_table,
    contamination_score,
    gene_against_survival,
    random_effects,
)
from relapsescope.survival.bulk_cohort import read_bulk_cohort
from relapsescope.survival.settings import BulkCohortSettings

MYELOID = ["S100A8", "S100A9", "CD14", "LYZ"]


def write_cohort(folder, *, n=120, effect=0.0, seed=0, name="made"):
    """Write a cohort in which the hazard follows the myeloid share, and ANXA1 by `effect`."""
    generator = np.random.default_rng(seed)
    myeloid, own = generator.normal(size=n), generator.normal(size=n)
    anxa1 = 6 + 0.8 * myeloid + 0.6 * own
    genes = {"ANXA1": anxa1, "TNFRSF17": 8 + generator.normal(size=n)}
    genes |= {g: 5 + myeloid + 0.3 * generator.normal(size=n) for g in MYELOID}
    patients = [f"M{i:03d}" for i in range(n)]
    time = generator.exponential(np.exp(-(0.7 * myeloid + effect * own)))
    limit = generator.exponential(2.0, size=n)
    expression = pd.DataFrame(genes, index=patients).T
    expression.index.name = "gene"
    expression.to_csv(folder / f"{name}_expression.tsv", sep="\t")
    pd.DataFrame(
        {
            "patient_id": patients,
            "time": np.minimum(time, limit),
            "event": (time <= limit).astype(int),
            "age": generator.normal(65, 8, size=n).round(),
            "iss": generator.choice(["I", "II", "III"], size=n),
        }
    ).to_csv(folder / f"{name}_survival.tsv", sep="\t", index=False)
    return BulkCohortSettings(
        name=name,
        expression=f"{name}_expression.tsv",
        survival=f"{name}_survival.tsv",
        covariates=("age", "iss"),
        log_scale=True,
    )


def models(folder, entry, gene="ANXA1"):
    cohort = read_bulk_cohort(entry, ["ANXA1", "TNFRSF17", *MYELOID], folder=folder)
    table = gene_against_survival(cohort, gene, myeloid_genes=MYELOID, min_events_per_covariate=10)
    return table.set_index("model")


def test_myeloid_contamination_explains_a_gene_without_own_effect(tmp_path):
    table = models(tmp_path, write_cohort(tmp_path, n=300))
    assert list(table.index) == ["unadjusted", "covariates", "myeloid", "covariates and myeloid"]
    # ANXA1 carries the myeloid share: its unadjusted interval excludes 0, the adjusted does not.
    assert table.loc["unadjusted", "low"] > 0
    assert table.loc["myeloid", "low"] < 0 < table.loc["myeloid", "high"]


def test_own_effect_survives_the_adjustment(tmp_path):
    table = models(tmp_path, write_cohort(tmp_path, n=300, effect=0.8))
    assert table.loc["covariates and myeloid", "low"] > 0
    assert table.loc["unadjusted", "n"] == 300


def test_any_gene_is_tested_the_same_way(tmp_path):
    table = models(tmp_path, write_cohort(tmp_path, n=300), gene="TNFRSF17")
    assert table.loc["unadjusted", "low"] < 0 < table.loc["unadjusted", "high"]
    assert models(tmp_path, write_cohort(tmp_path), gene="GPRC5D").empty


def test_unit_is_a_standard_deviation(tmp_path):
    entry = write_cohort(tmp_path, n=200)
    once = models(tmp_path, entry).loc["unadjusted", "log_hazard_ratio"]
    path = tmp_path / entry.expression
    table = pd.read_csv(path, sep="\t", index_col=0)
    table.loc["ANXA1"] = 3 * table.loc["ANXA1"] + 1
    table.to_csv(path, sep="\t")
    assert models(tmp_path, entry).loc["unadjusted", "log_hazard_ratio"] == pytest.approx(once)


def test_few_events_take_the_penalty_and_say_so(tmp_path):
    table = models(tmp_path, write_cohort(tmp_path, n=30))
    row = table.loc["covariates and myeloid"]
    # Five covariates: gene, age, two ISS levels, score; under 50 events.
    assert row["method"].startswith("Firth")
    assert "fewer than 50" in row["note"]


def test_proportional_hazards_are_checked(tmp_path):
    table = models(tmp_path, write_cohort(tmp_path))
    assert table["ph_p"].between(0, 1).all()
    assert table["ph_global_p"].between(0, 1).all()


def test_patients_without_a_covariate_are_left_out_of_that_model_only(tmp_path):
    entry = write_cohort(tmp_path)
    path = tmp_path / entry.survival
    table = pd.read_csv(path, sep="\t", dtype=str)
    table.loc[:4, "iss"] = ""
    table.to_csv(path, sep="\t", index=False)
    found = models(tmp_path, entry)
    assert found.loc["unadjusted", "n"] == 120
    assert found.loc["covariates", "n"] == 115
    assert found.loc["covariates", "note"].startswith("5 patients lack a covariate")


def test_brightest_probe_stands_for_a_gene_and_linear_values_are_logged(tmp_path):
    patients = [f"M{i}" for i in range(12)]
    frame = pd.DataFrame(
        [[1.0] * 12, [3.0] * 12, [7.0] * 12], index=["201_at", "202_at", "203_at"], columns=patients
    )
    frame.to_csv(tmp_path / "e.csv")
    pd.DataFrame({"probe": frame.index, "symbol": ["ANXA1", "ANXA1", "LYZ"]}).to_csv(
        tmp_path / "map.csv", index=False
    )
    survival = pd.DataFrame({"pid": patients, "days": range(1, 13), "dead": [1, 0] * 6})
    survival.to_csv(tmp_path / "s.csv", index=False)
    entry = BulkCohortSettings(
        name="chips",
        expression="e.csv",
        survival="s.csv",
        probe_map="map.csv",
        patient_column="pid",
        time_column="days",
        event_column="dead",
    )
    cohort = read_bulk_cohort(entry, ["ANXA1", "TNFRSF17"], folder=tmp_path)
    assert cohort.features == {"ANXA1": "202_at"}
    # log2(3 + 1) = 2
    assert (cohort.expression["ANXA1"] == 2).all()
    assert "TNFRSF17" in cohort.notes[-1]


def test_contamination_score_leaves_the_tested_gene_out():
    values = pd.DataFrame({"LYZ": [1.0, 2, 3], "CD14": [3.0, 1, 2], "ANXA1": [9.0, 1, 1]})
    score = contamination_score(values, ["LYZ", "CD14", "ANXA1"], leave_out="ANXA1")
    # z of LYZ: -1, 0, 1; of CD14: 1, -1, 0
    assert list(score) == pytest.approx([0.0, -0.5, 0.5])
    assert contamination_score(values, ["LYZ", "ANXA1"], leave_out="ANXA1") is None


def test_random_effects_by_hand():
    # Effects 0.2 and 0.8, variances 0.04 each: Paule-Mandel tau2 solves
    # sum (y - 0.5)^2 / (0.04 + tau2) = 0.18 / (0.04 + tau2) = 1, tau2 = 0.14.
    # Mean 0.5, variance 0.18 / 2 = 0.09, Hartung-Knapp's the same; t(1) = 12.7062.
    results = pd.DataFrame(
        {
            "gene": "ANXA1",
            "model": "unadjusted",
            "log_hazard_ratio": [0.2, 0.8],
            "standard_error": [0.2, 0.2],
        }
    )
    row = random_effects(results).iloc[0]
    assert row["tau2"] == pytest.approx(0.14, abs=1e-6)
    assert row["log_hazard_ratio"] == pytest.approx(0.5)
    assert row["high"] - 0.5 == pytest.approx(12.70620 * 0.3, abs=1e-4)
    # I2 = 1 - df / Q = 1 - 1 / (0.18 / 0.04)
    assert row["i2"] == pytest.approx(1 - 1 / 4.5)


def test_equal_cohorts_have_no_variance_between_and_one_has_no_summary():
    rows = {"gene": "ANXA1", "model": "unadjusted", "standard_error": 0.2}
    same = pd.DataFrame([{**rows, "log_hazard_ratio": 0.4}] * 3)
    row = random_effects(same).iloc[0]
    assert row["tau2"] == 0
    # Hartung and Knapp's variance would be 0 here; the usual one stands: 0.2 / sqrt 3, t(2).
    assert row["high"] - 0.4 == pytest.approx(4.302653 * 0.2 / math.sqrt(3), abs=1e-5)
    assert random_effects(same.head(1)).empty


def test_bulk_table_takes_all_cohorts_and_none(tmp_path):
    entries = [write_cohort(tmp_path, n=100, seed=s, name=f"c{s}") for s in (1, 2, 3)]
    options = {
        "genes": ["ANXA1"],
        "myeloid_genes": MYELOID,
        "min_events_per_covariate": 10,
        "folder": tmp_path,
    }
    results, summary = bulk_table(entries, **options)
    assert len(results) == 3 * 4
    assert set(summary["n_cohorts"]) == {3}
    results, summary = bulk_table([], **options)
    assert results.empty
    assert summary.empty


def test_bad_cohorts_get_one_line_each(tmp_path):
    good = write_cohort(tmp_path)
    cases = [
        (replace(good, survival="absent.tsv"), "does not exist"),
        (replace(good, covariates=("weight",)), "column weight is missing"),
    ]
    for entry, words in cases:
        with pytest.raises(InputProblem, match=words):
            read_bulk_cohort(entry, ["ANXA1"], folder=tmp_path)
    table = pd.read_csv(tmp_path / good.survival, sep="\t", dtype=str)
    table.loc[0, "time"] = "3 months"
    table.loc[1, "event"] = "yes"
    table.to_csv(tmp_path / "bad.tsv", sep="\t", index=False)
    with pytest.raises(InputProblem) as caught:
        read_bulk_cohort(replace(good, survival="bad.tsv"), ["ANXA1"], folder=tmp_path)
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].startswith("bad.tsv:2 time: '3 months'")


def test_cohort_without_shared_patients_is_refused(tmp_path):
    entry = write_cohort(tmp_path)
    path = tmp_path / entry.survival
    table = pd.read_csv(path, sep="\t", dtype=str)
    table["patient_id"] = "X" + table["patient_id"]
    table.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputProblem, match="only 0 patients are in both"):
        read_bulk_cohort(entry, ["ANXA1"], folder=tmp_path)
