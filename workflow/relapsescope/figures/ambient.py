"""The ambient share of each library's counts, with its interval and where it was read from."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import KEPT
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
    row_labels,
)
from relapsescope.figures.theme import ROW

SOURCES = {"raw_matrix": "read from the raw matrix", "estimated": "estimated from the cells"}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the ambient fraction of each library for which one could be estimated."""
    rows, used = [], []
    for sample in evidence.sample_ids:
        library = evidence.libraries.get(sample, {})
        if library.get("ambient_fraction") is None:
            continue
        used.append(sample)
        rows.append(
            (
                sample,
                evidence.verdicts[sample],
                library["ambient_fraction"],
                library.get("ambient_fraction_low"),
                library.get("ambient_fraction_high"),
                library.get("ambient_source") or "estimated",
            )
        )
    if not rows:
        raise NotAssessableError("no library allowed an estimate of its ambient fraction")
    frame = pd.DataFrame(rows, columns=list(PANEL.columns))
    n_cells = int(evidence.cells["sample_id"].isin(used).sum())
    return PanelData(frame, n_cells, evidence.n_patients(used))


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a point and an interval a library; hollow points are estimates without raw matrix."""
    labels = row_labels(frame)
    rows = frame.assign(label=labels, source=frame["source"].map(lambda s: SOURCES.get(s, s)))
    y = alt.Y("label:N", sort=labels, title=None, axis=alt.Axis(grid=True))
    x = alt.X(
        "ambient_fraction:Q",
        title="Share of the library's counts from ambient RNA",
        axis=alt.Axis(format=".0%", grid=True),
        scale=alt.Scale(domainMin=0),
    )
    base = alt.Chart(rows)
    interval = base.mark_rule(color=KEPT, strokeWidth=2).encode(
        y=y, x=alt.X("ambient_fraction_low:Q"), x2="ambient_fraction_high:Q"
    )
    shown = [s for s in SOURCES.values() if s in set(rows["source"])]
    shown += sorted(set(rows["source"]) - set(shown))
    fills = {SOURCES["raw_matrix"]: KEPT, SOURCES["estimated"]: "#FFFFFF"}
    point = base.mark_point(size=48, stroke=KEPT, strokeWidth=2, opacity=1).encode(
        y=y,
        x=x,
        fill=alt.Fill(
            "source:N",
            title=None,
            scale=alt.Scale(domain=shown, range=[fills.get(s, "#C88800") for s in shown]),
            legend=alt.Legend(
                orient="top", symbolType="circle", symbolStrokeColor=KEPT, symbolStrokeWidth=2
            ),
        ),
    )
    return alt.layer(interval, point).properties(width=330, height=alt.Step(ROW))


PANEL = Panel(
    name="ambient_fraction",
    title="Ambient RNA",
    claim="The share of ambient RNA is known for each library, with its uncertainty",
    columns={
        "sample_id": "text",
        "verdict": "text",
        "ambient_fraction": "number",
        "ambient_fraction_low": "number",
        "ambient_fraction_high": "number",
        "source": "text",
    },
    collect=collect,
    chart=chart,
    tables=("libraries/*/library.json", "tables/samples.tsv"),
    unit="barcodes",
    test="point estimate with 95 % interval",
    tolerance="0.005",
)
