"""T cells: receptors and states a patient, their tables over the cohort.

Reads: files of a patient's libraries, TCR contigs, CAR-T cells.
Writes: `patients/{patient}/` (receptors, states), `tables/clonotypes.tsv`, `tables/receptors.tsv`,
`tables/t_cell_states.tsv`, `tables/t_cell_measures.tsv`.
Steps: receptors, t_cell_states (a patient) -> t_cells (the cohort).
"""

T_CELLS = t_cell_paths(RESULTS)


rule receptors:
    input:
        unpack(receptor_inputs),
    output:
        **patient_paths(RESULTS, "{patient}", RECEPTOR_FILES),
    log:
        f"{RESULTS}/logs/receptors/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        contigs=lambda wildcards: stamps(receptor_inputs(wildcards)["contigs"]),
        **made_by("receptors"),
    resources:
        **requests("receptors"),
    group:
        "patients"
    message:
        "Receptors of {wildcards.patient}: chains, clonotypes"
    script:
        "../scripts/receptors.py"


rule t_cell_states:
    input:
        unpack(lambda wildcards: files_of(SAMPLES_OF[wildcards.patient])),
        car_cells=patient_paths(RESULTS, "{patient}", CAR_FILES)["car_cells"],
    output:
        **patient_paths(RESULTS, "{patient}", STATE_FILES),
    log:
        f"{RESULTS}/logs/t_cell_states/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        settings=lookup(dpath="t_cell_states", within=config),
        **made_by("t_cell_states"),
    resources:
        **requests("t_cell_states"),
    group:
        "patients"
    message:
        "T cell states of {wildcards.patient}"
    script:
        "../scripts/t_cell_states.py"


rule t_cells:
    input:
        cells=f"{RESULTS}/tables/cells.parquet",
        receptors=[
            patient_paths(RESULTS, patient, RECEPTOR_FILES)["cells"] for patient in SAMPLES_OF
        ],
        summaries=[
            patient_paths(RESULTS, patient, RECEPTOR_FILES)["summary"] for patient in SAMPLES_OF
        ],
        states=[patient_paths(RESULTS, patient, STATE_FILES)["states"] for patient in SAMPLES_OF],
    output:
        **T_CELLS,
    log:
        f"{RESULTS}/logs/t_cells.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        settings={
            section: lookup(dpath=section, within=config)
            for section in ("receptors", "car_clones")
        },
        seed=lookup(dpath="seed", within=config),
        **made_by("t_cells"),
    resources:
        **requests("t_cells"),
    group:
        "cohort"
    message:
        "Tables: clonotypes, repertoires and states of T cells"
    script:
        "../scripts/t_cells.py"
