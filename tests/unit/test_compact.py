"""Charts of many rows stay about a page high: steps by hand, and nothing changes for few."""

import altair as alt
import pandas as pd
import pytest
from relapsescope.figures import clonotype_tracking, distributions
from relapsescope.figures.compact import compact, label_size, step_for
from relapsescope.figures.stacked_shares import stacked_shares


def chart(n: int, *, offset: bool = False) -> alt.LayerChart:
    frame = pd.DataFrame({"label": [f"S{i:04d}" for i in range(n)], "value": 1.0})
    if offset:
        frame = frame.merge(pd.DataFrame({"side": ["a", "b"]}), how="cross")
    base = alt.Chart(frame).encode(y=alt.Y("label:N", axis=alt.Axis(labelLimit=200)))
    base = base.encode(yOffset="side:N") if offset else base
    bars = base.mark_bar(height=16).encode(x="value:Q")
    points = base.mark_point(size=70).encode(x="value:Q")
    words = base.mark_text().encode(text="value:Q")
    return alt.layer(bars, points, words).properties(height=alt.Step(22))


def drawn(n: int, **options) -> dict:
    with alt.data_transformers.enable("default", max_rows=None):
        return compact(chart(n, **options).to_dict())


@pytest.mark.parametrize(
    ("bands", "step"),
    [
        (50, 22),  # 50 x 22 are the 1,100 units that there are
        (200, 5.5),  # 1,100 / 200
        (1000, 4),  # 1.1 would be no row any more
    ],
)
def test_a_step_by_hand(bands, step):
    assert step_for(bands, 22) == step
    assert drawn(bands)["height"]["step"] == step


def test_few_rows_are_left_as_they_were():
    assert drawn(50) == chart(50).to_dict()


def test_marks_and_labels_shrink_with_their_band():
    """A quarter of 22 units: bars of 4, points of a sixteenth but 5 at least, labels of 4.4."""
    found = drawn(200)
    bar, point, words = (layer["mark"] for layer in found["layer"])
    assert bar["height"] == 4
    assert point["size"] == 5
    assert words["fontSize"] == pytest.approx(4.4)
    for layer in found["layer"]:
        axis = layer["encoding"]["y"]["axis"]
        assert axis["labelFontSize"] == pytest.approx(4.4)
        assert axis["labelLimit"] == 200
    assert label_size(2) == 3


def test_rows_beside_each_other_in_a_band_count():
    """120 samples of two populations each are 240 rows."""
    assert drawn(120, offset=True)["height"]["step"] == pytest.approx(1100 / 240)


def test_ridges_of_200_libraries_are_a_page_high():
    """1,100 units for the libraries and 12 for the margins; of ten, 27.5 each."""
    metric = next(panel for panel in distributions.PANELS if panel.name == "qc_n_genes")
    for n, height in ((10, 287), (200, 1112)):
        frame = pd.DataFrame(
            [
                (f"S{i}", "pass", mark, low, 2 * low, 5.0)
                for i in range(n)
                for mark in ("all", "kept")
                for low in (500.0, 1000.0)
            ],
            columns=list(metric.columns),
        )
        assert metric.chart(frame).to_dict()["height"] == height


def test_parts_are_stacked_in_the_order_of_their_colours():
    rows = pd.DataFrame({"bar": ["x"] * 3, "part": ["c", "a", "b"], "fraction": [0.5, 0.2, 0.3]})
    drawn = stacked_shares(
        rows,
        {"x": 1200},
        label="bar",
        part="part",
        colours={"a": "red", "b": "green", "c": "blue"},
        title="Share",
        legend_columns=3,
    ).to_dict()
    values = [row for rows in drawn["datasets"].values() for row in rows]
    assert {r["part"]: r["place"] for r in values if "part" in r} == {"a": 0, "b": 1, "c": 2}
    assert [r["note"] for r in values if "note" in r] == ["1,200 cells"]
    colour = drawn["layer"][0]["encoding"]["color"]["scale"]
    assert dict(zip(colour["domain"], colour["range"], strict=True))["c"] == "blue"


@pytest.mark.parametrize(("n", "columns"), [(3, 1), (4, 2)])
def test_patients_stand_side_by_side_where_there_are_many(n, columns):
    numbers = {
        name: 1 for name, kind in clonotype_tracking.PANEL.columns.items() if kind == "number"
    }
    texts = {name: "none" for name in clonotype_tracking.PANEL.columns if name not in numbers}
    rows = [texts | numbers | {"patient_id": f"P{i}", "place": 0, "rank": 1} for i in range(n)]
    frame = pd.DataFrame(rows)[list(clonotype_tracking.PANEL.columns)]
    assert clonotype_tracking.chart(frame).to_dict()["columns"] == columns


def test_each_chart_of_several_is_measured_by_its_own_rows():
    both = alt.hconcat(chart(30), chart(100))
    few, many = compact(both.to_dict())["hconcat"]
    assert few["height"]["step"] == 22
    assert many["height"]["step"] == 11
