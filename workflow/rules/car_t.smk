"""CAR-T cells: which they are, whether they divide, whether they are exhausted.

Reads: files of a patient's libraries; over the cohort also receptors, a reference's rates.
Writes: `patients/{patient}/` (CAR-T cells), `tables/car_t.tsv`, `tables/exhaustion.tsv`.
Steps: car_cells (a patient) -> car_t (the cohort).
"""

CAR_SETTINGS = ("car_calls", "cell_cycle", "t_cell_scores", "exhaustion")
CAR_TABLES = {name: f"{RESULTS}/tables/{name}.tsv" for name in CAR_TABLE_NAMES}


rule car_cells:
    input:
        unpack(lambda wildcards: files_of(SAMPLES_OF[wildcards.patient])),
    output:
        **patient_paths(RESULTS, "{patient}", CAR_FILES),
    log:
        f"{RESULTS}/logs/car_cells/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        settings={section: lookup(dpath=section, within=config) for section in CAR_SETTINGS},
        seed=lookup(dpath="seed", within=config),
        **made_by("car_cells"),
    resources:
        **requests("car_cells"),
    group:
        "patients"
    message:
        "CAR-T cells of {wildcards.patient}: transgene, cell cycle, exhaustion"
    script:
        "../scripts/car_cells.py"


rule car_t:
    input:
        **{
            name: [patient_paths(RESULTS, patient, CAR_FILES)[name] for patient in SAMPLES_OF]
            for name in CAR_FILES
        },
        receptors=[
            patient_paths(RESULTS, patient, RECEPTOR_FILES)["cells"] for patient in SAMPLES_OF
        ],
        summaries=LIBRARY_FILES["summaries"],
        **reference_files(REFERENCE, ("transgene",)),
    output:
        **CAR_TABLES,
    log:
        f"{RESULTS}/logs/car_t.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        settings={
            section: lookup(dpath=section, within=config)
            for section in (
                "car_calls", "cell_cycle", "exhaustion", "car_fraction", "proliferation", "leaning"
            )
        },
        seed=lookup(dpath="seed", within=config),
        **made_by("car_t"),
    resources:
        **requests("car_t"),
    group:
        "cohort"
    message:
        "Tables: CAR-T cells, whether they persist, divide and are exhausted"
    script:
        "../scripts/car_t.py"
