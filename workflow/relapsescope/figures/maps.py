"""The map of the kept immune cells, coloured by what is known of them."""

from collections.abc import Callable

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import (
    LINEAGE_COLOURS,
    TIMEPOINT_COLOURS,
    cell_type_colours,
    colours_for,
)
from relapsescope.figures.panel import (
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.figures.theme import PLAIN_WORDS
from relapsescope.microenvironment.composition import cell_type_order
from relapsescope.vocabulary import LINEAGES, TIMEPOINTS

COLOURINGS = {
    "lineage": "Lineage",
    "cell_type": "Cell type",
    "leiden": "Cluster",
    "sample_id": "Library",
    "patient_id": "Patient",
    "timepoint": "Timepoint",
}
FIXED_COLOURS = {
    "lineage": LINEAGE_COLOURS,
    "cell_type": cell_type_colours(),
    "timepoint": TIMEPOINT_COLOURS,
}


def mapped_cells(evidence: Evidence) -> pd.DataFrame:
    """Return the cells that have a place on the map.

    Raises
    ------
    NotAssessableError
        When no cell has coordinates.
    """
    cells = evidence.cells
    mapped = cells.loc[cells["umap_1"].notna() & cells["umap_2"].notna()]
    if mapped.empty:
        raise NotAssessableError(
            "no cell has a place on the map: too few immune cells passed QC for an atlas"
        )
    return mapped


def stratified_sample(cells: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Return about `n` cells, of each library its share (at least 50), in a fixed random order.

    The random order keeps a library that comes last from covering the others.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(cells))
    if len(cells) > n:
        codes = cells["sample_id"].cat.codes.to_numpy()[order]
        sizes = np.bincount(codes[codes >= 0])
        quota = np.maximum(np.floor(sizes * n / len(cells)), 50)
        rank = pd.Series(codes).groupby(codes).cumcount().to_numpy()
        order = order[rank < quota[codes]]
    return cells.iloc[order]


def values_in_order(column: str, values: pd.Series, evidence: Evidence) -> list[str]:
    """Return the values that occur in the order in which legends show them."""
    present = set(values.dropna().astype(str))
    known = {
        "lineage": list(LINEAGES),
        "cell_type": cell_type_order(),
        "timepoint": list(TIMEPOINTS),
        "sample_id": evidence.sample_ids,
        "leiden": sorted(present, key=lambda v: (len(v), v)),
    }.get(column, sorted(present))
    return [v for v in known if v in present] + sorted(present - set(known))


def map_panel(column: str) -> Panel:
    """Return the panel that colours the map by `column` of the cells."""
    name = {"leiden": "cluster", "sample_id": "library", "patient_id": "patient"}.get(
        column, column
    )

    def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
        cells = stratified_sample(mapped_cells(evidence), settings.figure_map_points, settings.seed)
        order = values_in_order(column, cells[column], evidence)
        frame = pd.DataFrame(
            {
                "umap_1": cells["umap_1"].to_numpy(dtype=float).round(3),
                "umap_2": cells["umap_2"].to_numpy(dtype=float).round(3),
                "value": cells[column].astype(object).fillna("").to_numpy(),
            }
        )
        frame["place"] = frame["value"].map({v: i for i, v in enumerate(order)}).fillna(-1)
        return PanelData(frame, len(frame), evidence.n_patients(cells["sample_id"].unique()))

    return Panel(
        name=f"map_{name}",
        title=f"Map by {COLOURINGS[column].lower()}",
        claim=MAP_CLAIMS[column],
        columns={"umap_1": "number", "umap_2": "number", "value": "text", "place": "number"},
        collect=collect,
        chart=_scatter(column),
        reproducibility="seeded",
        tolerance="shape 0.02",
    )


def _scatter(column: str) -> Callable[[pd.DataFrame], alt.Chart]:
    def chart(frame: pd.DataFrame) -> alt.Chart:
        named = frame[frame["place"] >= 0].sort_values("place")
        order = list(dict.fromkeys(named["value"]))
        colours = colours_for(order, FIXED_COLOURS.get(column))
        rows = frame[["umap_1", "umap_2", "value"]]
        axis = alt.Axis(ticks=False, labels=False, grid=False, domain=False)
        size = 7 if len(frame) < 5000 else 4
        labels = {"labelExpr": PLAIN_WORDS} if column == "timepoint" else {}
        return (
            alt.Chart(rows)
            .mark_circle(size=size, opacity=0.8, aria=False)
            .encode(
                x=alt.X("umap_1:Q", title="UMAP 1", axis=axis, scale=alt.Scale(zero=False)),
                y=alt.Y("umap_2:Q", title="UMAP 2", axis=axis, scale=alt.Scale(zero=False)),
                color=alt.Color(
                    "value:N",
                    title=COLOURINGS[column],
                    sort=order,
                    scale=alt.Scale(domain=order, range=colours),
                    legend=alt.Legend(columns=1 + len(order) // 28, symbolType="circle", **labels),
                ),
            )
            .properties(width=420, height=420)
        )

    return chart


MAP_CLAIMS = {
    "lineage": "Cells of a lineage lie together",
    "cell_type": "Cell types are told apart within lineages",
    "leiden": "Clusters follow cell types rather than libraries",
    "sample_id": "Libraries mix where they share cell types",
    "patient_id": "Patients mix where they share cell types",
    "timepoint": "What each timepoint adds",
}
PANELS = tuple(map_panel(column) for column in COLOURINGS)
