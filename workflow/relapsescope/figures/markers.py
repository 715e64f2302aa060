"""The genes that set each cluster apart."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)


def cluster_names(evidence: Evidence) -> dict[str, str]:
    """Return the commonest cell type of each cluster."""
    cells = evidence.cells[["leiden", "cell_type"]].dropna()
    if cells.empty:
        return {}
    counts = pd.crosstab(cells["leiden"].astype(str), cells["cell_type"].astype(str))
    return counts.idxmax(axis=1).to_dict()


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the highest-ranked genes of each cluster."""
    table = evidence.markers
    if table.empty:
        raise NotAssessableError("no cluster was found, so no gene can set one apart")
    frame = table.assign(
        rank=pd.to_numeric(table["rank"]),
        score=pd.to_numeric(table["score"], errors="coerce"),
        log2_fold_change=pd.to_numeric(table["log2_fold_change"], errors="coerce"),
    )
    frame = (
        frame.sort_values("rank", kind="stable")
        .groupby("leiden")
        .head(settings.markers_per_cluster)
    )
    frame["rank"] = frame.groupby("leiden").cumcount() + 1
    frame["length"] = frame["leiden"].str.len()
    frame = frame.sort_values(["length", "leiden", "rank"], kind="stable")
    names = cluster_names(evidence)
    frame["cell_type"] = frame["leiden"].map(lambda v: names.get(v, ""))
    clustered = evidence.cells["leiden"].notna()
    samples = evidence.cells.loc[clustered, "sample_id"].unique()
    return PanelData(
        frame[list(PANEL.columns)].reset_index(drop=True),
        int(clustered.sum()),
        evidence.n_patients(samples),
    )


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw one row a cluster, its genes by rank, coloured by fold change."""
    limit = max(1.0, float(frame["log2_fold_change"].clip(upper=8).max()))
    rows = frame.assign(
        cluster=[
            f"{cluster} · {name}" if name else cluster
            for cluster, name in zip(frame["leiden"], frame["cell_type"], strict=True)
        ],
        dark=frame["log2_fold_change"] > limit * 0.62,
    )
    order = list(dict.fromkeys(rows["cluster"]))
    base = alt.Chart(rows).encode(
        y=alt.Y("cluster:N", sort=order, title=None),
        x=alt.X("rank:O", title="Rank within the cluster", axis=alt.Axis(labelAngle=0)),
    )
    tiles = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color(
            "log2_fold_change:Q",
            title="log2 fold change against all other cells",
            scale=alt.Scale(domain=[0, limit], range=["#F2F6FA", "#0B4A75"], clamp=True),
            legend=alt.Legend(orient="top", gradientLength=180, gradientThickness=10),
        )
    )
    names = base.mark_text().encode(
        text="symbol:N",
        color=alt.condition("datum.dark", alt.value("#FFFFFF"), alt.value("#1F2933")),
    )
    return alt.layer(tiles, names).properties(width=alt.Step(84), height=alt.Step(22))


PANEL = Panel(
    name="cluster_markers",
    title="Genes that set clusters apart",
    claim="Clusters have the genes of the cell types that they are named for",
    columns={
        "leiden": "text",
        "cell_type": "text",
        "rank": "number",
        "symbol": "text",
        "gene_id": "text",
        "log2_fold_change": "number",
        "score": "number",
    },
    collect=collect,
    chart=chart,
    tables=("atlas/markers.tsv", "tables/cells.parquet"),
    test="ranking score of each cluster against all other cells; descriptive, no p-value: the "
    "clusters come from the same counts",
    reproducibility="seeded",
    tolerance="shape 0.02",
)
