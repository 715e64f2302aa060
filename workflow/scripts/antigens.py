"""Seam of rule `antigens`."""

from relapsescope.antigens.tables import write_molecular_tables
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_molecular_tables(
        molecules_paths=snakemake.input.molecules,
        counted_cells_paths=snakemake.input.counted_cells,
        pooled_paths=snakemake.input.pooled,
        clones_paths=snakemake.input.clones,
        course_path=snakemake.input.course,
        genetics_path=snakemake.input.genetics,
        reference_molecules=snakemake.input.get("reference_molecules"),
        reference_pooled=snakemake.input.get("reference_pooled"),
        reference_terms=snakemake.params.reference,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
    )
