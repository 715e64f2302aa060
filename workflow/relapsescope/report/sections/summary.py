"""The first thing a reader sees: a row a patient with the answer, and what it rests on."""

from relapsescope.mechanisms.verdicts import read_rules
from relapsescope.report.context import Context, Section
from relapsescope.report.sections.relapses import patient_rows
from relapsescope.vocabulary import VERDICTS


def build(context: Context) -> Section:
    """Return the table of patients, one sentence and the numbers behind it."""
    evidence = context.evidence
    verdicts = list(evidence.verdicts.values())
    n_kept = int(evidence.cells["qc_pass"].sum())
    n_barcodes = len(evidence.cells)
    patients = evidence.cells[["patient_id", "timepoint"]].drop_duplicates()
    healthy = patients.loc[patients["timepoint"] == "healthy", "patient_id"].nunique()
    n_people = patients["patient_id"].nunique()
    failed = [name for name, verdict in evidence.verdicts.items() if verdict == "fail"]
    return Section(
        "Summary",
        "summary",
        context.render(
            "summary.html",
            n_libraries=len(verdicts),
            n_patients=n_people - healthy,
            n_healthy=healthy,
            by_verdict={name: verdicts.count(name) for name in VERDICTS},
            failed=failed,
            n_barcodes=n_barcodes,
            n_kept=n_kept,
            share=n_kept / n_barcodes if n_barcodes else 0.0,
            n_mapped=int(evidence.cells["umap_1"].notna().sum()),
            n_clusters=int(evidence.cells["leiden"].nunique()),
            rows=patient_rows(context),
            titles={name: rule["title"] for name, rule in read_rules().mechanisms.items()},
        ),
    )
