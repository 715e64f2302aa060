"""On a patient's page: which cells came back, what they show, and what could still be targeted."""

from relapsescope.report.context import PatientContext, Section
from relapsescope.report.sections.antigens import (
    number,
    relapse_antigens,
    verdict_row,
    with_interval,
)
from relapsescope.report.sections.clones import (
    IMMUNOGLOBULIN,
    RELATIONS,
    events_of,
    of_patient,
    percent,
    relapse_rows,
    share_interval,
)


def build_clones(context: PatientContext) -> Section:
    """Return the relapse clone in a sentence, and every clone at every visit."""
    evidence = context.evidence
    clones = of_patient(evidence.clonal["clones"], context.patient_id)
    summary = evidence.clone_summaries.get(context.patient_id, {})
    reasons = [*summary.get("reasons", []), summary.get("cnv_reason") or ""]
    if not summary:
        reasons = ["no library of this patient is in the sample sheet"]
    return Section(
        "Which cells came back",
        "clones",
        context.render(
            "patient_clones.html",
            relapse=[_clone(row) for row in relapse_rows(clones).to_dict("records")],
            rows=[_clone(row) for row in clones.to_dict("records")],
            reasons=list(dict.fromkeys(filter(None, reasons))),
        ),
    )


def build_antigens(context: PatientContext) -> Section:
    """Return the relapse clone's antigens with agents, and ANXA1 by compartment at relapse."""
    molecular = context.evidence.molecular
    anxa1 = of_patient(molecular["anxa1"], context.patient_id)
    at_relapse = anxa1 if anxa1.empty else anxa1[anxa1["timepoint"] == "relapse"]
    rows = relapse_antigens(molecular, context.patient_id)
    return Section(
        "What they show, and what could still be targeted",
        "antigens",
        context.render(
            "patient_antigens.html",
            rows=[verdict_row(row) for row in rows],
            anxa1=[_compartment(row) for row in at_relapse.to_dict("records")],
        ),
    )


def _clone(row: dict[str, str]) -> dict[str, str]:
    return row | {
        "timepoint": row["timepoint"].replace("_", " "),
        "share": percent(row["fraction"]),
        "interval": share_interval(row),
        "of": f"{row['n_cells']} of {row['n_malignant']}",
        "immunoglobulin": " ".join(filter(None, (row[name] for name in IMMUNOGLOBULIN))),
        "events": events_of(row),
        "relation_words": RELATIONS.get(row["relation"], ""),
        "before": percent(row["share_before"]),
        "limit": percent(row["detection_limit"]),
        "stable": number(row["stability"]),
    }


def _compartment(row: dict[str, str]) -> dict[str, str]:
    change = ("did_log2_ratio", "did_ci_low", "did_ci_high")
    return row | {
        "compartment": row["compartment"].replace("_", " "),
        "verdict": row["verdict"].lower().replace("_", " "),
        "rate": with_interval(row["rate_cpm"], row["rate_ci_low"], row["rate_ci_high"]),
        "change": with_interval(*(row[name] for name in change)),
        "beside": "; ".join(filter(None, (row["coexpression"], _cycling(row)))),
    }


def _cycling(row: dict[str, str]) -> str:
    """Return the rate in cycling over resting cells in words: an association, no cause."""
    names = ("cycling_ratio", "cycling_ratio_ci_low", "cycling_ratio_ci_high")
    ratio = with_interval(*(row[name] for name in names))
    return f"rate in cycling over resting cells {ratio}, an association" if ratio else ""
