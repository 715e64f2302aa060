"""Seam of rule `course`."""

from pathlib import Path

from relapsescope.course.clinical import read_clinical
from relapsescope.course.settings import CourseSettings
from relapsescope.course.tables import write_course_tables
from relapsescope.run.job_log import job_log
from relapsescope.settings import settings_of

with job_log(snakemake.log[0]):
    tables = snakemake.input.clinical
    write_course_tables(
        Path(snakemake.output.course).parents[1],
        read_clinical(Path(tables[0]).parent if tables else None),
        settings=settings_of(CourseSettings, snakemake.params.settings, name="course"),
        bulk_folder=Path(),
        seed=snakemake.params.seed,
    )
