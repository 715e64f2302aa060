"""Normal plasma cells of the cohort, and each patient's malignant cells and clones.

Reads: files of the panel's and of a patient's libraries, BCR contigs, a reference's panel.
Writes: `clones/` (the panel), `patients/{patient}/` (clones), `tables/clones.tsv`.
Steps: normal_plasma (the cohort) -> clones (a patient) -> clone_table (the cohort).
"""

SAMPLES_OF = libraries_by_patient(RUN.libraries.values())
DONORS = donors(RUN.libraries.values())
PANEL_TIMEPOINTS = config["copy_number"]["panel_timepoints"]
# Without a library for the panel, an empty one still needs the genes that all libraries have.
PANEL_SAMPLES = [
    name for name, library in RUN.libraries.items() if library.timepoint in PANEL_TIMEPOINTS
] or list(RUN.libraries)


rule normal_plasma:
    input:
        **files_of(PANEL_SAMPLES),
    output:
        panel=f"{RESULTS}/clones/normal_plasma.npz",
        summary=f"{RESULTS}/clones/normal_plasma.json",
    log:
        f"{RESULTS}/logs/normal_plasma.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=rows_of(PANEL_SAMPLES),
        settings={
            section: lookup(dpath=section, within=config)
            for section in ("immunoglobulin", "copy_number")
        }
        | {"judged_genes": judged_genes(config)},
        **made_by("normal_plasma"),
    resources:
        **requests("normal_plasma", samples=PANEL_SAMPLES),
    message:
        "Normal plasma cells: the panel of healthy and untreated libraries"
    script:
        "../scripts/normal_plasma.py"


rule clones:
    input:
        unpack(clone_inputs),
        panel=rules.normal_plasma.output.panel,
        **reference_files(REFERENCE, ("panel",)),
    output:
        **patient_paths(RESULTS, "{patient}", CLONE_FILES),
    log:
        f"{RESULTS}/logs/clones/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        settings={
            section: lookup(dpath=section, within=config)
            for section in ("immunoglobulin", "copy_number", "clones")
        }
        | {"judged_genes": judged_genes(config)},
        seed=lookup(dpath="seed", within=config),
        contigs=lambda wildcards: stamps(clone_inputs(wildcards)["contigs"]),
        **made_by("clones"),
    resources:
        **requests("clones"),
    group:
        "patients"
    message:
        "Clones of {wildcards.patient}: light chains, malignant cells, copy number, subclones"
    script:
        "../scripts/clones.py"


rule clone_table:
    input:
        clones=[
            patient_paths(RESULTS, patient, CLONE_FILES)["clones"]
            for patient in SAMPLES_OF
            if patient not in DONORS
        ],
    output:
        clones=f"{RESULTS}/tables/clones.tsv",
    log:
        f"{RESULTS}/logs/clone_table.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        **made_by("clone_table"),
    resources:
        **requests("clone_table"),
    message:
        "Tables: one row a clone and timepoint"
    script:
        "../scripts/clone_table.py"
