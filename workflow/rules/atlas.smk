"""The map of the immune compartment, over all patients.

Reads: every library's counts, cells, genes and summary; a reference with an atlas.
Writes: `atlas/` (embedding, latent space, genes, markers, bundle), `tables/novelty.tsv`.
Steps: atlas (trained on the cohort), or place (on the reference).
"""

LIBRARY_FILES = {
    name: expand(f"{RESULTS}/libraries/{{sample}}/{file}", sample=RUN.libraries)
    for name, file in LIBRARY_NAMES.items()
}


ATLAS_FILES = {
    "embedding": f"{RESULTS}/atlas/embedding.parquet",
    "latent": f"{RESULTS}/atlas/latent.parquet",
    "genes": f"{RESULTS}/atlas/genes.tsv",
    "integration": f"{RESULTS}/atlas/integration.tsv",
    "markers": f"{RESULTS}/atlas/markers.tsv",
}
# A reference with an atlas is not trained anew: cells are placed on it, and judged by it.
PLACED = has_atlas(REFERENCE)
NOVELTY = [f"{RESULTS}/tables/novelty.tsv"] if PLACED else []


rule place:
    input:
        **LIBRARY_FILES,
        **reference_files(REFERENCE, ATLAS_NAMES),
    output:
        **(ATLAS_FILES if PLACED else {}),
        novelty=f"{RESULTS}/tables/novelty.tsv",
    log:
        f"{RESULTS}/logs/place.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        reference=str(REFERENCE_FOLDER),
        settings=lookup(dpath="novelty", within=config),
        **made_by("place"),
    resources:
        **requests("place"),
    message:
        "Atlas: immune cells placed on the reference, and what it does not know"
    script:
        "../scripts/place.py"


rule atlas:
    input:
        **LIBRARY_FILES,
    output:
        **({} if PLACED else ATLAS_FILES),
        bundle=directory(f"{RESULTS}/atlas/bundle"),
    log:
        f"{RESULTS}/logs/atlas.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        settings=lookup(dpath="atlas", within=config),
        seed=lookup(dpath="seed", within=config),
        **made_by("atlas"),
    threads: lookup(dpath="numeric_threads", within=config)
    resources:
        **requests("atlas"),
        # A cluster without GPUs, and with the same configuration, sets it to 0 (docs/cluster.md).
        gpu=1 if config["atlas"]["accelerator"] == "gpu" else None,
    message:
        "Atlas: gene selection, integration, clusters and map of the immune cells"
    script:
        "../scripts/atlas.py"
