"""What the evidence means: mechanisms of relapse, the answers in words, the study's claims.

Reads: tables of samples, clones, antigens, CAR-T cells, suppression and the course.
Writes: `tables/mechanisms.tsv`, `tables/answers.tsv`, `tables/claims.tsv`,
`tables/aplasia.tsv`, `tables/patient_measures.tsv`, `tables/patient_contrasts.tsv`.
Steps: answers.
"""

EVIDENCE = {
    "samples": f"{RESULTS}/tables/samples.tsv",
    "clones": rules.clone_table.output.clones,
    **{name: MOLECULAR[name] for name in ("antigens", "anxa1", "anxa1_untreated")},
    "car_t": CAR_TABLES["car_t"],
    "suppression": rules.suppression.output.suppression,
    "microenvironment": rules.microenvironment.output.microenvironment,
    **{name: T_CELLS[name] for name in ("t_cell_states", "t_cell_measures", "receptors")},
    **{name: COURSE[name] for name in ("course", "assessments", "genetics", "bulk_summary")},
}
ANSWERS = {name: f"{RESULTS}/tables/{name}.tsv" for name in ANSWER_TABLES}


rule answers:
    input:
        **EVIDENCE,
    output:
        **ANSWERS,
    log:
        f"{RESULTS}/logs/answers.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        patients=RUN.patients,
        settings={
            section: lookup(dpath=section, within=config)
            for section in ("antigens", "claims", "contrasts", "course", "leaning")
        },
        **made_by("answers"),
    resources:
        **requests("answers"),
    group:
        "cohort"
    message:
        "Answers: mechanisms of relapse, the answer in words, the study's claims"
    script:
        "../scripts/answers.py"
