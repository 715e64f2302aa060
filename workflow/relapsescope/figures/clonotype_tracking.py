"""The largest T cell clonotypes of each patient, from sample to sample."""

import re

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import UNORDERED, ink_on
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK
from relapsescope.figures.verdicts import with_numbers

BAR, STEP, HEIGHT = 0.2, 110, 190
"""Half a bar's width in samples, pixels from sample to sample, pixels of a patient's chart."""
LEAST_NAMED = 0.06
"""Share of the highest bar from which a clonotype's part has room for its name."""
N_COLOURS = 19
"""Colours of `UNORDERED` without the grey."""
MOST_IN_A_COLUMN, COLUMNS = 3, 2
"""Patients below each other; more stand in so many columns."""


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the largest clonotypes of each patient in each of its samples with receptors."""
    table, given = evidence.t_cells["clonotypes"], evidence.t_cells["receptors"]
    if table.empty:
        reasons = [] if given.empty else sorted(set(given["reason"]) - {""})
        why = reasons[0] if len(reasons) == 1 else "no clonotype of two cells"
        raise NotAssessableError(why if reasons else "no TCR contigs in the sample sheet")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    table = with_numbers(table, [name for name in numbers if name in table])
    days = {sample: row.get("day", "") for sample, row in evidence.sheet.items()}
    table = table.assign(day=pd.to_numeric(table["sample_id"].map(days), errors="coerce"))
    parts = [
        _largest(own, settings.tracked_clonotypes)
        for _, own in table.groupby("patient_id", sort=False)
    ]
    frame = pd.concat(parts, ignore_index=True)[list(PANEL.columns)]
    return PanelData(frame, int(frame["n_cells"].sum()), int(frame["patient_id"].nunique()))


def _largest(own: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return a patient's clonotypes of the largest mean share, samples by day."""
    samples = own.drop_duplicates("sample_id").sort_values(
        "day", kind="stable", na_position="first"
    )
    place = {sample: i for i, sample in enumerate(samples["sample_id"])}
    mean = own.groupby("clonotype_id", sort=False)["fraction"].mean()
    kept = list(mean.sort_values(ascending=False, kind="stable").index[:most])
    own = own[own["clonotype_id"].isin(kept)]
    own = own.assign(
        place=own["sample_id"].map(place), rank=own["clonotype_id"].map(kept.index) + 1
    )
    return own.sort_values(["place", "rank"], kind="stable")


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw one chart a patient: stacked bars, and bands between them that follow a clonotype."""
    patients = list(dict.fromkeys(frame["patient_id"]))
    colours = clonotype_colours(frame["clonotype_id"])
    charts = [_patient(frame[frame["patient_id"] == name], name, colours) for name in patients]
    columns = 1 if len(charts) <= MOST_IN_A_COLUMN else COLUMNS
    return alt.concat(*charts, columns=columns)


def clonotype_colours(names: pd.Series) -> dict[str, str]:
    """Return a colour a clonotype by the number in its name, whatever else is drawn.

    Numbers are given a patient at a time; those that are as many apart as there are colours share
    one, and the bars name them.
    """
    numbers = {name: int(re.sub(r"\D", "", name) or 0) for name in sorted(set(names))}
    ordered = sorted(numbers, key=lambda name: (numbers[name], name))
    return {name: UNORDERED[(numbers[name] - 1) % N_COLOURS] for name in ordered}


def _patient(frame: pd.DataFrame, name: str, colours: dict[str, str]) -> alt.LayerChart:
    rows = frame.sort_values(["place", "rank"])
    rows = rows.assign(top=rows.groupby("place")["fraction"].cumsum())
    rows = rows.assign(bottom=rows["top"] - rows["fraction"], has_car=rows["n_car_detected"] > 0)
    last = int(rows["place"].max())
    words = rows.drop_duplicates("place")
    labels = [
        f"{sample}\n{timepoint.replace('_', ' ')}"
        + (f"\n{sorting.replace('_', ' ')}" if sorting != "none" else "")
        for sample, timepoint, sorting in zip(
            words["sample_id"], words["timepoint"], words["sorting"], strict=True
        )
    ]
    colour = alt.Color(
        "clonotype_id:N",
        title="Clonotype",
        sort=list(colours),
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=None,
    )
    edges = rows.merge(pd.DataFrame({"side": (-BAR, BAR)}), how="cross")
    edges = edges.assign(at=edges["place"] + edges["side"])
    domain = alt.Scale(domain=[-0.5, last + 0.5], nice=False, zero=False)
    axis = alt.Axis(
        values=list(range(last + 1)),
        labelExpr=f"split({_texts(labels)}[datum.value], '\\n')",
        grid=False,
        ticks=False,
    )
    x = alt.X("at:Q", title=None, scale=domain, axis=axis)
    share = alt.Axis(format="~%", tickCount=4)
    y = alt.Y("bottom:Q", title=f"{name}: share of cells with a clonotype", axis=share)
    bands = alt.Chart(edges).mark_area(opacity=0.35).encode(x=x, y=y, y2="top:Q", color=colour)
    bars = rows[rows["fraction"] > 0].assign(
        left=lambda one: one["place"] - BAR, right=lambda one: one["place"] + BAR
    )
    drawn = alt.Chart(bars).mark_rect(stroke="white", strokeWidth=0.5)
    drawn = drawn.encode(
        x=alt.X("left:Q", scale=domain), x2="right:Q", y="bottom:Q", y2="top:Q", color=colour
    )
    marked = bars[bars["has_car"]]
    marked = marked.assign(middle=(marked["bottom"] + marked["top"]) / 2)
    marks = alt.Chart(marked).mark_point(
        filled=True, size=26, color=INK, opacity=1, stroke="white", strokeWidth=1
    )
    marks = marks.encode(x=alt.X("place:Q", scale=domain), y="middle:Q", xOffset=alt.value(14))
    named = bars.assign(middle=(bars["bottom"] + bars["top"]) / 2)
    named = named[named["fraction"] >= LEAST_NAMED * rows["top"].max()]
    named["ink"] = [ink_on(colours[name]) for name in named["clonotype_id"]]
    words = alt.Chart(named).mark_text(dx=-6)
    words = words.encode(
        x=alt.X("place:Q", scale=domain),
        y="middle:Q",
        text="clonotype_id:N",
        color=alt.Color("ink:N", scale=None),
    )
    return alt.layer(bands, drawn, marks, words).properties(width=STEP * (last + 1), height=HEIGHT)


def _texts(labels: list[str]) -> str:
    """Return labels as a list in Vega's expressions, whatever characters they hold."""
    escaped = (label.replace("\\", "").replace("'", "").replace("\n", "\\n") for label in labels)
    return "[" + ", ".join(f"'{label}'" for label in escaped) + "]"


PANEL = Panel(
    name="clonotype_tracking",
    title="T cell clonotypes through time",
    claim="Which T cell clones persist, expand or are lost from sample to sample",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "sorting": "text",
        "day": "number",
        "place": "number",
        "clonotype_id": "text",
        "rank": "number",
        "n_cells": "number",
        "n_clonotype_cells": "number",
        "fraction": "number",
        "fraction_ci_low": "number",
        "fraction_ci_high": "number",
        "n_car_detected": "number",
        "state": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/clonotypes.tsv",),
    split_rows="patient_id",
    test="exact (Clopper-Pearson) 95 % intervals",
    unit="T cells of the clonotypes shown",
)
