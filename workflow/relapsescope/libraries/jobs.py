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
    return _progress(summary, Path(job.outputs["summary"]))


def _progress(summary: Mapping[str, Any], summary_path: Path) -> str:
    """Return a library's verdict and how many libraries of the run are done."""
    from relapsescope.intake.kept_sheet import kept_sheet

    folder = summary_path.parents[1]
    kept = kept_sheet(folder.parent)
    # Without a run there is no other library.
    sample_ids = [one.sample_id for one in kept.libraries] if kept else [summary["sample_id"]]
    done = sum((folder / sample_id / "library.json").exists() for sample_id in sample_ids)
    line = (
        f"[libraries {done} of {len(sample_ids)} done] {summary['sample_id']}: "
        f"{summary['verdict']}, {summary['n_pass']} of {summary['n_barcodes']} cells kept"
    )
    return line + (f" ({summary['reason']})" if summary["reason"] else "")
