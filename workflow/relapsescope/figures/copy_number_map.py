"""Copy number of every clone's cells along the genome, as far as expression shows it."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.intake.genes import gene_table

# Cells in the picture, evenly from the clones, and the least of a clone: an arm of a cell takes
# 200 bytes of SVG.
MAX_CELLS, MIN_CELLS = 300, 5
# Log-ratios nearer to nought than this are white anyway and are not drawn.
QUIET = 0.15
WIDTH, CELL_HEIGHT = 680, 2
# Rows between two blocks, and above the first one for the ideogram.
GAP, HEAD = 4, 18
LIMIT = 1.0
BLUE, WHITE, RED = "#0072B2", "#FFFFFF", "#A3220B"
BACK = "#FAFAFA"
ID_COLUMNS = ("patient_id", "sample_id", "barcode", "clone_id")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the arms of some cells of each clone, cells ordered by subclone, normal cells last."""
    cells = evidence.clonal.get("cell_arms", pd.DataFrame())
    if cells.empty:
        raise NotAssessableError(
            "copy number was not evaluable in any patient; the table of clones says why"
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
    spans = arm_spans()
    frame = frame[frame["arm"].isin(list(spans))]
    frame["start_mb"] = frame["arm"].map({arm: span[0] for arm, span in spans.items()})
    frame["end_mb"] = frame["arm"].map({arm: span[1] for arm, span in spans.items()})
    frame = frame.reindex(columns=list(PANEL.columns)).reset_index(drop=True)
    return PanelData(frame, len(shown), int(shown["patient_id"].nunique()))


def arm_spans() -> dict[str, tuple[float, float]]:
    """Return each autosomal arm's start and end in Mb along the whole genome.

    An arm ends where its last gene starts (`resources/genes.tsv`), a long arm where the short one
    ends; arms without a gene (13p) are left out and leave their place empty.
    """
    table = gene_table()
    autosomal = np.array([bool(arm) and arm[0] not in "XY" for arm in table.arms])
    starts = pd.Series(table.starts[autosomal] / 1e6).groupby(table.arms[autosomal])
    first, last = starts.min(), starts.max()
    spans, offset = {}, 0.0
    for chromosome in range(1, 23):
        short, long = f"{chromosome}p", f"{chromosome}q"
        middle = last[short] if short in last else first[long]
        if short in last:
            spans[short] = (offset, offset + float(middle))
        spans[long] = (offset + float(middle), offset + float(last[long]))
        offset += float(last[long])
    return spans


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw cells as rows along the genome, a block a clone, under an ideogram of the arms."""
    rows = frame.assign(
        shown=frame["log2_ratio"].clip(-LIMIT, LIMIT),
        block=frame["patient_id"] + " " + frame["clone_id"],
        row=frame["row"].rank(method="dense") - 1,
    )
    blocks = {name: i for i, name in enumerate(dict.fromkeys(rows["block"]))}
    rows["top"] = rows["row"] + GAP * rows["block"].map(blocks)
    rows["bottom"] = rows["top"] + 1
    bounds = rows.groupby("block", sort=False).agg(top=("top", "min"), bottom=("bottom", "max"))
    end = float(bounds["bottom"].max())
    spans = pd.DataFrame(
        [(arm, *span, arm[-1]) for arm, span in arm_spans().items()],
        columns=["arm", "start_mb", "end_mb", "half"],
    )
    spans["chromosome"] = spans["arm"].str[:-1]
    genome = float(spans["end_mb"].max())
    x = alt.X("start_mb:Q", title=None, axis=None, scale=alt.Scale(domain=[0, genome], nice=False))
    y_scale = alt.Scale(domain=[-HEAD, end], reverse=True, nice=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=None, axis=None, scale=y_scale)

    ideogram = spans.assign(top=-HEAD * 0.35, bottom=-HEAD * 0.1)
    chromosomes = spans.groupby("chromosome", as_index=False, sort=False).agg(
        start_mb=("start_mb", "min"), end_mb=("end_mb", "max")
    )
    lines = chromosomes.assign(top=0.0, bottom=end)
    names = chromosomes.assign(
        start_mb=(chromosomes["start_mb"] + chromosomes["end_mb"]) / 2, top=-HEAD * 0.65
    )
    labels = bounds.assign(middle=bounds.mean(axis=1), label=bounds.index, start_mb=0.0)
    backs = bounds.assign(start_mb=0.0, end_mb=genome)
    layers = [
        alt.Chart(backs).mark_rect(color=BACK).encode(x=x, x2="end_mb", y=y("top"), y2="bottom"),
        alt.Chart(rows[rows["shown"].abs() >= QUIET])
        .mark_rect()
        .encode(
            x=x,
            x2="end_mb",
            y=y("top"),
            y2="bottom",
            color=alt.Color(
                "shown:Q",
                title="log2 of expression against normal plasma cells",
                scale=alt.Scale(
                    domain=[-LIMIT, 0, LIMIT], range=[BLUE, WHITE, RED], interpolate="rgb"
                ),
                legend=alt.Legend(orient="bottom", gradientLength=200),
            ),
        ),
        alt.Chart(lines)
        .mark_rule(color="#9A9A9A", strokeWidth=0.5)
        .encode(x=x, y=y("top"), y2="bottom"),
        alt.Chart(ideogram)
        .mark_rect(stroke="#555555", strokeWidth=0.6)
        .encode(
            x=x,
            x2="end_mb",
            y=y("top"),
            y2="bottom",
            fill=alt.Fill(
                "half:N",
                title="Arm",
                scale=alt.Scale(domain=["p", "q"], range=["#E6E6E6", "#8F8F8F"]),
                legend=alt.Legend(orient="bottom", symbolType="square"),
            ),
        ),
        alt.Chart(names).mark_text(fontSize=9.5).encode(x=x, y=y("top"), text="chromosome:N"),
        alt.Chart(labels)
        .mark_text(align="right", dx=-6, fontSize=10)
        .encode(x=x, y=y("middle"), text="label:N"),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=CELL_HEIGHT * (end + HEAD))


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
        "start_mb": "number",
        "end_mb": "number",
        "log2_ratio": "number",
    },
    collect=collect,
    chart=chart,
    tables=("patients/*/cell_arms.parquet",),
    split_rows="patient_id",
    unit="plasma cells",
    reproducibility="seeded",
    tolerance="0.02",
)
