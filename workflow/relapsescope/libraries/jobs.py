"""The jobs of this room, one function a rule and named as the rule; each imports what it runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relapsescope.provenance.job import Job


def library(job: Job) -> str:
    """Write one library's counts, flags and cell types; return its verdict for who waits."""
    from relapsescope.libraries.library import process_library

    summary = process_library(
        job.params["row"],
        counts_path=job.outputs["counts"],
        cells_path=job.outputs["cells"],
        genes_path=job.outputs["genes"],
        summary_path=job.outputs["summary"],
        settings=job.params["settings"],
    )
    return _progress(summary, Path(job.outputs["summary"]), Path(job.config["samples"]))


def _progress(summary: Mapping[str, Any], summary_path: Path, sheet: Path) -> str:
    """Return a library's verdict and how many libraries are done."""
    from relapsescope.intake.sheet import read_sheet

    folder = summary_path.parents[1]
    sample_ids = [library.sample_id for library in read_sheet(sheet)]
    done = sum((folder / sample_id / "library.json").exists() for sample_id in sample_ids)
    line = (
        f"[libraries {done} of {len(sample_ids)} done] {summary['sample_id']}: "
        f"{summary['verdict']}, {summary['n_pass']} of {summary['n_barcodes']} cells kept"
    )
    return line + (f" ({summary['reason']})" if summary["reason"] else "")
