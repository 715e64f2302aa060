"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def atlas(job: Job) -> None:
    """Write the map of the immune cells of all patients."""
    from relapsescope.atlas.build import build_atlas

    build_atlas(
        counts_paths=job.inputs["counts"],
        cells_paths=job.inputs["cells"],
        genes_paths=job.inputs["genes"],
        summary_paths=job.inputs["summaries"],
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
    )
