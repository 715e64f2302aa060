"""The largest CAR-positive clone of each sample: what is counted, and when it is pointed out."""

import csv

import numpy as np
import pandas as pd
import pytest
from relapsescope.t_cells.car_clones import COLUMNS, car_clone_rows
from relapsescope.t_cells.settings import CarCloneSettings

SETTINGS = CarCloneSettings(share=0.1, false_share=0.05, min_cells=50)


def library(name, timepoint, day, **more):
    base = {"patient_id": "P1", "sample_id": name, "timepoint": timepoint, "day": str(day)}
    return base | {"sorting": "none", "tissue": "bone_marrow"} | more


def cells(sample, sizes, *, car=(), cycling=0, cell_type="CD8 T"):
    """T cells of one sample: `sizes` by clonotype, `car` of them with the transgene."""
    rows = [
        {
            "sample_id": sample,
            "clonotype_id": clone,
            "cell_type": cell_type,
            "car_status": "detected" if i < dict(car).get(clone, 0) else "not_detected",
            "cycling": i < cycling,
        }
        for clone, n in sizes.items()
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def others(n):
    return {f"T{i + 100}": 1 for i in range(n)}


def rows_of(parts, libraries):
    return car_clone_rows(pd.concat(parts, ignore_index=True), libraries, settings=SETTINGS)


def test_a_clone_that_makes_up_a_third_at_relapse_is_pointed_out():
    before = cells("early", {"T1": 4, **others(96)}, car={"T1": 3})
    after = cells("late", {"T1": 40, "T2": 20, **others(60)}, car={"T1": 30, "T2": 2}, cycling=5)
    early, late = rows_of(
        [before, after], [library("early", "remission", 90), library("late", "relapse", 300)]
    )
    assert early["verdict"] == "NOT_EXPANDED"
    assert late["clonotype_id"] == "T1"
    assert late["verdict"] == "EXPANDED"
    assert (late["n_cells"], late["n_clonotype_cells"], late["n_car_cells"]) == (40, 120, 32)
    # Clopper and Pearson's limits of 40 of 120, by R's binom.test.
    assert late["fraction_ci_low"] == pytest.approx(0.2499, abs=2e-4)
    assert late["fraction_ci_high"] == pytest.approx(0.4252, abs=2e-4)
    assert late["car_fraction"] == 30 / 32
    assert late["n_cycling"] == 5
    # A third against 4 %: 8.33 times, and the limits of 40 of 44 cells by their sums of cells.
    assert late["compared_with"] == "early"
    assert late["growth"] == pytest.approx(25 / 3)
    assert late["growth_ci_low"] == pytest.approx(0.7833 / 0.2167 * 100 / 120, rel=1e-2)
    assert late["growth_ci_high"] == pytest.approx(0.9747 / 0.0253 * 100 / 120, rel=2e-2)
    assert set(late) <= set(COLUMNS)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"timepoint": "expansion"}, "NOT_EXPANDED", "until CAR-T cells contract"),
        ({"timepoint": "infusion_product"}, "NOT_EXPANDED", "until CAR-T cells contract"),
        ({"sorting": "CAR_positive"}, "NOT_ASSESSABLE", "sorted"),
    ],
)
def test_where_large_clones_are_expected_none_is_pointed_out(change, verdict, words):
    own = cells("late", {"T1": 40, **others(60)}, car={"T1": 40})
    (row,) = rows_of([own], [library("late", "relapse", 300) | change])
    assert row["verdict"] == verdict
    assert words in row["reason"]


@pytest.mark.parametrize(
    ("sizes", "car", "verdict", "words"),
    [
        ({"T1": 14, **others(86)}, {"T1": 14}, "NOT_EXPANDED", "not shown to be over 10 %"),
        ({"T1": 40, **others(60)}, {"T1": 2}, "NOT_EXPANDED", "not shown to be the clone's own"),
        ({"T1": 20, **others(20)}, {"T1": 20}, "NOT_ASSESSABLE", "50 are needed"),
        ({"T1": 40, **others(60)}, {}, "NOT_ASSESSABLE", "no CAR-positive cell"),
    ],
)
def test_a_clone_that_is_not_surely_large_and_carries_the_car_is_none(sizes, car, verdict, words):
    (row,) = rows_of([cells("late", sizes, car=car)], [library("late", "relapse", 300)])
    assert row["verdict"] == verdict
    assert words in row["reason"]


def test_a_clone_that_shrinks_is_not_pointed_out():
    before = cells("peak", {"T1": 80, **others(20)}, car={"T1": 80})
    after = cells("late", {"T1": 25, **others(75)}, car={"T1": 25})
    row = rows_of(
        [before, after], [library("peak", "expansion", 14), library("late", "relapse", 90)]
    )[1]
    assert row["growth_ci_high"] < 1
    assert row["verdict"] == "NOT_EXPANDED"
    assert "less than in peak" in row["reason"]


def test_without_a_named_transgene_nothing_can_be_said():
    own = cells("late", {"T1": 40, **others(60)})
    own["car_status"] = "not_assessable"
    (row,) = rows_of([own], [library("late", "relapse", 300)])
    assert row["verdict"] == "NOT_ASSESSABLE"
    assert "names no transgene" in row["reason"]


def test_growth_is_told_within_a_tissue_only():
    before = cells("blood", {"T1": 4, **others(96)}, car={"T1": 3})
    after = cells("late", {"T1": 40, **others(60)}, car={"T1": 40})
    row = rows_of(
        [before, after],
        [library("blood", "remission", 90, tissue="blood"), library("late", "relapse", 300)],
    )[1]
    assert "growth" not in row
    assert row["verdict"] == "EXPANDED"


@pytest.mark.real
def test_repertoires_of_real_products_and_peaks_give_no_finding(real_data):
    """200 samples drawn from real CAR-T libraries, judged as if each were a marrow at relapse.

    Every cell counts as CAR-positive, so that only the clones' sizes can keep the verdict back.
    """
    with open(real_data / "carpall/samples.tsv", encoding="utf-8", newline="") as lines:
        paths = [row["tcr_contigs"] for row in csv.DictReader(lines, delimiter="\t")]
    repertoires = [
        names
        for path in filter(None, paths)
        if len(names := beta_chains(real_data / "carpall" / path)) >= 90
    ]
    assert len(repertoires) >= 8
    random = np.random.default_rng(11)
    found = 0
    for draw in range(200):
        names = repertoires[draw % len(repertoires)]
        own = pd.DataFrame({"clonotype_id": random.choice(names, len(names))})
        own = own.assign(sample_id="s", cell_type="CD8 T", cycling=False, car_status="detected")
        (row,) = car_clone_rows(own, [library("s", "relapse", 300)], settings=SETTINGS)
        found += row["verdict"] == "EXPANDED"
    assert found == 0


def beta_chains(path):
    """Return a name for each cell's beta chain; none of a file without contigs."""
    if path.stat().st_size < 10:
        return np.array([])
    contigs = pd.read_csv(path)
    beta = contigs[(contigs["chain"] == "TRB") & contigs["productive"].astype(str).eq("True")]
    codes = pd.factorize(beta.drop_duplicates("barcode")["cdr3_nt"])[0]
    return np.array([f"T{code + 1}" for code in codes])
