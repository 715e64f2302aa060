"""Seam of rule `t_cells`."""

from relapsescope.run.job_log import run
from relapsescope.t_cells.jobs import t_cells

run(t_cells, snakemake)
