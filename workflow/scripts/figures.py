"""Seam of rule `figures`."""

from pathlib import Path

from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import panel_settings
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    results = Path(snakemake.output.manifest).parents[1]
    draw_figures(
        read_evidence(results, sheet=snakemake.params.rows),
        results,
        settings=panel_settings(snakemake.config),
        rule=snakemake.rule,
    )
