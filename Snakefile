# The workflow lives in workflow/Snakefile; this file lets `snakemake` be called from the root.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
