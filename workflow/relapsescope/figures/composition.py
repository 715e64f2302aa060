"""The composition of each sample by cell type."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import cell_type_colours, colours_for
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.figures.theme import ROW
from relapsescope.niche.microenvironment import cell_type_order


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return cells and fraction by sample and cell type, types that nobody has left out."""
    table = evidence.microenvironment
    if table.empty:
        raise NotAssessableError("no library has a cell that passed QC")
    frame = table.reindex(columns=list(PANEL.columns))
    frame["n_cells"] = pd.to_numeric(frame["n_cells"])
    frame["fraction"] = pd.to_numeric(frame["fraction"])
    frame["clr"] = pd.to_numeric(frame["clr"], errors="coerce")
    return PanelData(
        frame.reset_index(drop=True),
        int(frame["n_cells"].sum()),
        int(frame["patient_id"].nunique()),
    )


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw one bar a sample, cell types stacked in the order of lineages."""
    known = {name: place for place, name in enumerate(cell_type_order())}
    types = sorted(set(frame["cell_type"]), key=lambda v: (known.get(v, len(known)), v))
    samples = list(dict.fromkeys(frame["sample_id"]))
    rows = frame.assign(place=frame["cell_type"].map(types.index))
    rows = rows.loc[rows["n_cells"] > 0, ["sample_id", "cell_type", "fraction", "place"]]
    totals = frame.groupby("sample_id")["n_cells"].sum().reindex(samples).reset_index()
    totals["note"] = [f"{n:,} cells" for n in totals["n_cells"]]
    totals["end"] = 1.0
    y = alt.Y("sample_id:N", sort=samples, title=None)
    bars = (
        alt.Chart(rows)
        .mark_bar(height=ROW - 6, stroke="white", strokeWidth=0.6)
        .encode(
            y=y,
            x=alt.X(
                "fraction:Q",
                title="Share of the cells kept",
                axis=alt.Axis(format=".0%", grid=False),
                scale=alt.Scale(domain=[0, 1]),
            ),
            order=alt.Order("place:Q"),
            color=alt.Color(
                "cell_type:N",
                title=None,
                sort=types,
                scale=alt.Scale(domain=types, range=colours_for(types, cell_type_colours())),
                legend=alt.Legend(orient="bottom", columns=6, offset=14),
            ),
        )
    )
    notes = alt.Chart(totals).mark_text(align="left", dx=5).encode(y=y, x="end:Q", text="note:N")
    return alt.layer(bars, notes).properties(width=430, height=alt.Step(ROW))


PANEL = Panel(
    name="composition",
    title="Composition of each sample",
    claim="Which cell types each sample holds, and in what shares",
    columns={
        "sample_id": "text",
        "patient_id": "text",
        "timepoint": "text",
        "cell_type": "text",
        "n_cells": "number",
        "fraction": "number",
        "clr": "number",
    },
    collect=collect,
    chart=chart,
)
