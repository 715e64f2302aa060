"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def antigens(job: Job) -> None:
    """Write what each clone shows: antigens, ANXA1, targets."""
    from relapsescope.antigens.tables import write_molecular_tables

    write_molecular_tables(
        molecules_paths=job.inputs["molecules"],
        counted_cells_paths=job.inputs["counted_cells"],
        pooled_paths=job.inputs["pooled"],
        clones_paths=job.inputs["clones"],
        course_path=job.inputs["course"],
        genetics_path=job.inputs["genetics"],
        reference_molecules=job.inputs.get("reference_molecules"),
        reference_pooled=job.inputs.get("reference_pooled"),
        reference_terms=job.params["reference"],
        outputs=job.outputs,
        settings=job.params["settings"],
    )


def molecules(job: Job) -> None:
    """Write a patient's molecules of antigens and ANXA1 in every group of cells."""
    from relapsescope.antigens.tallies import tally_molecules

    tally_molecules(
        job.libraries(),
        clone_cells_path=job.inputs.get("clone_cells"),
        outputs=job.outputs,
        settings=job.params["settings"],
    )
