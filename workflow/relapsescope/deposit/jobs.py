"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def cellxgene(job: Job) -> None:
    """Write the cohort as one ``.h5ad``."""
    from relapsescope.deposit.objects import write_cohort

    write_cohort(
        job.inputs["counts"],
        cells_path=job.inputs["cells"],
        samples_path=job.inputs["samples"],
        latent_path=job.inputs["latent"],
        tables=job.inputs["tables"],
        output=job.outputs["h5ad"],
    )
