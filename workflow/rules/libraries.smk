"""One job a library: everything that needs no other library.

Reads: the matrix of a row of the sheet, its unfiltered matrix.
Writes: `libraries/{sample}/` (counts, cells, genes, summary).
Steps: library.
"""

LIBRARY_NAMES = {
    "counts": "counts.h5",
    "cells": "cells.parquet",
    "genes": "genes.parquet",
    "summaries": "library.json",
}


rule library:
    input:
        unpack(library_inputs),
    output:
        counts=f"{RESULTS}/libraries/{{sample}}/counts.h5",
        cells=f"{RESULTS}/libraries/{{sample}}/cells.parquet",
        genes=f"{RESULTS}/libraries/{{sample}}/genes.parquet",
        summary=f"{RESULTS}/libraries/{{sample}}/library.json",
    log:
        f"{RESULTS}/logs/library/{{sample}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        row=lambda wildcards: RUN.libraries[wildcards.sample].as_params(),
        settings={
            section: lookup(dpath=section, within=config)
            for section in (
                "seed",
                "inputs",
                "cell_calling",
                "quality",
                "ambient",
                "doublets",
                "lineage",
                "b_cell_light_chains",
                "gene_ranks",
            )
        }
        | {"judged_genes": judged_genes(config)},
        inputs=lambda wildcards: stamps(library_inputs(wildcards).values()),
        **made_by("library"),
    resources:
        **requests("library"),
    group:
        "libraries"
    message:
        "Library {wildcards.sample}: quality, ambient RNA, lineages, doublets"
    script:
        "../scripts/library.py"
