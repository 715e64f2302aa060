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

UMAP = ("umap_1", "umap_2")
SIDE = 420
NAMED = ("lineage", "cell_type", "leiden")
"""Colourings whose groups lie together, so that the map names them."""
LEAST_NAMED = 0.004
"""Share of the cells drawn from which a group is named on the map."""
LEAST_COVERED = 0.03
"""Share from which a group is so large that its name may stand on it."""
LETTER, LINE = 5.8, 13
"""Mean width of a letter and height of a line of names, in chart units."""
SQUARE = 1.0
STEPS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (1, 1), (1, -1), (-1, 1))
"""Where a name is tried: half its width to the right and lines up, the first without another."""
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
        tables=("tables/cells.parquet",),
        reproducibility="seeded",
        tolerance="shape 0.02",
    )


def _scatter(column: str) -> Callable[[pd.DataFrame], alt.LayerChart]:
    def chart(frame: pd.DataFrame) -> alt.LayerChart:
        named = frame[frame["place"] >= 0].sort_values("place")
        order = list(dict.fromkeys(named["value"]))
        colours = colours_for(order, FIXED_COLOURS.get(column))
        rows = frame[["umap_1", "umap_2", "value"]]
        x_scale, y_scale = (alt.Scale(domain=_range(rows[name]), nice=False) for name in UMAP)
        axis = alt.Axis(ticks=False, labels=False, grid=False, domain=False)
        size = 7 if len(frame) < 5000 else 4
        labels = {"labelExpr": PLAIN_WORDS} if column == "timepoint" else {}
        points = (
            alt.Chart(rows)
            .mark_circle(size=size, opacity=1, aria=False)
            .encode(
                x=alt.X("umap_1:Q", title="UMAP 1", axis=axis, scale=x_scale),
                y=alt.Y("umap_2:Q", title="UMAP 2", axis=axis, scale=y_scale),
                color=alt.Color(
                    "value:N",
                    title=COLOURINGS[column],
                    sort=order,
                    scale=alt.Scale(domain=order, range=colours),
                    legend=alt.Legend(columns=1 + len(order) // 28, symbolType="circle", **labels),
                ),
            )
        )
        names = alt.Chart(map_names(rows) if column in NAMED else rows[:0].assign(words=""))
        place = {"x": alt.X("umap_1:Q", scale=x_scale), "y": alt.Y("umap_2:Q", scale=y_scale)}
        halo = names.mark_text(stroke="white", strokeWidth=3, strokeJoin="round")
        words = [mark.encode(**place, text="words:N") for mark in (halo, names.mark_text())]
        return alt.layer(points, *words).properties(width=SIDE, height=SIDE)

    return chart


def map_names(rows: pd.DataFrame) -> pd.DataFrame:
    """Return where the names of groups stand on the map: `umap_1`, `umap_2`, `words`.

    A name stands at the median of its group's densest part, or above, below or beside it where
    another name is; the largest groups come first, and one without room is named by the legend
    alone.

    Parameters
    ----------
    rows
        Columns `umap_1`, `umap_2` and `value` (the group), one row a cell.
    """
    (left, right), (low, high) = (_range(rows[name]) for name in UMAP)
    unit_x, unit_y = (right - left) / SIDE, (high - low) / SIDE
    taken: list[tuple[float, float, float]] = []
    found = []
    for name, n in rows.loc[rows["value"] != "", "value"].value_counts().items():
        if n < LEAST_NAMED * len(rows):
            continue
        x, y = _densest(rows.loc[rows["value"] == name, list(UMAP)].to_numpy())
        half = LETTER * len(name) / 2
        for right_by, up_by in STEPS if n >= LEAST_COVERED * len(rows) else STEPS[1:]:
            at = (x / unit_x + right_by * (half + 10), y / unit_y + up_by * LINE)
            at_edge = min(max(at[0], left / unit_x + half), right / unit_x - half)
            if all(
                abs(at_edge - a) > half + other or abs(at[1] - b) > LINE for a, b, other in taken
            ):
                taken.append((at_edge, at[1], half))
                found.append((at_edge * unit_x, at[1] * unit_y, name))
                break
    return pd.DataFrame(found, columns=[*UMAP, "words"])


def _densest(points: np.ndarray) -> tuple[float, float]:
    """Return the median of the points in and around the fullest square of a coarse grid."""
    squares = np.floor(points / SQUARE).astype(int)
    values, counts = np.unique(squares, axis=0, return_counts=True)
    near = (np.abs(squares - values[counts.argmax()]) <= 1).all(axis=1)
    x, y = np.median(points[near], axis=0)
    return float(x), float(y)


def _range(values: pd.Series) -> list[float]:
    """Return both ends of a map's axis: all cells with a margin for their size."""
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low) or 1.0
    return [low - margin, high + margin]


MAP_CLAIMS = {
    "lineage": "Cells of a lineage lie together",
    "cell_type": "Cell types are told apart within lineages",
    "leiden": "Clusters follow cell types rather than libraries",
    "sample_id": "Libraries mix where they share cell types",
    "patient_id": "Patients mix where they share cell types",
    "timepoint": "What each timepoint adds",
}
PANELS = tuple(map_panel(column) for column in COLOURINGS)
