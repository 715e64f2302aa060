"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from pathlib import Path

from relapsescope.provenance.job import Job


def figures(job: Job) -> None:
    """Write every panel from its source data."""
    from relapsescope.figures.draw import draw_figures
    from relapsescope.figures.evidence import read_evidence
    from relapsescope.figures.panel import panel_settings

    results = Path(job.outputs["manifest"]).parents[1]
    draw_figures(
        read_evidence(results, sheet=job.params["rows"]),
        results,
        settings=panel_settings(job.config),
        rule=job.rule,
    )
