"""Figures from their source data, and the pages.

Reads: every table of the run.
Writes: `source_data/`, `figures/`, `report/`.
Steps: figures -> page.
"""

CAPTIONS = sorted(path.stem for path in (REPOSITORY / "workflow/report").glob("*.rst"))
FIGURES = [name for name in CAPTIONS if name.startswith("figure_")]
PANELS = [name for name in CAPTIONS if name not in (*FIGURES, "workflow")]


rule figures:
    input:
        cells=f"{RESULTS}/tables/cells.parquet",
        samples=f"{RESULTS}/tables/samples.tsv",
        microenvironment=f"{RESULTS}/tables/microenvironment.tsv",
        integration=f"{RESULTS}/atlas/integration.tsv",
        markers=f"{RESULTS}/atlas/markers.tsv",
        summaries=LIBRARY_FILES["summaries"],
        clones=rules.clone_table.output.clones,
        clonal=[
            patient_paths(RESULTS, patient, CLONE_FILES)[name]
            for patient in SAMPLES_OF
            for name in ("cells", "cell_arms", "summary")
        ],
        normal_plasma=rules.normal_plasma.output.summary,
        molecular=list(MOLECULAR.values()),
        programmes=list(PROGRAMMES.values()),
        niche=list(NICHE.values()),
        car_t=list(CAR_TABLES.values()),
        t_cells=list(T_CELLS.values()),
        course=list(COURSE.values()),
        answers=list(ANSWERS.values()),
    output:
        svg=[
            report(
                f"{RESULTS}/figures/{panel}.svg",
                caption=f"../report/{panel}.rst",
                category=category_of(panel),
                labels={"panel": panel.replace("_", " ")},
            )
            for panel in FIGURES + PANELS
        ],
        png=expand(f"{RESULTS}/figures/{{panel}}.png", panel=FIGURES + PANELS),
        pdf=expand(f"{RESULTS}/figures/{{figure}}.pdf", figure=FIGURES),
        pages=directory(f"{RESULTS}/figures/pages"),
        source_data=expand(f"{RESULTS}/source_data/{{panel}}.csv", panel=PANELS),
        manifest=f"{RESULTS}/figures/manifest.tsv",
        numbered=f"{RESULTS}/figures/figures.tsv",
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        rows=[library.as_params() for library in RUN.libraries.values()],
        **made_by("figures"),
    resources:
        **requests("figures"),
    group:
        "report"
    message:
        "Figures: every panel from its source data"
    script:
        "../scripts/figures.py"


rule page:
    input:
        rules.figures.input,
        rules.figures.output,
        novelty=NOVELTY,
    output:
        page=f"{RESULTS}/report/index.html",
        methods=f"{RESULTS}/report/methods.md",
        legends=f"{RESULTS}/figures/legends.md",
        # Of every output Snakemake keeps all inputs' hashes: one a patient would grow as n squared.
        patients=directory(f"{RESULTS}/report/patients"),
    log:
        f"{RESULTS}/logs/page.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        rows=[library.as_params() for library in RUN.libraries.values()],
        patients=RUN.patients,
        config=config,
        **made_by("page"),
    resources:
        **requests("page"),
    group:
        "report"
    message:
        "Report: the page of the cohort and one a patient"
    script:
        "../scripts/page.py"
