"""Which states the T cells of each sample are in, with and without the CAR."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.stacked_shares import stacked_shares
from relapsescope.figures.verdicts import with_numbers
from relapsescope.t_cells.states import STATES

POPULATIONS = {"T": "all T", "car_detected": "CAR seen", "car_not_detected": "CAR not seen"}
COLOURS = {
    "naive_central_memory": "#509BC9",
    "effector_memory": "#0072B2",
    "cytotoxic": "#10A273",
    "terminal_effector": "#117733",
    "progenitor_exhausted": "#CC8600",
    "terminally_exhausted": "#C85300",
    "regulatory": "#CC79A7",
    "MAIT": "#939741",
    "gamma_delta": "#332288",
    "proliferating": "#882255",
    "undetermined": "#7D8180",
}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the shares of states of every sample and population."""
    table = evidence.t_cells["t_cell_states"]
    if table.empty:
        raise NotAssessableError("no library holds a T cell that passed QC")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(table, numbers)[list(PANEL.columns)].reset_index(drop=True)
    whole = frame[frame["population"] == "T"].drop_duplicates("sample_id")
    return PanelData(frame, int(whole["n_cells"].sum()), int(frame["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw one bar a sample and population, states stacked in the order of differentiation."""
    rows = frame.assign(
        label=frame["sample_id"] + ", " + frame["population"].map(POPULATIONS),
        words=frame["state"].str.replace("_", " "),
    )
    return stacked_shares(
        rows[rows["n_state"] > 0],
        rows.drop_duplicates("label").set_index("label")["n_cells"].to_dict(),
        label="label",
        part="words",
        colours={state.replace("_", " "): COLOURS[state] for state in STATES},
        title="Share of the T cells",
        legend_columns=4,
    )


PANEL = Panel(
    name="t_cell_states",
    title="States of T cells",
    claim="Which states the T cells of each sample are in, with and without the CAR",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "sorting": "text",
        "population": "text",
        "state": "text",
        "n_cells": "number",
        "n_state": "number",
        "fraction": "number",
        "fraction_ci_low": "number",
        "fraction_ci_high": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/t_cell_states.tsv",),
    split_rows="sample_id",
    test="exact (Clopper-Pearson) 95 % intervals",
    unit="T cells",
    reproducibility="seeded",
    tolerance="0.05",
)
