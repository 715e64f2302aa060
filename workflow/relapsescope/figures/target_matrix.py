"""What each relapse clone still shows of the antigens that immunotherapies address."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import ink_on
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import ROW
from relapsescope.figures.verdicts import VERDICT_COLOURS, verdict_colour, with_numbers
from relapsescope.vocabulary import INDETERMINATE, LOST, REDUCED, RETAINED

WORDS = (LOST, REDUCED, RETAINED, INDETERMINATE)


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the verdict and ratio of each antigen in each relapse clone."""
    targets, antigens = evidence.molecular["targets"], evidence.molecular["antigens"]
    if targets.empty:
        raise NotAssessableError("no relapse clone was found")
    keys = ["patient_id", "clone_id", "antigen", "verdict"]
    at_relapse = with_numbers(antigens[antigens["timepoint"] == "relapse"], ("n_cells", "ratio"))
    frame = targets[keys].merge(
        at_relapse[[*keys, "sample_id", "n_cells", "ratio"]], on=keys, how="left"
    )
    frame = frame.drop_duplicates(keys)[list(PANEL.columns)].reset_index(drop=True)
    cells = frame.drop_duplicates(["sample_id", "clone_id"])["n_cells"].sum()
    return PanelData(frame, int(cells), frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a field a clone and antigen: the verdict in colour and in words, and the ratio."""
    rows = frame.assign(label=frame["patient_id"] + " clone " + frame["clone_id"])
    rows["number"] = [f"{ratio:.2f}" if pd.notna(ratio) else "no ratio" for ratio in rows["ratio"]]
    rows["word"] = rows["verdict"].str.lower()
    x = alt.X(
        "antigen:N",
        sort=list(dict.fromkeys(rows["antigen"])),
        title=None,
        axis=alt.Axis(orient="top", labelAngle=-40),
    )
    y = alt.Y("label:N", sort=list(dict.fromkeys(rows["label"])), title=None)
    rows["ink"] = [ink_on(VERDICT_COLOURS[verdict]) for verdict in rows["verdict"]]
    base = alt.Chart(rows).encode(x=x, y=y)
    ink = alt.Color("ink:N", scale=None)
    return alt.layer(
        base.mark_rect(stroke="white", strokeWidth=2).encode(color=verdict_colour(WORDS)),
        base.mark_text(fontSize=11, fontWeight="bold", dy=-6).encode(text="number:N", color=ink),
        base.mark_text(fontSize=9.5, dy=7).encode(text="word:N", color=ink),
    ).properties(width=alt.Step(66), height=alt.Step(ROW + 12))


PANEL = Panel(
    name="target_matrix",
    title="What the relapse clones still show",
    claim="Which antigens the relapse clones lost, reduced or retained in RNA; not advice",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "clone_id": "text",
        "antigen": "text",
        "n_cells": "number",
        "ratio": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/targets.tsv", "tables/antigens.tsv"),
    split_rows="patient_id",
    split_columns="antigen",
    test="95 % intervals of the ratio to the reference",
    tolerance="0.05",
)
