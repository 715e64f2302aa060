"""Seam of rule `receptors`."""

from relapsescope.run.job_log import run
from relapsescope.t_cells.jobs import receptors

run(receptors, snakemake)
