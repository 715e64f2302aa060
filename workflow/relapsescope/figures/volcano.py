"""Genes that changed in the relapse clones: how much, and how surely."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import QUIET

COHORT = "all patients"
# Comparisons drawn, the test over patients first; the table has the others.
MAX_COMPARISONS = 6
# Genes drawn that neither changed nor stand out, a draw by comparison; the table has them all.
MAX_UNCHANGED = 150
# Of those that stand out and are not called, the furthest.
MAX_OUTSTANDING = 100
OUTSTANDING = 2.0
MAX_LABELS = 8
# Axes end here, with room for the labels; points beyond are drawn at the edge.
MOST_LOG2 = 8.0
MOST_SHOWN = 12.0
MOST_NAMED_BEYOND = 2
# Names of genes near an edge run away from it.
SIDES = (
    ("datum.log2_change < -6", "left", -4),
    ("abs(datum.log2_change) <= 6", "center", 0),
    ("datum.log2_change > 6", "right", 4),
)
COLOURS = {"up": "#C34E00", "down": "#0072B2", "neither": "#8A9097"}
SHAPES = {"up": "triangle-up", "down": "triangle-down", "neither": "circle"}


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the changes of the genes compared, in up to `MAX_COMPARISONS` comparisons."""
    comparisons = evidence.programmes["comparisons"]
    genes = evidence.programmes["genes"]
    if comparisons.empty or genes.empty:
        raise NotAssessableError(why_none(comparisons))
    made = comparisons[comparisons["status"] != "not_assessable"]
    made = made.sort_values("comparison", kind="stable").head(MAX_COMPARISONS)
    parts = []
    for row in made.to_dict("records"):
        keys = ("comparison", "patient_id", "clone_id")
        own = genes[(genes[list(keys)] == [row[key] for key in keys]).all(axis=1)]
        parts.append(_drawn(own, settings.seed).assign(panel=_label(row)))
    frame = pd.concat(parts, ignore_index=True)
    alone = made[made["comparison"] == "patient"]
    cells = pd.to_numeric(alone["n_cells_relapse"]) + pd.to_numeric(alone["n_cells_before"])
    return PanelData(frame[list(PANEL.columns)], int(cells.sum()), alone["patient_id"].nunique())


def why_none(comparisons: pd.DataFrame) -> str:
    """Return why no comparison was made, in words of the table."""
    if comparisons.empty:
        return "no patient has a marrow at relapse"
    reasons = comparisons.loc[comparisons["comparison"] == "patient", "reason"]
    return "; ".join(dict.fromkeys(reasons)) or "no patient has a marrow at relapse"


def _label(row: dict[str, str]) -> str:
    if row["comparison"] == "cohort":
        return COHORT
    return f"{row['patient_id']} clone {row['clone_id']}"


def _drawn(own: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return one comparison's points: genes called, the furthest others, a draw of the rest."""
    tested = own["p_value"].notna().any()
    smallest = np.finfo(float).tiny
    shown = -np.log10(own["p_value"].clip(lower=smallest)) if tested else own["score"].abs()
    log2 = own["log2_fold_change"] if tested else own["did_log2_fold_change"]
    frame = own.assign(log2_change=log2, shown=shown)
    frame = frame[frame["log2_change"].notna() & frame["shown"].notna()]
    frame["change"] = frame["change"].replace("", "neither")  # set aside from the test
    neither = frame[frame["change"] == "neither"]
    far = neither[neither["shown"] >= OUTSTANDING].nlargest(MAX_OUTSTANDING, "shown")
    rest = neither[neither["shown"] < OUTSTANDING]
    if len(rest) > MAX_UNCHANGED:
        rest = rest.sample(MAX_UNCHANGED, random_state=seed)
    called = frame[frame["change"] != "neither"]
    frame = pd.concat([called, far, rest]).sort_values("gene", kind="stable")
    frame["label"] = np.where(frame.index.isin(_labelled(frame)), frame["gene"], "")
    return frame


def _labelled(frame: pd.DataFrame) -> list:
    """Return the rows to be named: the surest changes that leave room for each other's names."""
    chosen: list = []
    changed = frame[frame["change"] != "neither"].sort_values("shown", ascending=False)
    for row in changed.index:
        x, y = _place(frame.loc[row])
        apart = [
            abs(x - a) > 2.2 or abs(y - b) > 0.8 for a, b in (_place(frame.loc[c]) for c in chosen)
        ]
        if all(apart):
            chosen.append(row)
        if len(chosen) == MAX_LABELS:
            break
    return chosen


def _place(row: pd.Series) -> tuple[float, float]:
    x = float(np.clip(row["log2_change"], -MOST_LOG2, MOST_LOG2))
    return x, float(min(row["shown"], MOST_SHOWN))


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw one block a comparison; the height is surer, and says of what."""
    blocks = [_block(frame[frame["panel"] == name], name) for name in dict.fromkeys(frame["panel"])]
    return alt.concat(*blocks, columns=2)


def _beyond(frame: pd.DataFrame) -> list[str]:
    """Return a line that names the genes drawn at an edge, with their values; none without."""
    out = frame[(frame["log2_change"].abs() > MOST_LOG2) | (frame["shown"] > MOST_SHOWN)]
    out = out.sort_values("shown", ascending=False)
    words = [
        f"{row['gene']} ({row['log2_change']:.1f}; {row['shown']:.1f})".replace("-", "\u2212")
        for row in out.head(MOST_NAMED_BEYOND).to_dict("records")
    ]
    more = len(out) - len(words)
    return (
        [f"at the edge: {', '.join(words)}" + (f" and {more} more" if more else "")]
        if words
        else []
    )


def _block(frame: pd.DataFrame, name: str) -> alt.LayerChart:
    rows = frame.assign(
        log2_change=frame["log2_change"].clip(-MOST_LOG2, MOST_LOG2),
        shown=frame["shown"].clip(upper=MOST_SHOWN),
    )
    tested = name == COHORT
    title = "−log10 p, PyDESeq2" if tested else "change over its error (no test)"
    domain = list(COLOURS)
    x = alt.X(
        "log2_change:Q",
        title=[f"{name}: log2 change, relapse over before", *_beyond(frame)],
        scale=alt.Scale(domain=[-MOST_LOG2 - 1, MOST_LOG2 + 1], nice=False),
        axis=alt.Axis(tickCount=9, grid=False),
    )
    y = alt.Y("shown:Q", title=title, scale=alt.Scale(domain=[0, MOST_SHOWN + 1], nice=False))
    base = alt.Chart(rows)
    points = base.mark_point(filled=True, opacity=1, size=26).encode(
        x=x,
        y=y,
        color=alt.Color(
            "change:N",
            title=None,
            scale=alt.Scale(domain=domain, range=[COLOURS[c] for c in domain]),
            legend=alt.Legend(orient="top", symbolType="circle"),
        ),
        shape=alt.Shape(
            "change:N", scale=alt.Scale(domain=domain, range=[SHAPES[c] for c in domain])
        ),
    )
    names = [
        base.transform_filter(f"datum.label != '' && {where}")
        .mark_text(dy=-8, fontSize=10, fontStyle="italic", align=align, dx=dx)
        .encode(x=x, y=y, text="label:N")
        for where, align, dx in SIDES
    ]
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=QUIET, strokeDash=[2, 3])
    return alt.layer(zero.encode(x="x:Q"), points, *names).properties(width=300, height=240)


PANEL = Panel(
    name="volcano",
    title="Genes that changed in the relapse clones",
    claim="Which genes the relapse clone shows more or less of than the tumour before CAR-T",
    columns={
        "panel": "text",
        "comparison": "text",
        "patient_id": "text",
        "clone_id": "text",
        "gene": "text",
        "log2_change": "number",
        "ci_low": "number",
        "ci_high": "number",
        "shown": "number",
        "change": "text",
        "label": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/programmes.tsv", "tables/programme_comparisons.tsv"),
    split_rows="panel",
    test="one patient: none (descriptive; interval beyond 1.5-fold); all patients: paired PyDESeq2",
    reproducibility="seeded",
    tolerance="0.05",
)
