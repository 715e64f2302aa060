"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from pathlib import Path

from relapsescope.provenance.job import Job


def clone_table(job: Job) -> None:
    """Write the table of one row a clone and timepoint."""
    from relapsescope.clones.patient_tables import join_clones
    from relapsescope.provenance.failures import failed_patients

    failed = failed_patients(Path(job.config["results"]))
    join_clones(job.inputs["clones"], job.outputs["clones"], failed=failed)


def clones(job: Job) -> None:
    """Write a patient's light chains, malignant cells, copy number and subclones."""
    from relapsescope.clones.patient_clones import call_clones

    call_clones(
        job.params["rows"],
        counts_paths=job.inputs["counts"],
        cells_paths=job.inputs["cells"],
        genes_paths=job.inputs["genes"],
        summary_paths=job.inputs["summaries"],
        panel_path=job.inputs["panel"],
        reference_panel=job.inputs.get("reference_panel"),
        outputs=job.outputs,
        settings=job.params["settings"],
        seed=job.params["seed"],
    )


def normal_plasma(job: Job) -> None:
    """Write the panel of normal plasma cells of healthy and untreated libraries."""
    from relapsescope.clones.normal_plasma import build_normal_plasma

    build_normal_plasma(
        job.params["rows"],
        counts_paths=job.inputs["counts"],
        cells_paths=job.inputs["cells"],
        genes_paths=job.inputs["genes"],
        summary_paths=job.inputs["summaries"],
        panel_path=job.outputs["panel"],
        summary_path=job.outputs["summary"],
        settings=job.params["settings"],
    )
