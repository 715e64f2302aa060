"""On the cohort's page: why the cells were not killed, by which rules, and the study's claims."""

from relapsescope.report.context import Context, Section
from relapsescope.report.sections.patient_methods import rules_html

UNRESOLVED = "unresolved"
"""How `claims.citation` begins until it is set; the section stays folded."""
CLAIM_VERDICTS = {
    "reproduced": "✓",
    "not reproduced": "✕",
    "not assessable": "?",
    "not decided here": "?",
    "not computable": "–",
}


def build(context: Context) -> Section:
    """Return verdicts by patient and mechanism, and the rules behind them."""
    return Section(
        "Mechanisms of relapse",
        "mechanisms",
        context.render(
            "mechanisms.html", panel=context.panel("mechanisms"), rules=rules_html(context)
        ),
    )


def build_claims(context: Context) -> Section:
    """Return the eight claims of the relapse study with what this cohort says of each."""
    table = context.evidence.answers["claims"]
    rows = [
        row | {"mark": CLAIM_VERDICTS.get(row["verdict"], "")} for row in table.to_dict("records")
    ]
    citation = rows[0]["citation"] if rows else ""
    return Section(
        "Claims of the relapse study",
        "claims",
        context.render(
            "claims.html",
            rows=[row for row in rows if not row["published"]],
            others=[row for row in rows if row["published"]],
            citation=citation,
        ),
        collapsed=not citation or citation.startswith(UNRESOLVED),
    )
