"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def answers(job: Job) -> None:
    """Write the mechanisms of relapse, the answers in words, and the study's claims."""
    from relapsescope.mechanisms.tables import write_answers

    write_answers(
        job.inputs,
        job.outputs,
        sheet=job.params["rows"],
        patients=job.params["patients"],
        settings=job.params["settings"],
    )
