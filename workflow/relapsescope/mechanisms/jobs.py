"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from pathlib import Path

from relapsescope.provenance.job import Job


def answers(job: Job) -> None:
    """Write the mechanisms of relapse, the answers in words, and the study's claims."""
    from relapsescope.mechanisms.tables import write_answers
    from relapsescope.provenance.failures import failed_patients

    write_answers(
        job.inputs,
        job.outputs,
        sheet=job.params["rows"],
        patients=job.params["patients"],
        settings=job.params["settings"],
        failed=failed_patients(Path(job.config["results"])),
    )
