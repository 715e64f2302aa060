import numpy as np
import pandas as pd
import pytest
from relapsescope.microenvironment.composition import (
    COLUMNS,
    INTERVAL_COLUMNS,
    composition,
    with_intervals,
)
from relapsescope.microenvironment.settings import CompositionSettings


def cells_of(*samples):
    rows = [
        (sample, f"P_{sample}", "relapse", cell_type, passed)
        for sample, counts, passed in samples
        for cell_type, n in counts.items()
        for _ in range(n)
    ]
    return pd.DataFrame(
        rows, columns=["sample_id", "patient_id", "timepoint", "cell_type", "qc_pass"]
    )


def value(table, sample, cell_type, column):
    row = table[(table["sample_id"] == sample) & (table["cell_type"] == cell_type)]
    return row[column].item()


def test_fractions_count_every_passing_cell_and_only_those():
    table = composition(
        cells_of(
            ("S1", {"CD8 T": 3, "NK": 1, "Plasma": 4}, True),
            ("S1", {"NK": 7}, False),
            ("FAILED", {"NK": 5}, False),
        )
    )
    assert tuple(table.columns) == COLUMNS
    assert set(table["sample_id"]) == {"S1"}
    assert value(table, "S1", "CD8 T", "fraction") == 3 / 8
    assert value(table, "S1", "Plasma", "fraction") == 0.5
    assert value(table, "S1", "NK", "n_cells") == 1
    assert value(table, "S1", "NK", "patient_id") == "P_S1"


def test_clr_by_hand():
    table = composition(cells_of(("S1", {"CD8 T": 7, "NK": 1, "B naive": 3}, True)))
    logs = np.log([3.5, 7.5, 1.5])
    expected = dict(zip(["B naive", "CD8 T", "NK"], logs - logs.mean(), strict=True))
    for cell_type, clr in expected.items():
        assert value(table, "S1", cell_type, "clr") == pytest.approx(clr)


def test_plasma_cells_change_fractions_but_no_log_ratio():
    immune = {"CD8 T": 30, "NK": 10, "CD14 monocyte": 20}
    table = composition(
        cells_of(("lean", immune, True), ("full", {**immune, "Plasma": 400, "Unknown": 9}, True))
    )
    assert value(table, "full", "NK", "fraction") < value(table, "lean", "NK", "fraction") / 5
    for cell_type in immune:
        assert value(table, "full", cell_type, "clr") == pytest.approx(
            value(table, "lean", cell_type, "clr")
        )
    assert np.isnan(value(table, "full", "Plasma", "clr"))
    assert table.groupby("sample_id")["clr"].sum().abs().max() < 1e-9


def test_a_type_seen_elsewhere_is_a_row_with_zero_cells():
    table = composition(cells_of(("S1", {"NK": 4, "CD4 T": 4}, True), ("S2", {"CD4 T": 6}, True)))
    assert value(table, "S2", "NK", "n_cells") == 0
    assert value(table, "S2", "NK", "clr") == pytest.approx(np.log(0.5 / 6.5) / 2)


@pytest.mark.parametrize("chosen", ["CD3_positive", "CD138_positive", "CAR_positive"])
def test_sorting_among_the_types_leaves_no_log_ratio(chosen):
    samples = [(name, {"NK": 4, "CD4 T": 4}, True) for name in ("all", "pos", "neg")]
    table = composition(cells_of(*samples), sorting={"pos": chosen, "neg": "CD138_negative"})
    assert table.loc[table["sample_id"] == "pos", "clr"].isna().all()
    assert table.loc[table["sample_id"] != "pos", "clr"].notna().all()


def test_cell_types_keep_the_vocabulary_s_order_and_nulls_are_unknown():
    cells = cells_of(("S1", {"NK": 1, "MAIT": 1, "T": 1, "HSPC": 1, "oddity": 1}, True))
    cells.loc[0, "cell_type"] = None
    assert list(composition(cells)["cell_type"]) == ["HSPC", "T", "MAIT", "Unknown", "oddity"]


def test_categories_work_as_strings_do():
    cells = cells_of(("S1", {"NK": 1, "T": 2}, True), ("S0", {"NK": 1}, False))
    as_categories = cells.astype({"sample_id": "category", "cell_type": "category"})
    pd.testing.assert_frame_equal(composition(cells), composition(as_categories))


def test_nothing_kept_gives_an_empty_table():
    table = composition(cells_of(("S1", {"NK": 3}, False)))
    assert table.empty
    assert tuple(table.columns) == COLUMNS


@pytest.mark.parametrize("pseudocount", [0, -1, float("nan")])
def test_pseudocount_must_be_positive(pseudocount):
    with pytest.raises(ValueError, match="pseudocount"):
        composition(cells_of(("S1", {"NK": 3}, True)), pseudocount=pseudocount)


def test_one_sample_has_one_patient():
    cells = cells_of(("S1", {"NK": 3}, True))
    cells.loc[0, "patient_id"] = "another"
    with pytest.raises(ValueError, match="S1"):
        composition(cells)


SETTINGS = CompositionSettings(
    pseudocount=0.5, fraction_log_sd=0.5, least_fraction_log_sd=0.2, prior_df=4.0
)


def with_sheet(table, **kinds):
    sheet = [
        {"sample_id": name, "tissue": "bone_marrow", "sorting": ""} | kinds.get(name, {})
        for name in table["sample_id"].unique()
    ]
    return with_intervals(table, sheet, SETTINGS)


def test_intervals_hold_the_fraction_and_exceed_the_binomial():
    table = with_sheet(composition(cells_of(("S1", {"NK": 20, "CD4 T": 180}, True))))
    assert tuple(table.columns) == (*COLUMNS, *INTERVAL_COLUMNS)
    row = table[table["cell_type"] == "NK"].iloc[0]
    # Clopper and Pearson, 20 of 200: 6.22 to 15.02 % (R binom.test).
    assert row["binomial_ci_low"] == pytest.approx(0.0622, abs=1e-4)
    assert row["binomial_ci_high"] == pytest.approx(0.1502, abs=1e-4)
    assert row["fraction_ci_low"] < row["binomial_ci_low"]
    assert row["fraction_ci_high"] > row["binomial_ci_high"]
    assert (row["library_sd"], row["library_sd_libraries"]) == (0.5, 0)
    assert (row["n_total"], row["sorting"]) == (200, "none")


def test_uneven_libraries_of_one_kind_widen_the_interval():
    def width(counts):
        samples = [(f"S{i}", {"NK": n, "CD4 T": 400}, True) for i, n in enumerate(counts)]
        table = with_sheet(composition(cells_of(*samples)))
        row = table[(table["sample_id"] == "S0") & (table["cell_type"] == "NK")].iloc[0]
        return row["fraction_ci_high"] - row["fraction_ci_low"]

    assert width([50, 5, 200, 20, 90]) > 1.5 * width([50, 52, 48, 49, 51])


def test_other_kinds_of_libraries_tell_nothing_of_this_one():
    samples = [(f"S{i}", {"NK": n, "CD4 T": 400}, True) for i, n in enumerate([50, 5, 200])]
    blood = {"S1": {"tissue": "blood"}, "S2": {"sorting": "CD3_positive"}}
    table = with_sheet(composition(cells_of(*samples)), **blood)
    assert (table["library_sd_libraries"] == 0).all()


def test_sorted_libraries_do_not_widen_the_intervals_of_unsorted_ones():
    samples = [(f"S{i}", {"NK": n, "CD4 T": 400}, True) for i, n in enumerate([50, 52, 1, 300])]
    chosen = {name: {"sorting": "CAR_positive"} for name in ("S2", "S3")}
    table = with_sheet(composition(cells_of(*samples)), **chosen)
    by_sample = table[table["cell_type"] == "NK"].set_index("sample_id")["library_sd"]
    assert by_sample["S0"] < 0.5 < by_sample["S2"]
