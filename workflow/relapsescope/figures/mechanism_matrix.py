"""Why each relapsed patient's CAR-T cells did not kill: six verdicts a patient, with strength."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import INK, ROW
from relapsescope.figures.verdicts import with_numbers
from relapsescope.mechanisms.verdicts import read_rules
from relapsescope.tables import is_true
from relapsescope.vocabulary import NOT_ASSESSABLE, NOT_SUPPORTED, SUPPORTED

# Dark, pale and white: told apart in grey too.
FILLS = {SUPPORTED: "#A63B00", NOT_SUPPORTED: "#CFE0EC", NOT_ASSESSABLE: "#FFFFFF"}
WORDS = {
    SUPPORTED: "supported",
    NOT_SUPPORTED: "not supported",
    NOT_ASSESSABLE: "undecided (? with the probability it leans to) or not assessable (?)",
}
UNKNOWN_MARK = "?"
# The renderer's font has no star: drawn within a square of two units.
STAR = (
    "M0,-1L0.225,-0.309L0.951,-0.309L0.363,0.118L0.588,0.809L0,0.382"
    "L-0.588,0.809L-0.363,0.118L-0.951,-0.309L-0.225,-0.309Z"
)


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return verdict, strength and rank of each mechanism in each relapsed patient."""
    table = evidence.answers["mechanisms"]
    if table.empty:
        raise NotAssessableError("no patient of this cohort relapsed")
    frame = with_numbers(table[list(PANEL.columns)], ("strength", "leaning")).reset_index(drop=True)
    return PanelData(frame, 0, frame["patient_id"].nunique())


def chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw a field a patient and mechanism: the verdict its shade, the strength its number."""
    rules = read_rules()
    rows = frame.assign(
        title=[rules.title(name) for name in frame["mechanism"]],
        words=[WORDS[verdict] for verdict in frame["verdict"]],
        text=[_text(row) for row in frame.to_dict("records")],
    )
    x = alt.X(
        "title:N",
        sort=list(dict.fromkeys(rows["title"])),
        title=None,
        axis=alt.Axis(orient="top", labelAngle=-30, labelLimit=220),
    )
    y = alt.Y("patient_id:N", sort=list(dict.fromkeys(rows["patient_id"])), title=None)
    base = alt.Chart(rows).encode(x=x, y=y)
    colour = alt.Color(
        "words:N",
        title=None,
        scale=alt.Scale(domain=list(WORDS.values()), range=list(FILLS.values())),
        legend=alt.Legend(orient="bottom", symbolStrokeColor="#7B8794", symbolStrokeWidth=1),
    )
    ink = alt.condition(alt.datum["verdict"] == SUPPORTED, alt.value("white"), alt.value(INK))
    primary = alt.Chart(rows[is_true(rows["is_primary"])]).encode(x=x, y=y, color=ink)
    return alt.layer(
        base.mark_rect(stroke="#7B8794", strokeWidth=1).encode(color=colour),
        base.mark_text(fontSize=11, fontWeight="bold").encode(text="text:N", color=ink),
        primary.mark_point(shape=STAR, filled=True, size=70, opacity=1, xOffset=-24),
    ).properties(width=alt.Step(78), height=alt.Step(ROW + 6))


def _text(row: dict) -> str:
    if row["verdict"] == NOT_ASSESSABLE:
        return UNKNOWN_MARK if pd.isna(row["leaning"]) else f"{UNKNOWN_MARK} {row['leaning']:.2f}"
    return "" if pd.isna(row["strength"]) else f"{row['strength']:.2f}"


PANEL = Panel(
    name="mechanisms",
    title="Why the CAR-T cells did not kill",
    claim="Which mechanisms of relapse the evidence of each patient supports, and which stands out",
    columns={
        "patient_id": "text",
        "mechanism": "text",
        "verdict": "text",
        "strength": "number",
        "is_primary": "text",
        "state": "text",
        "leaning": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/mechanisms.tsv",),
    split_rows="patient_id",
    test="written rules (resources/mechanism_rules.yaml)",
    unit="",
    tolerance="0.05",
)
