"""The clinical course: response, progression, survival and salvage; genes in bulk cohorts.

Reads: clinical tables, tables of bulk cohorts; no library.
Writes: `tables/course.tsv`, `course/`.
Steps: course.
"""

COURSE = {name: str(path) for name, path in course_paths(Path(RESULTS)).items()}


rule course:
    input:
        clinical=clinical_files(config["clinical"]),
        bulk=bulk_files(config["course"]["bulk_cohorts"]),
    output:
        **COURSE,
    log:
        f"{RESULTS}/logs/course.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        settings=lookup(dpath="course", within=config),
        seed=lookup(dpath="seed", within=config),
        inputs=stamps(
            [
                *clinical_files(config["clinical"]),
                *bulk_files(config["course"]["bulk_cohorts"]),
            ]
        ),
        **made_by("course"),
    resources:
        **requests("course"),
    group:
        "cohort"
    message:
        "Course: response, progression, survival and salvage"
    script:
        "../scripts/course.py"
