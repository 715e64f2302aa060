"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def cells(job: Job) -> None:
    """Write the table of one row a cell."""
    from relapsescope.cohort.cells import join_cells

    join_cells(
        job.params["rows"],
        cells_paths=job.inputs["cells"],
        embedding_path=job.inputs["embedding"],
        clone_paths=job.inputs["clones"],
        car_paths=job.inputs["car_cells"],
        state_paths=job.inputs["states"],
        output=job.outputs["cells"],
    )


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


def samples(job: Job) -> None:
    """Write the table of one row a library."""
    from relapsescope.cohort.cells import write_samples

    write_samples(job.inputs["summaries"], job.outputs["samples"])
