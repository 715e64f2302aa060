"""The command that gives a run to other tools: `export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.errors import InputProblem


def export(
    *,
    results: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
    h5ad: Annotated[bool, typer.Option("--h5ad", help="One .h5ad for scanpy.")] = False,
    h5mu: Annotated[bool, typer.Option("--h5mu", help="One .h5mu: RNA and antibodies.")] = False,
    cellxgene: Annotated[
        bool, typer.Option("--cellxgene", help="One .h5ad by the schema of CELLxGENE Discover.")
    ] = False,
    rds_ready: Annotated[
        bool, typer.Option("--rds-ready", help="Plain files for R, with a script for Seurat.")
    ] = False,
    multiqc: Annotated[bool, typer.Option("--multiqc", help="A table for MultiQC.")] = False,
    patient: Annotated[str, typer.Option(help="Only this patient.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write [default: objects/ of the run].")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="The sample sheet, for --cellxgene [default: the run's].")
    ] = None,
) -> None:
    """Write cells, counts, map and verdicts of a run for scanpy, CELLxGENE, R and Seurat.

    Without a kind, `--h5ad`. Memory grows with the cells' columns, not with their counts. Exit
    status 0 when all was written, 2 when the folder, the patient or the sheet cannot be used.
    """
    from relapsescope.deposit.exports import export_run

    kinds = {"h5ad": h5ad, "h5mu": h5mu, "cellxgene": cellxgene, "rds-ready": rds_ready}
    kinds["multiqc"] = multiqc
    wanted = [name for name, asked in kinds.items() if asked] or ["h5ad"]
    try:
        for path, n_cells in export_run(results, wanted, out=out, patient=patient, sheet=samples):
            print(f"{path}: {n_cells:,} {'libraries' if path.suffix == '.tsv' else 'barcodes'}.")
    except InputProblem as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


COMMANDS = (export,)
