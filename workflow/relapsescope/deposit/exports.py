"""What `relapsescope export` writes, a kind at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relapsescope.deposit.multiqc import write_multiqc
from relapsescope.deposit.objects import (
    run_latent,
    run_selection,
    usable_counts,
    verdict_tables,
    write_h5ad,
)
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import read_sheet

NAMES = {
    "h5ad": "{name}.h5ad",
    "h5mu": "{name}.h5mu",
    "cellxgene": "{name}_cellxgene.h5ad",
    "rds-ready": "{name}_plain",
    "multiqc": "relapsescope_libraries_mqc.tsv",
}
"""What is written for each kind, below the folder `objects`."""


def export_run(
    results: Path,
    kinds: Sequence[str],
    *,
    out: Path | None = None,
    patient: str = "",
    sheet: Path | None = None,
) -> Iterator[tuple[Path, int]]:
    """Yield each object as it is written, with its number of barcodes (MultiQC: of libraries).

    Parameters
    ----------
    kinds
        Of `NAMES`.
    out
        Folder; without it `objects` below the run's.
    patient
        Only this patient's libraries.
    sheet
        The sample sheet; without it the one that the run names.

    Raises
    ------
    InputProblem
        Where the folder is no run that has ended, a sheet is gone or there is no such patient.
    """
    folder = out or results / "objects"
    name = patient or "cohort"
    for kind in kinds:
        if kind == "multiqc":
            usable_counts(results)
            target = folder / NAMES[kind]
            yield target, write_multiqc(results, target)
            continue
        selection = run_selection(results, patient=patient, passed_only=kind == "cellxgene")
        target = folder / NAMES[kind].format(name=name)
        if kind == "cellxgene":
            from relapsescope.deposit.cellxgene import write_cellxgene

            write_cellxgene(selection, target, libraries=_libraries(results, sheet))
        elif kind == "rds-ready":
            from relapsescope.deposit.plain_files import write_plain_files

            write_plain_files(selection, target, latent=run_latent(results))
        else:
            if kind == "h5mu":
                from relapsescope.deposit.multimodal import write_h5mu as write
            else:
                write = write_h5ad
            tables = verdict_tables(results, patient=patient)
            write(selection, target, tables=tables, latent=run_latent(results))
        yield target, len(selection.cells)


def _libraries(results: Path, sheet: Path | None) -> list[Mapping[str, Any]]:
    if sheet is None:
        manifest = results / "run_manifest.json"
        try:
            sheet = Path(json.loads(manifest.read_text(encoding="utf-8"))["config"]["samples"])
        except (OSError, ValueError, KeyError):
            raise InputProblem(
                f"{manifest}: cannot be read; name the run's sheet with --samples"
            ) from None
    if not sheet.is_file():
        raise InputProblem(f"{sheet}: no such file; name the run's sheet with --samples")
    return [library.as_params() for library in read_sheet(sheet)]
