"""Microenvironment. Composition, suppressive programmes, ligands and receptors.

Reads: tables of cells and samples, files of a patient's libraries, a reference's composition.
Writes: `patients/{patient}/` (programmes, pairs), `tables/microenvironment.tsv`,
`tables/suppression.tsv`, `tables/interactions.tsv`, `tables/composition_shifts.tsv`.
Steps: microenvironment -> composition_shifts; niche (a patient) -> suppression; ligand_receptor (a
patient) -> interactions.
"""

NICHE = niche_paths(RESULTS)


rule microenvironment:
    input:
        cells=f"{RESULTS}/tables/cells.parquet",
        samples=f"{RESULTS}/tables/samples.tsv",
    output:
        microenvironment=f"{RESULTS}/tables/microenvironment.tsv",
    log:
        f"{RESULTS}/logs/microenvironment.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        settings=lookup(dpath="microenvironment", within=config),
        **made_by("microenvironment"),
    resources:
        **requests("microenvironment"),
    group:
        "cohort"
    message:
        "Tables: composition of each sample"
    script:
        "../scripts/microenvironment.py"


rule composition_shifts:
    input:
        microenvironment=rules.microenvironment.output.microenvironment,
    output:
        composition_shifts=NICHE["composition_shifts"],
    log:
        f"{RESULTS}/logs/composition_shifts.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        settings=lookup(dpath="microenvironment", within=config),
        **made_by("composition_shifts"),
    resources:
        **requests("composition_shifts"),
    group:
        "cohort"
    message:
        "Tables: how the composition shifted at relapse"
    script:
        "../scripts/composition_shifts.py"


rule niche:
    input:
        unpack(lambda wildcards: files_of(SAMPLES_OF[wildcards.patient])),
        car_cells=rules.car_cells.output.car_cells,
    output:
        **patient_paths(RESULTS, "{patient}", NICHE_FILES),
    log:
        f"{RESULTS}/logs/niche/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        matched_umi=lookup(dpath="suppression/matched_umi", within=config),
        **made_by("niche"),
    resources:
        **requests("niche"),
    group:
        "patients"
    message:
        "Microenvironment of {wildcards.patient}: suppressive programmes"
    script:
        "../scripts/niche.py"


rule suppression:
    input:
        microenvironment=rules.microenvironment.output.microenvironment,
        niche=[
            patient_paths(RESULTS, patient, NICHE_FILES)["niche"] for patient in SAMPLES_OF
        ],
        **reference_files(REFERENCE, ("libraries", "composition", "niche")),
    output:
        suppression=NICHE["suppression"],
    log:
        f"{RESULTS}/logs/suppression.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        settings=lookup(dpath="suppression", within=config),
        **made_by("suppression"),
    resources:
        **requests("suppression"),
    group:
        "cohort"
    message:
        "Suppression: what rose beyond earlier and untreated marrows"
    script:
        "../scripts/suppression.py"


rule ligand_receptor:
    input:
        unpack(molecule_inputs),
        car_cells=rules.car_cells.output.car_cells,
    output:
        **patient_paths(RESULTS, "{patient}", INTERACTION_FILES),
    log:
        f"{RESULTS}/logs/ligand_receptor/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        settings=lookup(dpath="interactions", within=config),
        rates={
            name: lookup(dpath=f"antigens/{name}", within=config)
            for name in ("dispersion", "dispersion_sd")
        },
        **made_by("ligand_receptor"),
    resources:
        **requests("ligand_receptor"),
    group:
        "patients"
    message:
        "Microenvironment of {wildcards.patient}: ligands and receptors"
    script:
        "../scripts/ligand_receptor.py"


rule interactions:
    input:
        pairs=[
            patient_paths(RESULTS, patient, INTERACTION_FILES)["interactions"]
            for patient in SAMPLES_OF
        ],
        clones=rules.clone_table.output.clones,
        suppression=rules.suppression.output.suppression,
    output:
        interactions=NICHE["interactions"],
    log:
        f"{RESULTS}/logs/interactions.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        **made_by("interactions"),
    resources:
        **requests("interactions"),
    group:
        "cohort"
    message:
        "Ligands and receptors: one row a sample, pair, sender and receiver"
    script:
        "../scripts/interactions.py"
