"""Gene sets whose genes moved together in the relapse clones."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, QUIET, ROW
from relapsescope.figures.verdicts import with_numbers
from relapsescope.figures.volcano import COHORT, why_none

MAX_COLUMNS = 12
# How rare a set's score is among random sets of its size.
RARE = ("under 1 %", "1 to 5 %", "over 5 %")
RARE_LIMITS = (0, 0.01, 0.05, 1.0)
SIZES = (230, 110, 40)
MOST_LOG2 = 1.0


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each set's score in each comparison, the test over patients first."""
    table, comparisons = evidence.programmes["enrichment"], evidence.programmes["comparisons"]
    if not table.empty:
        scored = table["status"] != "not_assessable"
        table = table[scored | (table["patients_ci_low"] != "")]
    if table.empty:
        raise NotAssessableError(why_none(comparisons))
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    frame = with_numbers(table, numbers)
    clone = frame["patient_id"] + " clone " + frame["clone_id"]
    frame["column"] = clone.where(frame["comparison"] == "patient", COHORT)
    order = {name: place for place, name in enumerate(dict.fromkeys(frame["gene_set"]))}
    frame = frame.assign(order=frame["gene_set"].map(order))
    frame = frame.sort_values(["comparison", "patient_id", "clone_id", "order"], kind="stable")
    kept = list(dict.fromkeys(frame["column"]))[:MAX_COLUMNS]
    frame = frame[frame["column"].isin(kept)]
    made = comparisons[comparisons["comparison"] == "patient"]
    cells = (
        pd.to_numeric(made["n_cells_relapse"]).sum() + pd.to_numeric(made["n_cells_before"]).sum()
    )
    patients = frame.loc[frame["comparison"] == "patient", "patient_id"].nunique()
    return PanelData(frame[list(PANEL.columns)].reset_index(drop=True), int(cells), patients)


def chart(frame: pd.DataFrame) -> alt.HConcatChart | alt.LayerChart:
    """Draw sets by comparisons; beside them the mean over patients with its interval."""
    together = frame[frame["patients_ci_low"].notna()]
    longest = together if len(together) else frame
    sets = list(dict.fromkeys([*longest["gene_set"], *frame["gene_set"]]))
    rows = frame.assign(
        set=frame["gene_set"].str.replace("_", " "),
        colour=frame["mean_log2_change"].clip(-MOST_LOG2, MOST_LOG2),
        rare=rarity(frame["random_set_share"]),
    )
    names = [name.replace("_", " ") for name in sets]
    # Both sides have every set, or a row of one would stand beside another's name.
    y = alt.Y("set:N", sort=names, title=None, scale=alt.Scale(domain=names))
    columns = list(dict.fromkeys(rows["column"]))
    dots = (
        alt.Chart(rows[rows["nes"].notna()])
        .mark_point(filled=True, opacity=1, stroke=INK, strokeWidth=0.6)
        .encode(
            y=y,
            x=alt.X(
                "column:N",
                sort=columns,
                title=None,
                axis=alt.Axis(orient="top", labelAngle=-35, ticks=False, domain=False),
            ),
            color=alt.Color(
                "colour:Q",
                title="mean log2 change",
                scale=alt.Scale(
                    scheme="purpleorange", domain=[-MOST_LOG2, MOST_LOG2], reverse=True
                ),
            ),
            size=alt.Size(
                "rare:N",
                title="random sets as far out",
                scale=alt.Scale(domain=list(RARE), range=list(SIZES)),
                legend=alt.Legend(symbolType="triangle-up", symbolFillColor="#8A9097"),
            ),
            shape=alt.Shape(
                "direction:N",
                title="ranked",
                scale=alt.Scale(domain=["up", "down"], range=["triangle-up", "triangle-down"]),
            ),
        )
        .transform_calculate(direction="datum.nes >= 0 ? 'up' : 'down'")
        .properties(width=alt.Step(46), height=alt.Step(ROW))
    )
    together = rows[rows["patients_ci_low"].notna()]
    if together.empty:
        return alt.layer(dots)
    return alt.hconcat(dots, _over_patients(together, y))


def rarity(shares: pd.Series) -> pd.Series:
    """Return in words how rare each set's score is among random sets; missing where none is."""
    return pd.cut(shares, RARE_LIMITS, labels=RARE, include_lowest=True).astype(object)


def _over_patients(rows: pd.DataFrame, y: alt.Y) -> alt.LayerChart:
    base = alt.Chart(rows)
    x = alt.X("mean_log2_change:Q", title="mean log2 change over patients")
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=QUIET, strokeDash=[2, 3])
    own = y.copy()
    own.axis = alt.Axis(labels=False, ticks=False, domain=False)
    return alt.layer(
        zero.encode(x="x:Q"),
        base.mark_rule(color=INK).encode(
            y=own, x=alt.X("patients_ci_low:Q"), x2="patients_ci_high:Q"
        ),
        base.mark_tick(color="#7B8794", thickness=2, height=ROW - 8).encode(
            y=own, x=alt.X("reference_mean_log2_change:Q")
        ),
        base.mark_point(filled=True, size=60, opacity=1, color=INK).encode(y=own, x=x),
    ).properties(width=190, height=alt.Step(ROW))


PANEL = Panel(
    name="enrichment",
    title="Gene programmes of the relapse clones",
    claim="Which programmes moved between the tumour before CAR-T and the relapse clone",
    columns={
        "comparison": "text",
        "patient_id": "text",
        "clone_id": "text",
        "column": "text",
        "gene_set": "text",
        "status": "text",
        "n_genes": "number",
        "nes": "number",
        "random_set_share": "number",
        "random_set_share_error": "number",
        "mean_log2_change": "number",
        "reference_mean_log2_change": "number",
        "patients_ci_low": "number",
        "patients_ci_high": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/enrichment.tsv", "tables/programme_comparisons.tsv"),
    split_rows="gene_set",
    split_columns="column",
    test="preranked enrichment against random gene sets (descriptive); over patients: Student's t",
    reproducibility="seeded",
    tolerance="0.05",
)
