"""Batches: jobs of libraries and of patients that a cluster runs together in one allocation.

The record of a batch depends on what its jobs wrote. That joins them into one group of Snakemake's,
which starts it once for the whole batch; without the record it would start once for every job.
"""

BATCHES = {
    "libraries": batches(RUN.libraries, config["cluster"]["libraries_per_job"]),
    "patients": batches(SAMPLES_OF, config["cluster"]["patients_per_job"]),
}
BATCH_RECORDS = [
    f"{RESULTS}/logs/batches/{kind}_{number}.txt"
    for kind, of_kind in BATCHES.items()
    for number in of_kind
]
PATIENT_STEPS = (
    rules.clones,
    rules.molecules,
    rules.niche,
    rules.ligand_receptor,
    rules.car_cells,
    rules.receptors,
    rules.t_cell_states,
)
OF_PATIENT = [path for step in PATIENT_STEPS for path in step.output]
RECORD_BATCH = "printf '%s\\n' {params.names:q} > {output.record:q} 2> {log:q}"


localrules:
    samples,
    clone_table,


rule library_batch:
    input:
        lambda wildcards: files_of(BATCHES["libraries"][wildcards.number])["summaries"],
    output:
        record=f"{RESULTS}/logs/batches/libraries_{{number}}.txt",
    log:
        f"{RESULTS}/logs/batches/libraries_{{number}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        names=lambda wildcards: BATCHES["libraries"][wildcards.number],
    resources:
        mem_mb=lambda wildcards, attempt: batch_request(attempt).mem_mb,
        runtime=lambda wildcards, attempt: batch_request(attempt).runtime,
    group:
        "libraries"
    message:
        "Batch {wildcards.number} of libraries"
    shell:
        RECORD_BATCH


rule patient_batch:
    input:
        lambda wildcards: expand(OF_PATIENT, patient=BATCHES["patients"][wildcards.number]),
    output:
        record=f"{RESULTS}/logs/batches/patients_{{number}}.txt",
    log:
        f"{RESULTS}/logs/batches/patients_{{number}}.log",
    conda:
        "../../envs/relapsescope.yaml"
    params:
        names=lambda wildcards: BATCHES["patients"][wildcards.number],
    resources:
        mem_mb=lambda wildcards, attempt: batch_request(attempt).mem_mb,
        runtime=lambda wildcards, attempt: batch_request(attempt).runtime,
    group:
        "patients"
    message:
        "Batch {wildcards.number} of patients"
    shell:
        RECORD_BATCH
