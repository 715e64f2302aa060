"""Seam of rule `t_cell_states`."""

from relapsescope.run.job_log import run
from relapsescope.t_cells.jobs import t_cell_states

run(t_cell_states, snakemake)
