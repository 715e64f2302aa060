"""The map of the immune compartment, over all patients."""

LIBRARY_FILES = {
    name: expand(f"{RESULTS}/libraries/{{sample}}/{file}", sample=RUN.libraries)
    for name, file in LIBRARY_NAMES.items()
}


rule atlas:
    input:
        **LIBRARY_FILES,
    output:
        embedding=f"{RESULTS}/atlas/embedding.parquet",
        latent=f"{RESULTS}/atlas/latent.parquet",
        genes=f"{RESULTS}/atlas/genes.tsv",
        integration=f"{RESULTS}/atlas/integration.tsv",
        markers=f"{RESULTS}/atlas/markers.tsv",
        bundle=directory(f"{RESULTS}/atlas/bundle"),
    log:
        f"{RESULTS}/logs/atlas.log",
    conda:
        "../../envs/relapsescope.yaml"
    benchmark:
        f"{RESULTS}/benchmarks/atlas.tsv"
    params:
        settings=lookup(dpath="atlas", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_version("atlas"),
    threads: lookup(dpath="numeric_threads", within=config)
    resources:
        **requests("atlas"),
        # A cluster without GPUs, and with the same configuration, sets it to 0 (docs/cluster.md).
        gpu=1 if config["atlas"]["accelerator"] == "gpu" else None,
    message:
        "Atlas: gene selection, integration, clusters and map of the immune cells"
    script:
        "../scripts/atlas.py"
