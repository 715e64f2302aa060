"""Seam of rule `ligand_receptor`."""

from relapsescope.microenvironment.jobs import ligand_receptor
from relapsescope.run.job_log import run

run(ligand_receptor, snakemake)
