"""Seam of rule `car_cells`."""

from relapsescope.car_t.jobs import car_cells
from relapsescope.run.job_log import run

run(car_cells, snakemake)
