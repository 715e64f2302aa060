"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def car_cells(job: Job) -> None:
    """Write a patient's CAR-T cells: transgene, cell cycle, exhaustion."""
    from relapsescope.car_t.cells import call_patient

    call_patient(
        job.libraries(),
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
    )


def car_t(job: Job) -> None:
    """Write whether CAR-T cells persist, divide and are exhausted."""
    from relapsescope.car_t.tables import write_car_t

    write_car_t(
        job.params["rows"],
        car_paths=job.inputs["car_cells"],
        exhaustion_paths=job.inputs["exhaustion"],
        receptor_paths=job.inputs["receptors"],
        summary_paths=job.inputs["summaries"],
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
        reference_transgene=job.inputs.get("reference_transgene"),
    )
