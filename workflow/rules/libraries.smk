"""One job a library: everything that needs no other library."""


def library_inputs(wildcards):
    """Return the matrix files of a library's row."""
    row = RUN.libraries[wildcards.sample]
    files = {"matrix": str(row.matrix)}
    if row.raw_matrix:
        files["raw_matrix"] = str(row.raw_matrix)
    return files


def library_memory(wildcards, input, attempt):
    """Return MB: Python's own, 12 bytes an entry at 1.6 bytes on disk and working copies."""
    return int((700 + 30 * input.size_mb) * attempt)


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
    benchmark:
        f"{RESULTS}/benchmarks/library/{{sample}}.tsv"
    params:
        row=lambda wildcards: RUN.libraries[wildcards.sample].as_params(),
        settings={
            section: lookup(dpath=section, within=config)
            for section in ("seed", "quality", "ambient", "doublets", "lineage", "gene_ranks")
        },
        code=code_version("library", resources=("resources/genes.tsv", "resources/markers.tsv")),
    resources:
        mem_mb=library_memory,
        runtime=lambda wildcards, input, attempt: int((5 + input.size_mb / 20) * attempt),
    message:
        "Library {wildcards.sample}: quality, ambient RNA, lineages, doublets"
    script:
        "../scripts/library.py"
