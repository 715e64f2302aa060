"""On a patient's page: which cells came back, what they show, and what could still be targeted."""

from typing import Any

from markupsafe import Markup

from relapsescope.antigens.targets import CHANGED
from relapsescope.course.genetics import arm_agreement, words_of
from relapsescope.mechanisms.cited import Cited, Row, cited, joined, parse_cited
from relapsescope.report.context import PatientContext, Section
from relapsescope.report.sections.antigens import (
    reference_words,
    relapse_antigens,
    verdict_row,
    with_interval,
)
from relapsescope.report.sections.clones import IMMUNOGLOBULIN, RELATIONS, events_of, short_relation
from relapsescope.vocabulary import HIGH, INDETERMINATE, LOST, NOT_HIGH, antigen_name

CONTRASTS = {
    "pre_treatment_malignant": "all malignant cells before CAR-T",
    "normal_plasma_cells": "normal plasma cells of the library",
    "untreated_panel": "other patients' malignant cells",
}
ORIGINS = {
    "selected": ": selected, its cells were high already",
    "induced": ": induced, its own cells rose, unless a part of them that was high took over",
}
BESIDE = {"antigen_escape": "In serum", "car_t_non_persistence": "In the marrow"}
"""Where that was seen which stands beside a mechanism's evidence."""
NO_RELAPSE_CLONE = "no relapse clone was found in this patient, so nothing is said of its antigens"

# An interval of a share that reaches this near to both ends says nothing.
SHARE_FLOOR = 0.01


def build_clones(context: PatientContext) -> Section:
    """Return the relapse clone in a sentence, and every clone at every visit."""
    clones = context.rows("clones")
    summary = context.evidence.clone_summaries.get(context.patient_id, {})
    reasons = [*summary.get("reasons", []), summary.get("cnv_reason") or ""]
    if not summary:
        reasons = ["no library of this patient is in the sample sheet"]
    return Section(
        "Which cells came back",
        "clones",
        context.render(
            "patient_clones.html",
            relapse=[
                _relapse_clone(context, row) for row in clones if row.is_true("is_relapse_clone")
            ],
            rows=[_clone(context, row) for row in clones],
            genetics=_genetics(context, clones),
            reasons=list(dict.fromkeys(filter(None, reasons))),
        ),
    )


def _genetics(context: PatientContext, clones: list[Row]) -> list[Markup]:
    """Return what genetics found, and where it agrees with the relapse clone's arms."""
    rows = context.rows("genetics")
    if not rows:
        return []
    told = []
    for row in rows:
        words = Cited(words_of(row.values))
        if row["vaf_or_share"]:
            words += cited(", in {share} %", share=row.percent("vaf_or_share"))
        if row["day"]:
            words += cited(", day {day}", day=row.number("day"))
        told.append(words)
    lines = [Cited("Genetics: ") + joined(told, "; ") + "."]
    seen = [r for r in clones if r.is_true("is_relapse_clone") and r.is_true("cnv_evaluable")]
    if seen:
        both = arm_agreement([r.values for r in rows], seen[-1]["cnv_events"].split(";"))
        lines += [
            Cited(f"{lead}: {', '.join(arms)}.")
            for lead, arms in (
                ("The relapse clone's arms by expression agree with", both.agreeing),
                ("They do not agree with", both.conflicting),
            )
            if arms
        ]
    return [context.cite(line) for line in lines]


def build_antigens(context: PatientContext) -> Section:
    """Return the verdict on each antigen of the relapse clone, and ANXA1."""
    at_relapse = _antigens_at_relapse(context)
    anxa1 = [
        row
        for row in context.rows("anxa1")
        if row["timepoint"] == "relapse" and row["compartment"] == "relapse_clone"
    ]
    return Section(
        "What they show",
        "antigens",
        context.render(
            "patient_antigens.html",
            rows=[_antigen(context, row) for row in at_relapse],
            anxa1=[_anxa1(context, row) for row in anxa1],
            beside=[
                (
                    BESIDE.get(row["mechanism"], "Beside it"),
                    context.cite(parse_cited(row["beside"], row["beside_cells"])),
                )
                for row in context.rows("mechanisms")
                if row["beside"]
            ],
            nothing=NO_RELAPSE_CLONE,
        ),
    )


def build_targets(context: PatientContext) -> Section:
    """Return the agents against what the relapse clone still shows, unranked."""
    rows = context.rows("targets")
    return Section(
        "What could still be targeted",
        "targets",
        context.render(
            "patient_targets.html",
            rows=[
                {
                    "antigen": antigen_name(row["antigen"]),
                    "share": context.cite(row.percent("retaining_share") + " %")
                    if row["retaining_share"]
                    else "",
                    "agents": context.cite(row.word("agents")),
                    "off_tumour": context.cite(row.word("off_tumour")),
                    "prior": context.cite(row.word("prior_exposure"))
                    if row["prior_exposure"]
                    else "",
                }
                for row in rows
                if row["group"] == "shown" and not row["agents"].startswith("none listed")
            ],
            undecided=[
                antigen_name(row["antigen"])
                for row in rows
                if row["group"] == "undecided" and not row["note"].startswith(CHANGED)
            ],
            changed=[
                antigen_name(row["antigen"]) for row in rows if row["note"].startswith(CHANGED)
            ],
            gone=[
                antigen_name(row["antigen"]) for row in rows if row["group"] == "lost_or_reduced"
            ],
            nothing=NO_RELAPSE_CLONE,
            judged=bool(rows),
        ),
    )


def build_molecules(context: PatientContext) -> Section:
    """Return every antigen's rate, reference and reason, and ANXA1 by compartment."""
    molecular = context.evidence.molecular
    anxa1 = [row.values for row in context.rows("anxa1") if row["timepoint"] == "relapse"]
    return Section(
        "Antigens and ANXA1 in full",
        "molecules",
        context.render(
            "patient_molecules.html",
            rows=[verdict_row(row) for row in relapse_antigens(molecular, context.patient_id)],
            anxa1=[_compartment(dict(row)) for row in anxa1],
            nothing=NO_RELAPSE_CLONE,
        ),
    )


def _antigens_at_relapse(context: PatientContext) -> list[Row]:
    """Return the relapse clone's rows of `antigens.tsv` at relapse, the CAR's target first."""
    clones = [row for row in context.rows("clones") if row.is_true("is_relapse_clone")]
    places = {(row["clone_id"], row["sample_id"]) for row in clones}
    return [
        row for row in context.rows("antigens") if (row["clone_id"], row["sample_id"]) in places
    ]


def _relapse_clone(context: PatientContext, row: Row) -> dict[str, Any]:
    lead = cited(
        "At relapse {own} of {n} malignant plasma cells are of clone {clone}, {share} % (interval "
        "{interval} %)",
        clone=row.word("clone_id"),
        own=row.number("n_cells"),
        share=row.percent("fraction"),
        n=row.number("n_malignant"),
        interval=row.interval("fraction_ci_low", "fraction_ci_high", percent=True),
    )
    if row.value("n_identity_lost") > 0:
        lead += cited(
            "; {lost} of them no longer show a plasma cell's markers and were told by the clone's "
            "own immunoglobulin, arms and genes",
            lost=row.number("n_identity_lost"),
        )
    before = cited(
        "it made up {before} % of the malignant cells before CAR-T",
        before=row.percent("share_before"),
    )
    return {
        "lead": context.cite(lead),
        "relation": short_relation(row.values) or RELATIONS["not_assessable"],
        "before": context.cite(before) if row["share_before"] else "",
        "immunoglobulin": " ".join(filter(None, (row[name] for name in IMMUNOGLOBULIN))),
        "events": events_of(dict(row.values)),
        "reason": context.cite(row.word("reason")),
    }


def _clone(context: PatientContext, row: Row) -> dict[str, Any]:
    of = cited("{n} of {all}", n=row.number("n_cells"), all=row.number("n_malignant"))
    share = cited(
        "{share} % ({interval})",
        share=row.percent("fraction"),
        interval=row.interval("fraction_ci_low", "fraction_ci_high", percent=True),
    )
    return {
        "clone_id": row["clone_id"],
        "timepoint": row["timepoint"].replace("_", " "),
        "sample_id": row["sample_id"],
        "of": context.cite(of),
        "share": context.cite(share),
        "limit": context.cite(row.percent("detection_limit") + " %"),
        "fate": row["fate"],
        "immunoglobulin": " ".join(filter(None, (row[name] for name in IMMUNOGLOBULIN))),
        "events": events_of(dict(row.values)),
        "stable": context.cite(row.number("stability")),
    }


def _antigen(context: PatientContext, row: Row) -> dict[str, Any]:
    ratio = cited(
        "{ratio} ({interval})",
        ratio=row.number("ratio"),
        interval=row.interval("ratio_ci_low", "ratio_ci_high"),
    )
    return {
        "antigen": antigen_name(row["antigen"]),
        "is_target": row.is_true("is_car_target"),
        "verdict": row["verdict"].lower(),
        "ratio": context.cite(ratio) if row["ratio"] else "",
        "share": context.cite(retained_share(row)) if share_is_told(row) else "",
        "seen": context.cite(_seen(row)),
        "reference": reference_words(row["reference"], row["reference_source"]),
    }


def _seen(row: Row) -> Cited:
    """Return the molecules seen, and those expected where there is something to expect from."""
    told = cited("{umi} seen", umi=row.number("antigen_umi"))
    if row["expected_umi"]:
        told += cited(", {expected} expected", expected=row.number("expected_umi"))
    return told


def share_is_told(row: Row) -> bool:
    """Return whether the interval of the share leaves anything out: else its middle is a guess."""
    if not row["retaining_share"]:
        return False
    low, high = row.value("retaining_share_ci_low"), row.value("retaining_share_ci_high")
    return low > SHARE_FLOOR or high < 1 - SHARE_FLOOR


def retained_share(row: Row) -> Cited:
    """Return the share of a clone's cells that still shows an antigen, in words."""
    if row["verdict"] == LOST:
        return cited("at most {most} %", most=row.percent("retaining_share_ci_high"))
    return cited(
        "{share} % ({interval} %)",
        share=row.percent("retaining_share"),
        interval=row.interval("retaining_share_ci_low", "retaining_share_ci_high", percent=True),
    )


def _anxa1(context: PatientContext, row: Row) -> dict[str, Any]:
    words = {HIGH: "high", NOT_HIGH: "not high", INDETERMINATE: "undecided"}
    if not row["did_log2_ratio"]:
        return {"verdict": words.get(row["verdict"], row["verdict"]), "change": row["reason"]}
    change = cited(
        "{fold} (log2 change {change}, interval {interval}) beyond that of other cells, against "
        "{contrast}{past}",
        change=row.number("did_log2_ratio"),
        interval=row.interval("did_ci_low", "did_ci_high"),
        fold=row.fold("did_log2_ratio"),
        contrast=CONTRASTS.get(row["contrast"], row["contrast"].replace("_", " ")),
        past=_own_past(row),
    )
    return {"verdict": words.get(row["verdict"], row["verdict"]), "change": context.cite(change)}


def _own_past(row: Row) -> Cited | str:
    """Return a clone's ANXA1 against its own cells before CAR-T, and which story that tells."""
    if not row["own_past_log2_ratio"]:
        return ""
    return cited(
        "; against its own cells then {change} ({interval}){story}",
        change=row.number("own_past_log2_ratio"),
        interval=row.interval("own_past_ci_low", "own_past_ci_high"),
        story=ORIGINS.get(row["origin"], ""),
    )


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
