"""Seam of rule `course`."""

from relapsescope.course.jobs import course
from relapsescope.run.job_log import run

run(course, snakemake)
