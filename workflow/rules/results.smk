"""The contract's tables, joined from what each step added.

Reads: every library's cells and summary, the map, patients' clones, CAR-T cells and T cell states.
Writes: `tables/cells.parquet`, `tables/samples.tsv`, and `cellxgene/cohort.h5ad` on request.
Steps: cells, samples; cellxgene.
"""


rule cells:
    input:
        cells=LIBRARY_FILES["cells"],
        embedding=f"{RESULTS}/atlas/embedding.parquet",
        clones=[patient_paths(RESULTS, patient, CLONE_FILES)["cells"] for patient in SAMPLES_OF],
        car_cells=[
            patient_paths(RESULTS, patient, CAR_FILES)["car_cells"] for patient in SAMPLES_OF
        ],
        states=[patient_paths(RESULTS, patient, STATE_FILES)["states"] for patient in SAMPLES_OF],
    output:
        cells=f"{RESULTS}/tables/cells.parquet",
    log:
        f"{RESULTS}/logs/cells.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        **made_by("cells"),
    resources:
        **requests("cells"),
    group:
        "cohort"
    message:
        "Tables: one row a cell"
    script:
        "../scripts/cells.py"


rule samples:
    input:
        summaries=LIBRARY_FILES["summaries"],
    output:
        samples=f"{RESULTS}/tables/samples.tsv",
    log:
        f"{RESULTS}/logs/samples.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        **made_by("samples"),
    resources:
        **requests("samples"),
    message:
        "Tables: one row a library"
    script:
        "../scripts/samples.py"


rule cellxgene:
    input:
        counts=LIBRARY_FILES["counts"],
        cells=f"{RESULTS}/tables/cells.parquet",
        samples=f"{RESULTS}/tables/samples.tsv",
        latent=f"{RESULTS}/atlas/latent.parquet",
        tables=[
            f"{RESULTS}/tables/{name}.tsv"
            for name in ("clones", "antigens", "anxa1", "car_t", "mechanisms", "targets", "course")
        ],
    output:
        h5ad=f"{RESULTS}/cellxgene/cohort.h5ad",
    log:
        f"{RESULTS}/logs/cellxgene.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        **made_by("cellxgene"),
    resources:
        **requests("cellxgene"),
    group:
        "cohort"
    message:
        "CELLxGENE: the cohort as one .h5ad"
    script:
        "../scripts/cellxgene.py"
