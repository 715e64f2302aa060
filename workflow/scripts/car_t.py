"""Seam of rule `car_t`."""

from relapsescope.car_t.tables import write_car_t
from relapsescope.run.job_log import job_log

with job_log(snakemake.log[0]):
    write_car_t(
        snakemake.params.rows,
        car_paths=snakemake.input.car_cells,
        exhaustion_paths=snakemake.input.exhaustion,
        receptor_paths=snakemake.input.receptors,
        summary_paths=snakemake.input.summaries,
        outputs=dict(snakemake.output.items()),
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
    )
