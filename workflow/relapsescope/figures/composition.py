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
from relapsescope.figures.stacked_shares import stacked_shares
from relapsescope.microenvironment.composition import cell_type_order


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
    shown = frame.loc[frame["n_cells"] > 0, ["sample_id", "cell_type", "fraction"]]
    return stacked_shares(
        shown,
        frame.groupby("sample_id", sort=False)["n_cells"].sum().to_dict(),
        label="sample_id",
        part="cell_type",
        colours=dict(zip(types, colours_for(types, cell_type_colours()), strict=True)),
        title="Share of the cells kept",
        legend_columns=6,
    )


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
    tables=("tables/microenvironment.tsv",),
    split_rows="sample_id",
)
