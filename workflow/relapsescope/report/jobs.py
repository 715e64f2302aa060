"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from pathlib import Path

from relapsescope.provenance.job import Job


def page(job: Job) -> None:
    """Write the page of the cohort and one a patient."""
    from relapsescope.provenance.record import file_hash, git_commit, recorded, versions
    from relapsescope.report.page import build_report

    results = Path(job.outputs["page"]).parents[1]
    # The sheet may have got new rows since the run read it.
    sheet = recorded(results / "run_manifest.json", "sheet_sha256")
    build_report(
        results,
        Path(job.outputs["page"]),
        config=job.params["config"],
        versions=versions(),
        sheet=job.params["rows"],
        patients=job.params["patients"],
        commit=git_commit(),
        sheet_sha256=sheet or file_hash(Path(job.params["config"]["samples"])) or "",
    )
