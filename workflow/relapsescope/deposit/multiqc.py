"""The libraries' verdicts and measures as a table of MultiQC's custom content."""

from pathlib import Path

from relapsescope.tables import read_tsv, whole_file

HEADER = """\
# id: relapsescope_libraries
# section_name: Relapsescope
# description: Libraries of one run, with their verdicts. For research use only.
# plot_type: table
# pconfig:
#   id: relapsescope_libraries_table
#   title: Relapsescope libraries
"""
COLUMNS = {
    "sample_id": "Sample",
    "verdict": "Verdict",
    "n_barcodes": "Barcodes",
    "n_pass": "Cells used",
    "n_doublets": "Doublets",
    "ambient_fraction": "Ambient share",
    "median_total_counts": "Median UMI",
    "median_pct_counts_mt": "Median mitochondrial %",
}
"""Columns of `samples.tsv`, and their heads."""


def write_multiqc(results: Path, output: Path) -> int:
    """Write a `*_mqc.tsv`, which MultiQC finds by its name; return the number of libraries."""
    samples = read_tsv(results / "tables" / "samples.tsv")[list(COLUMNS)]
    text = samples.rename(columns=COLUMNS).to_csv(sep="\t", index=False, lineterminator="\n")
    with whole_file(output) as partial:
        partial.write_text(HEADER + text, encoding="utf-8")
    return len(samples)
