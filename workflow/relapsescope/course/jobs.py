"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from pathlib import Path

from relapsescope.provenance.job import Job


def course(job: Job) -> None:
    """Write response, progression, survival and salvage."""
    from relapsescope.course.clinical import read_clinical
    from relapsescope.course.settings import CourseSettings
    from relapsescope.course.tables import write_course_tables
    from relapsescope.settings import settings_of

    tables = job.inputs["clinical"]
    write_course_tables(
        Path(job.outputs["course"]).parents[1],
        read_clinical(Path(tables[0]).parent if tables else None),
        settings=settings_of(CourseSettings, job.params["settings"], name="course"),
        bulk_folder=Path(),
        seed=job.params["seed"],
    )
