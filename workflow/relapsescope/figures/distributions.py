"""Distributions of a per-cell number, one ridge a library, with the thresholds drawn in."""

import json
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.compact import label_size, step_for
from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import KEPT, SET_ASIDE, THRESHOLD
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
    row_labels,
)
from relapsescope.figures.theme import ROW

OVERLAP = 0.9
"""Share of a row's height that its highest bin takes."""

COLUMNS = {
    "sample_id": "text",
    "verdict": "text",
    "mark": "text",
    "x_low": "number",
    "x_high": "number",
    "n_cells": "number",
}


@dataclass(frozen=True)
class Metric:
    """A column of the cells and how it is shown; `log` bins and draws it on a log scale."""

    column: str
    axis: str
    log: bool
    low: float
    high: float
    ticks: str = "~s"
    kept: str = "qc_pass"
    kept_means: str = "kept"
    others: str = "all barcodes"


def thresholds(library: dict, metric: Metric) -> list[float]:
    """Return the library's thresholds of a metric, the lower first, from `library.json`."""
    found = (library.get("thresholds") or {}).get(metric.column) or {}
    return [float(v) for v in (found.get("low"), found.get("high")) if v is not None]


def binned(evidence: Evidence, metric: Metric, n_bins: int) -> pd.DataFrame:
    """Return histogram counts of all and of kept barcodes and the thresholds, by library."""
    cells = evidence.cells
    values = cells[metric.column].to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(values)
    if not finite.any():
        raise NotAssessableError(f"no library has a value of {metric.column}")
    edges = _edges(values[finite], metric, n_bins)
    codes = pd.Categorical(cells["sample_id"].astype("string"), categories=evidence.sample_ids)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
    inside = finite & (codes.codes >= 0)
    key = codes.codes.astype(np.int64) * n_bins + place
    size = len(evidence.sample_ids) * n_bins
    of_all = np.bincount(key[inside], minlength=size).reshape(-1, n_bins)
    kept = inside & cells[metric.kept].to_numpy(dtype=bool)
    of_kept = np.bincount(key[kept], minlength=size).reshape(-1, n_bins)
    rows = []
    for i, sample in enumerate(evidence.sample_ids):
        verdict = evidence.verdicts[sample]
        for mark, counts in (("all", of_all[i]), ("kept", of_kept[i])):
            rows += [
                (sample, verdict, mark, low, high, int(n))
                for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
        for value in thresholds(evidence.libraries.get(sample, {}), metric):
            if metric.low <= value <= metric.high or metric.log:
                rows.append((sample, verdict, "threshold", value, value, np.nan))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _edges(values: np.ndarray, metric: Metric, n_bins: int) -> np.ndarray:
    """Return bin edges with four digits, so that source data and picture agree to the digit.

    The outermost bins also hold what lies beyond them.
    """
    if not metric.log:
        return np.linspace(metric.low, metric.high, n_bins + 1).round(4)
    low = min(metric.low, max(1.0, float(np.quantile(values, 0.001))))
    high = max(metric.high, float(np.quantile(values, 0.9995)))
    return np.array([float(f"{e:.4g}") for e in np.geomspace(low, high, n_bins + 1)])


def ridges(frame: pd.DataFrame, metric: Metric) -> alt.LayerChart:
    """Draw one ridge a library: all barcodes behind, kept ones in front, thresholds across."""
    samples = list(dict.fromkeys(frame["sample_id"]))
    step = step_for(len(samples), 1.25 * ROW)
    rows = frame.assign(row=frame["sample_id"].map(samples.index).astype(float))
    peak = rows[rows["mark"] == "all"].groupby("sample_id")["n_cells"].max().clip(lower=1)
    height = rows["n_cells"].fillna(0) / rows["sample_id"].map(peak) * OVERLAP
    rows["top"] = rows["row"] - height
    lines = rows[rows["mark"] == "threshold"].assign(top=lambda r: r["row"] - OVERLAP)
    bins = frame[frame["mark"] == "all"]
    domain = [bins["x_low"].min(), bins["x_high"].max()]
    x_scale = alt.Scale(type="log" if metric.log else "linear", domain=domain, nice=False)
    labels = json.dumps(row_labels(frame))
    y = alt.Y(
        "row:Q",
        title=None,
        scale=alt.Scale(domain=[len(samples) - 0.75, -1.05], nice=False, zero=False),
        axis=alt.Axis(
            values=list(range(len(samples))),
            labelExpr=f"{labels}[datum.value]",
            ticks=False,
            domain=False,
            gridColor="#E4E7EB",
            labelOverlap=False,
            labelBaseline="bottom",
            labelOffset=2,
            labelFontSize=label_size(step),
        ),
    )
    legend = alt.Scale(
        domain=[metric.others, metric.kept_means, "threshold"], range=[SET_ASIDE, KEPT, THRESHOLD]
    )
    colour = alt.Color("what:N", title=None, scale=legend, legend=alt.Legend(orient="top"))
    x = alt.X(
        "x_low:Q",
        title=metric.axis,
        scale=x_scale,
        axis=alt.Axis(grid=False, format=metric.ticks, tickCount=6),
    )
    layers = [
        alt.Chart(_outline(rows[rows["mark"] == mark]).assign(what=what))
        .mark_area(interpolate="step-after", opacity=0.9)
        .encode(x=x, y=y, y2="top:Q", detail="sample_id:N", color=colour)
        for mark, what in (("all", metric.others), ("kept", metric.kept_means))
    ]
    layers.append(
        alt.Chart(lines.assign(what="threshold"))
        .mark_rule(strokeWidth=1.6, clip=True)
        .encode(x=x, y=y, y2="top:Q", color=colour)
    )
    return alt.layer(*layers).properties(width=330, height=step * len(samples) + 12)


def _outline(bins: pd.DataFrame) -> pd.DataFrame:
    """Return the bins without those amid empty ones, which add nothing to a ridge but weight."""
    by_library = bins.groupby("sample_id", sort=False)["n_cells"]
    around = bins["n_cells"].fillna(0) + by_library.shift(1).fillna(0)
    around += by_library.shift(-1).fillna(0)
    ends = by_library.shift(1).isna() | by_library.shift(-1).isna()
    return bins[(around > 0) | ends]


def distribution_panel(name: str, title: str, claim: str, metric: Metric) -> Panel:
    """Return the panel that shows `metric`."""

    def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
        frame = binned(evidence, metric, settings.distribution_bins)
        counted = frame[(frame["mark"] == "all") & (frame["n_cells"] > 0)]
        n_patients = evidence.n_patients(counted["sample_id"].unique())
        return PanelData(frame, int(counted["n_cells"].sum()), n_patients)

    return Panel(
        name=name,
        title=title,
        claim=claim,
        columns=COLUMNS,
        collect=collect,
        chart=lambda frame: ridges(frame, metric),
        tables=("tables/cells.parquet", "libraries/*/library.json"),
        unit="barcodes",
    )


JUDGED = "Thresholds follow each library's own distribution"
PANELS = (
    distribution_panel(
        "qc_total_counts",
        "Counts a cell",
        JUDGED,
        Metric("total_counts", "UMI counts a barcode", log=True, low=300, high=1e4),
    ),
    distribution_panel(
        "qc_n_genes",
        "Genes a cell",
        JUDGED,
        Metric("n_genes_by_counts", "Genes detected a barcode", log=True, low=150, high=1e3),
    ),
    distribution_panel(
        "qc_pct_mt",
        "Mitochondrial share",
        JUDGED,
        Metric("pct_counts_mt", "Mitochondrial counts, %", log=False, low=0, high=60, ticks=".0f"),
    ),
    distribution_panel(
        "doublet_scores",
        "Doublet scores",
        "Doublets are called by each library's own threshold",
        Metric(
            "doublet_score",
            "Doublet score",
            log=False,
            low=0,
            high=1,
            ticks=".1f",
            kept="predicted_doublet",
            kept_means="called doublet",
            others="all scored barcodes",
        ),
    ),
)
