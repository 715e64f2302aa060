"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def place(job: Job) -> None:
    """Write where immune cells lie on the reference, and what it does not know."""
    from relapsescope.reference.placed_libraries import place_libraries

    place_libraries(
        job.params["rows"],
        reference=job.params["reference"],
        counts_paths=job.inputs["counts"],
        cells_paths=job.inputs["cells"],
        genes_paths=job.inputs["genes"],
        summary_paths=job.inputs["summaries"],
        outputs=job.outputs,
        settings=job.params["settings"],
    )
