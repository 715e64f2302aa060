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


def samples(job: Job) -> None:
    """Write the table of one row a library."""
    from relapsescope.cohort.cells import write_samples

    write_samples(job.inputs["summaries"], job.outputs["samples"])
