"""Which files a job reads and what it asks for, as functions of its wildcards."""


def library_inputs(wildcards):
    """Return the matrix files of a library's row."""
    row = RUN.libraries[wildcards.sample]
    named = {name: getattr(row, name) for name in ("matrix", "raw_matrix", "barcodes")}
    return {name: str(path) for name, path in named.items() if path}


def files_of(samples):
    """Return what the jobs of these libraries wrote, by kind."""
    return {
        kind: expand(f"{RESULTS}/libraries/{{sample}}/{file}", sample=samples)
        for kind, file in LIBRARY_NAMES.items()
    }


def rows_of(samples):
    """Return the sheet's rows of these libraries as parameters."""
    return [RUN.libraries[sample].as_params() for sample in samples]


def clone_inputs(wildcards):
    """Return the files of a patient's libraries, and their contigs where the sheet gives them."""
    samples = SAMPLES_OF[wildcards.patient]
    contigs = [RUN.libraries[sample].bcr_contigs for sample in samples]
    return files_of(samples) | {"contigs": [str(path) for path in contigs if path]}


def receptor_inputs(wildcards):
    """Return what is known of the cells of a patient's libraries, and their TCR contigs."""
    samples = SAMPLES_OF[wildcards.patient]
    contigs = [RUN.libraries[sample].tcr_contigs for sample in samples]
    files = {kind: files_of(samples)[kind] for kind in ("cells", "summaries")}
    return files | {"contigs": [str(path) for path in contigs if path]}


def molecule_inputs(wildcards):
    """Return the files of a patient's libraries and its clone calls; donors have none."""
    files = files_of(SAMPLES_OF[wildcards.patient])
    if wildcards.patient in DONORS:
        return files
    calls = patient_paths(RESULTS, wildcards.patient, CLONE_FILES)["posterior"]
    return files | {"clone_cells": calls}


def requests(rule, samples=None):
    """Return a rule's memory and run time as functions of the job's libraries and its attempt.

    The libraries are `samples`, or those of the job's wildcard, or all.
    """

    def asked(wildcards, attempt):
        if samples is not None:
            of_job = samples
        elif "sample" in wildcards.keys():
            of_job = [wildcards.sample]
        elif "patient" in wildcards.keys():
            of_job = SAMPLES_OF[wildcards.patient]
        else:
            of_job = RUN.libraries
        return request(rule, RUN.size_of(of_job), attempt)

    return {
        "mem_mb": lambda wildcards, attempt: asked(wildcards, attempt).mem_mb,
        "runtime": lambda wildcards, attempt: asked(wildcards, attempt).runtime,
    }
