"""Seam of rule `car_t`."""

from relapsescope.car_t.jobs import car_t
from relapsescope.run.job_log import run

run(car_t, snakemake)
