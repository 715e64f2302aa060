"""Gene programmes: the relapse clones against the tumours before CAR-T.

Reads: patients' pooled molecules and clones, gene sets.
Writes: `tables/programmes.tsv`, `tables/programme_comparisons.tsv`, `tables/enrichment.tsv`.
Steps: programmes.
"""

PROGRAMMES = programme_paths(RESULTS)


rule programmes:
    input:
        pooled=[patient_paths(RESULTS, patient, MOLECULE_FILES)["pooled"] for patient in SAMPLES_OF],
        clones=rules.clone_table.input.clones,
        gene_sets=gmt_files(config["programmes"]["gene_sets"]),
    output:
        **PROGRAMMES,
    log:
        f"{RESULTS}/logs/programmes.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        patients=list(SAMPLES_OF),
        settings={"programmes": lookup(dpath="programmes", within=config)}
        | leaves_of(COMPARED),
        seed=lookup(dpath="seed", within=config),
        gene_sets=stamps(gmt_files(config["programmes"]["gene_sets"])),
        **made_by("programmes"),
    resources:
        **requests("programmes"),
    group:
        "cohort"
    message:
        "Programmes: what changed in the relapse clones since before CAR-T"
    script:
        "../scripts/programmes.py"
