"""Antigens, ANXA1 and targets: molecules counted a patient, compared over the cohort.

Reads: files of a patient's libraries, clone probabilities, the course, a reference's molecules.
Writes: `patients/{patient}/` (molecules), `tables/antigens.tsv` and the other tables of antigens.
Steps: molecules (a patient) -> antigens (the cohort).
"""

MOLECULAR = molecular_paths(RESULTS)


rule molecules:
    input:
        unpack(molecule_inputs),
    output:
        **patient_paths(RESULTS, "{patient}", MOLECULE_FILES),
    log:
        f"{RESULTS}/logs/molecules/{{patient}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=lambda wildcards: rows_of(SAMPLES_OF[wildcards.patient]),
        settings=leaves_of(TALLIED),
        **made_by("molecules"),
    resources:
        **requests("molecules"),
    group:
        "patients"
    message:
        "Molecules of {wildcards.patient}: antigens and ANXA1 in every group of cells"
    script:
        "../scripts/molecules.py"


rule antigens:
    input:
        **{
            name: [patient_paths(RESULTS, patient, MOLECULE_FILES)[name] for patient in SAMPLES_OF]
            for name in MOLECULE_FILES
        },
        clones=rules.clone_table.input.clones,
        course=course_paths(Path(RESULTS))["course"],
        genetics=course_paths(Path(RESULTS))["genetics"],
        **reference_files(REFERENCE, ("molecules", "pooled")),
    output:
        **MOLECULAR,
    log:
        f"{RESULTS}/logs/antigens.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        settings={
            section: lookup(dpath=section, within=config) for section in ("antigens", "anxa1")
        },
        reference=REFERENCE_MANIFEST.terms() if REFERENCE_MANIFEST else {},
        **made_by("antigens"),
    resources:
        **requests("antigens"),
    group:
        "cohort"
    message:
        "Antigens: what each clone shows, ANXA1 and targets"
    script:
        "../scripts/antigens.py"
