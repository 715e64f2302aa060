"""Copy number of every clone's cells along the genome, as far as expression shows it."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings

# Cells in the picture, evenly from the clones, and the least of a clone: an arm of a cell takes
# 200 bytes of SVG.
MAX_CELLS, MIN_CELLS = 300, 5
# Log-ratios nearer to nought than this are white anyway and are not drawn.
QUIET = 0.15
ARM_WIDTH, CELL_HEIGHT = 17, 2
LIMIT = 1.0
BLUE, WHITE, RED = "#0072B2", "#FFFFFF", "#A3220B"
ID_COLUMNS = ("patient_id", "sample_id", "barcode", "clone_id")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the arms of some cells of each clone, cells ordered by subclone, normal cells last."""
    cells = evidence.clonal.get("cell_arms", pd.DataFrame())
    if cells.empty:
        raise NotAssessableError(
            "copy number was not evaluable in any patient: see cnv_reason in clones.json"
        )
    cells = cells.assign(clone_id=cells["clone_id"].fillna("normal"))
    rng = np.random.default_rng(settings.seed)
    parts = []
    groups = cells.groupby(["patient_id", "clone_id"], sort=True)
    most = max(MIN_CELLS, MAX_CELLS // groups.ngroups)
    for _, group in groups:
        n = min(len(group), most)
        kept = group.iloc[np.sort(rng.choice(len(group), n, replace=False))]
        parts.append(kept.sort_values(["sample_id", "barcode"], kind="stable"))
    shown = pd.concat(parts, ignore_index=True)
    shown["row"] = np.arange(len(shown))
    arms = [name for name in shown.columns if name not in (*ID_COLUMNS, "row")]
    frame = shown.melt([*ID_COLUMNS, "row"], arms, "arm", "log2_ratio")
    frame = frame.dropna(subset=["log2_ratio"])
    frame = frame.reindex(columns=list(PANEL.columns)).reset_index(drop=True)
    return PanelData(frame, len(shown), int(shown["patient_id"].nunique()))


def arm_names(frame: pd.DataFrame) -> list[str]:
    """Return the arms in genome order."""
    return sorted(set(frame["arm"]), key=lambda arm: (int(arm[:-1]), arm[-1]))


def chart(frame: pd.DataFrame) -> alt.FacetChart:
    """Draw cells as rows and arms as columns, in the order of the genome, a block a clone."""
    arms = arm_names(frame)
    rows = frame.assign(
        shown=frame["log2_ratio"].clip(-LIMIT, LIMIT),
        block=frame["patient_id"] + " " + frame["clone_id"],
    )
    rows["place"] = rows["row"] - rows.groupby("block")["row"].transform("min")
    rows = rows[rows["shown"].abs() >= QUIET]
    return (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=alt.X(
                "arm:N",
                sort=arms,
                title="Chromosome arm",
                axis=alt.Axis(labelAngle=-90, orient="top", labelFontSize=9),
            ),
            y=alt.Y("place:O", title=None, axis=None),
            color=alt.Color(
                "shown:Q",
                title="log2 of expression against normal plasma cells",
                scale=alt.Scale(
                    domain=[-LIMIT, 0, LIMIT], range=[BLUE, WHITE, RED], interpolate="rgb"
                ),
                legend=alt.Legend(orient="bottom", gradientLength=200),
            ),
        )
        .properties(width=ARM_WIDTH * len(arms), height=alt.Step(CELL_HEIGHT))
        .facet(
            row=alt.Row(
                "block:N",
                title=None,
                header=alt.Header(labelAngle=0, labelAlign="left", labelFontSize=10),
            ),
            spacing=4,
        )
        .resolve_scale(y="independent")
    )


PANEL = Panel(
    name="copy_number",
    title="Copy number of plasma cells by chromosome arm",
    claim="Which chromosome arms each clone gained or lost, cell by cell",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "barcode": "text",
        "clone_id": "text",
        "row": "number",
        "arm": "text",
        "log2_ratio": "number",
    },
    collect=collect,
    chart=chart,
    unit="plasma cells",
    reproducibility="seeded",
    tolerance="0.02",
)
