"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def programmes(job: Job) -> None:
    """Write what changed in the relapse clones since before CAR-T."""
    from relapsescope.programmes.tables import write_programmes

    write_programmes(
        job.params["rows"],
        pooled_paths=dict(zip(job.params["patients"], job.inputs["pooled"], strict=True)),
        clones_paths=job.inputs["clones"],
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
    )
