"""Suppression at relapse: each measure against the patient's earlier and untreated marrows."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, ROW
from relapsescope.figures.verdicts import verdict_colour, verdict_shape, with_numbers
from relapsescope.microenvironment.suppression import EARLIER, OVERALL
from relapsescope.microenvironment.suppression import PANEL as UNTREATED
from relapsescope.microenvironment.suppression_measures import MEASURE_WORDS, PRIMARY
from relapsescope.vocabulary import INDETERMINATE, NOT_RAISED, RAISED

WORDS = (RAISED, NOT_RAISED, INDETERMINATE)
TITLES = {EARLIER: "against earlier marrow", UNTREATED: "against marrow without CAR-T"}
# Log2 ratios beyond are drawn at the edge: fractions of a cell or two set no limit.
FARTHEST = 6.0
MOST_SAMPLES = 12
"""Samples up to which every measure is drawn; above, the primary ones."""


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each measure's change in the marrows at relapse, and the joint verdict."""
    table = evidence.niche["suppression"]
    rows = table[table["timepoint"] == "relapse"] if not table.empty else table
    if rows.empty:
        raise NotAssessableError("no library at relapse")
    joint = rows[rows["measure"] == OVERALL].set_index("sample_id")
    rows = rows[rows["comparison"] != ""]
    if rows.empty:
        raise NotAssessableError("; ".join(f"{s}: {joint.loc[s, 'reason']}" for s in joint.index))
    if rows["sample_id"].nunique() > MOST_SAMPLES:
        rows = rows[rows["measure"].isin(PRIMARY)]
    rows = rows.assign(joint_verdict=[joint.loc[s, "verdict"] for s in rows["sample_id"]])
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(rows, numbers)[list(PANEL.columns)].reset_index(drop=True)
    cells = frame.groupby("sample_id")["n_cells"].max().sum()
    return PanelData(frame, int(cells), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.HConcatChart:
    """Draw the log2 ratios with intervals, a column a comparison; a rule at no change."""
    rows = frame.assign(
        label=[
            f"{sample} ({verdict.lower().replace('_', ' ')}): {MEASURE_WORDS.get(measure, measure)}"
            for sample, verdict, measure in zip(
                frame["sample_id"], frame["joint_verdict"], frame["measure"], strict=True
            )
        ]
    )
    names = ("log2_ratio", "log2_ratio_ci_low", "log2_ratio_ci_high")
    for name in names:
        rows[name] = rows[name].clip(-FARTHEST, FARTHEST)
    # Where no cell was seen the ratio has no estimate and no lower limit.
    without = rows["log2_ratio"].isna() & rows["log2_ratio_ci_high"].notna()
    rows["log2_ratio_ci_low"] = rows["log2_ratio_ci_low"].mask(without, -FARTHEST)
    order = list(dict.fromkeys(rows["label"]))
    shown = [name for name in TITLES if (rows["comparison"] == name).any()]
    return alt.hconcat(
        *(
            _column(rows[rows["comparison"] == name], order, names, TITLES[name], first=not i)
            for i, name in enumerate(shown)
        )
    )


def _column(
    rows: pd.DataFrame, order: list[str], names: tuple[str, ...], title: str, *, first: bool
) -> alt.LayerChart:
    middle, low, high = names
    axis = alt.Axis(labels=True, labelLimit=420) if first else None
    y = alt.Y("label:N", sort=order, title=None, axis=axis, scale=alt.Scale(domain=order))
    scale = alt.Scale(domain=[-FARTHEST, FARTHEST])
    ticks = alt.Axis(values=[-6, -4, -2, 0, 2, 4, 6])
    base = alt.Chart(rows)
    rule = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color="#9AA5B1", strokeDash=[3, 3])
    return alt.layer(
        rule.encode(x="at:Q"),
        base.mark_rule(color=INK).encode(y=y, x=alt.X(f"{low}:Q", scale=scale), x2=f"{high}:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y,
            x=alt.X(f"{middle}:Q", title=f"log2 ratio {title}", scale=scale, axis=ticks),
            color=verdict_colour(WORDS),
            shape=verdict_shape(WORDS),
        ),
    ).properties(width=210, height=alt.Step(ROW))


PANEL = Panel(
    name="suppression",
    title="Suppressive cells and programmes at relapse",
    claim="Whether suppression rose beyond what the patient's earlier and untreated marrows show",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "joint_verdict": "text",
        "measure": "text",
        "n_cells": "number",
        "value": "number",
        "value_ci_low": "number",
        "value_ci_high": "number",
        "comparison": "text",
        "comparison_value": "number",
        "log2_ratio": "number",
        "log2_ratio_ci_low": "number",
        "log2_ratio_ci_high": "number",
        "library_sd": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/suppression.tsv",),
    split_rows="sample_id",
    test="difference from other libraries with their measured variation, 95 % t intervals; "
    "joint verdict by intersection-union and Holm",
    tolerance="0.05",
)
