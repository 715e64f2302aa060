"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from relapsescope.provenance.job import Job


def composition_shifts(job: Job) -> None:
    """Write how the composition shifted at relapse."""
    from relapsescope.microenvironment.tables import write_composition_shifts

    write_composition_shifts(
        job.params["rows"],
        microenvironment_path=job.inputs["microenvironment"],
        output=job.outputs["composition_shifts"],
        settings=job.params["settings"],
    )


def interactions(job: Job) -> None:
    """Write the ligands and receptors of each sample."""
    from relapsescope.microenvironment.tables import write_interactions

    write_interactions(
        job.params["rows"],
        pair_paths=job.inputs["pairs"],
        clones_path=job.inputs["clones"],
        suppression_path=job.inputs["suppression"],
        output=job.outputs["interactions"],
    )


def ligand_receptor(job: Job) -> None:
    """Write a patient's ligands and receptors."""
    from relapsescope.microenvironment.interactions import patient_interactions
    from relapsescope.microenvironment.settings import InteractionSettings
    from relapsescope.settings import settings_of
    from relapsescope.statistics.settings import RateSettings

    patient_interactions(
        job.libraries(),
        clone_cells_path=job.inputs.get("clone_cells"),
        car_cells_path=job.inputs["car_cells"],
        output=job.outputs["interactions"],
        settings=settings_of(InteractionSettings, job.params["settings"], name="interactions"),
        rates=settings_of(RateSettings, job.params["rates"], name="antigens"),
    )


def microenvironment(job: Job) -> None:
    """Write the composition of each sample."""
    from relapsescope.microenvironment.tables import write_microenvironment

    write_microenvironment(
        job.params["rows"],
        cells_path=job.inputs["cells"],
        output=job.outputs["microenvironment"],
        settings=job.params["settings"],
    )


def niche(job: Job) -> None:
    """Write a patient's suppressive programmes."""
    from relapsescope.microenvironment.tallies import tally_niche

    tally_niche(
        job.libraries(),
        car_cells_path=job.inputs["car_cells"],
        output=job.outputs["niche"],
        matched_umi=job.params["matched_umi"],
    )


def suppression(job: Job) -> None:
    """Write what rose beyond earlier and untreated marrows."""
    from relapsescope.microenvironment.tables import write_suppression

    write_suppression(
        job.params["rows"],
        microenvironment_path=job.inputs["microenvironment"],
        niche_paths=job.inputs["niche"],
        reference_libraries=job.inputs.get("reference_libraries"),
        reference_composition=job.inputs.get("reference_composition"),
        reference_niche=job.inputs.get("reference_niche"),
        output=job.outputs["suppression"],
        settings=job.params["settings"],
    )
