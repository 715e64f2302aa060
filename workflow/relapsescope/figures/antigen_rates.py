"""Antigens by clone and timepoint: rates with intervals, the ambient floor drawn in."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, QUIET, ROW
from relapsescope.figures.verdicts import (
    rate_axis,
    rate_scale,
    verdict_colour,
    verdict_shape,
    with_numbers,
)
from relapsescope.vocabulary import INDETERMINATE, LOST, REDUCED, RETAINED

WORDS = (LOST, REDUCED, RETAINED, INDETERMINATE)
MOST_BLOCKS, LONGEST_LABEL = 4, 24
"""Blocks beside each other, one less where a label has more characters."""


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the rate of every antigen in every clone and library of patients with relapse."""
    table = evidence.molecular["antigens"]
    if table.empty:
        raise NotAssessableError("no library holds malignant plasma cells")
    relapsed = set(table.loc[table["timepoint"] == "relapse", "patient_id"])
    if not relapsed:
        raise NotAssessableError("no library at relapse holds malignant plasma cells")
    own = table[table["patient_id"].isin(relapsed) & (table["clone_id"] != "all_malignant")]
    if own.empty:
        own = table[table["patient_id"].isin(relapsed)]
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(own, numbers)[list(PANEL.columns)].reset_index(drop=True)
    cells = frame.drop_duplicates(["sample_id", "clone_id"])["n_cells"].sum()
    return PanelData(frame, int(cells), len(relapsed))


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw one block an antigen: a line the interval, a tick the ambient floor.

    The blocks have one axis of rates and one of rows, which is named at the first of each line.
    """
    rows = frame.assign(label=frame["sample_id"] + " clone " + frame["clone_id"])
    scale = rate_scale(rows["rate_cpm"], rows["rate_ci_high"], rows["ambient_cpm"])
    # An interval without an upper limit runs to the edge.
    open_end = rows["rate_ci_low"].notna() & rows["rate_ci_high"].isna()
    rows["rate_ci_high"] = rows["rate_ci_high"].mask(open_end, scale.domain[1])
    order = list(dict.fromkeys(rows["label"]))
    columns = MOST_BLOCKS - (max(map(len, order)) > LONGEST_LABEL)
    blocks = [
        _antigen(rows[rows["antigen"] == antigen], antigen, order, scale, named=i % columns == 0)
        for i, antigen in enumerate(dict.fromkeys(rows["antigen"]))
    ]
    return alt.concat(*blocks, columns=columns, spacing=14)


def _antigen(
    rows: pd.DataFrame, antigen: str, order: list[str], scale: alt.Scale, *, named: bool
) -> alt.LayerChart:
    labels = alt.Axis() if named else alt.Axis(labels=False)
    y = alt.Y("label:N", sort=order, title=None, axis=labels, scale=alt.Scale(domain=order))
    title = f"{antigen}, molecules a million"
    x = alt.X("rate_cpm:Q", title=title, scale=scale, axis=rate_axis())
    base = alt.Chart(rows)
    floor = base.mark_tick(color=QUIET, thickness=2.5, height=ROW - 6)
    return alt.layer(
        base.mark_rule(color=INK).encode(
            y=y, x=alt.X("rate_ci_low:Q", scale=scale), x2="rate_ci_high:Q"
        ),
        floor.encode(y=y, x=alt.X("ambient_cpm:Q", scale=scale)),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=y, x=x, color=verdict_colour(WORDS), shape=verdict_shape(WORDS)
        ),
    ).properties(width=170, height=alt.Step(ROW))


PANEL = Panel(
    name="antigen_rates",
    title="Antigens by clone and timepoint",
    claim="What a clone shows of each antigen, above the ambient floor, before and at relapse",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "clone_id": "text",
        "antigen": "text",
        "n_cells": "number",
        "antigen_umi": "number",
        "rate_cpm": "number",
        "rate_ci_low": "number",
        "rate_ci_high": "number",
        "ambient_cpm": "number",
        "reference": "text",
        "ratio": "number",
        "verdict": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/antigens.tsv",),
    split_rows="patient_id",
    split_columns="antigen",
    test="95 % intervals of pooled rates (negative binomial, ambient share taken off)",
    tolerance="0.05",
)
