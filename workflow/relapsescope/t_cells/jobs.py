"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def receptors(job: Job) -> None:
    """Write a patient's T cell receptors and clonotypes."""
    from relapsescope.t_cells.patient_receptors import call_patient_receptors

    call_patient_receptors(
        job.params["rows"],
        cells_paths=job.inputs["cells"],
        summary_paths=job.inputs["summaries"],
        outputs=job.outputs,
    )


def t_cell_states(job: Job) -> None:
    """Write a patient's T cell states."""
    from relapsescope.t_cells.patient_states import call_patient_states

    call_patient_states(
        job.libraries(),
        car_cells_path=job.inputs["car_cells"],
        output=job.outputs["states"],
        settings=job.params["settings"],
    )


def t_cells(job: Job) -> None:
    """Write the clonotypes, repertoires and states of T cells."""
    from relapsescope.t_cells.tables import write_t_cell_tables

    write_t_cell_tables(
        job.params["rows"],
        cells_path=job.inputs["cells"],
        receptor_paths=job.inputs["receptors"],
        summary_paths=job.inputs["summaries"],
        state_paths=job.inputs["states"],
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
    )
