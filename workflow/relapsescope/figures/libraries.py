"""Cells kept and set aside in each library, by the first reason met."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import REASON_COLOURS, colours_for
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
    row_labels,
)
from relapsescope.figures.theme import ROW

KEPT = "kept"


def cells_by_step(evidence: Evidence) -> pd.DataFrame:
    """Return cells kept and lost: one row a library, one column a step, in the steps' order.

    A barcode with several reasons is counted at the first.
    """
    reason = evidence.cells["qc_reason"].astype("string").fillna("").str.split(";").str[0]
    reason = reason.where(~evidence.cells["qc_pass"], KEPT).replace("", "unknown")
    counts = pd.crosstab(evidence.cells["sample_id"].astype("string"), reason)
    known = [name for name in REASON_COLOURS if name in counts.columns]
    further = sorted(name for name in counts.columns if name not in REASON_COLOURS)
    columns = [KEPT, *[name for name in (*known, *further) if name != KEPT]]
    return counts.reindex(index=evidence.sample_ids, columns=columns, fill_value=0).astype(int)


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the number of barcodes by library and step."""
    counts = cells_by_step(evidence)
    total = int(counts.to_numpy().sum())
    if total == 0:
        raise NotAssessableError("no library holds a barcode")
    rows = [
        (sample, evidence.verdicts[sample], step, n)
        for sample, steps in zip(counts.index, counts.to_dict("records"), strict=True)
        for step, n in steps.items()
    ]
    frame = pd.DataFrame(rows, columns=list(PANEL.columns))
    return PanelData(frame, total, evidence.n_patients())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw one bar a library, its barcodes stacked by step."""
    steps = list(dict.fromkeys(frame["step"]))
    labels = dict(zip(dict.fromkeys(frame["sample_id"]), row_labels(frame), strict=True))
    rows = frame.assign(label=frame["sample_id"].map(labels), place=frame["step"].map(steps.index))
    wording = [step.replace("_", " ") for step in steps]
    rows["step"] = rows["step"].str.replace("_", " ")
    kept = rows[rows["place"] == 0].copy()
    totals = rows.groupby("sample_id")["n_cells"].sum()
    kept["total"] = kept["sample_id"].map(totals)
    kept["share"] = [
        f"{k / t:.0%} of {t:,}" if t else "no barcode"
        for k, t in zip(kept["n_cells"], kept["total"], strict=True)
    ]
    y = alt.Y("label:N", sort=list(labels.values()), title=None)
    bars = (
        alt.Chart(rows)
        .mark_bar(height=ROW - 8)
        .encode(
            y=y,
            x=alt.X("n_cells:Q", title="Barcodes"),
            order=alt.Order("place:Q"),
            color=alt.Color(
                "step:N",
                title=None,
                scale=alt.Scale(domain=wording, range=colours_for(steps, REASON_COLOURS)),
                legend=alt.Legend(orient="top", columns=5),
            ),
        )
    )
    notes = alt.Chart(kept).mark_text(align="left", dx=5).encode(y=y, x="total:Q", text="share:N")
    return alt.layer(bars, notes).properties(width=430, height=alt.Step(ROW))


PANEL = Panel(
    name="cells_kept",
    title="Barcodes kept and set aside",
    claim="Every barcode of the input is accounted for; what was set aside has a reason",
    columns={"sample_id": "text", "verdict": "text", "step": "text", "n_cells": "number"},
    collect=collect,
    chart=chart,
    tables=("tables/cells.parquet", "tables/samples.tsv"),
    unit="barcodes",
)
