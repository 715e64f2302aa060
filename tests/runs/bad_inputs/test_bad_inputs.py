"""Bad inputs: each kind breaks a valid cohort and names the messages that must come of it."""

import gzip
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table
from relapsescope.paths import REPOSITORY
from relapsescope.run.check import check_inputs

from .conftest import N_CELLS, barcode

KINDS = {}


def bad(*expected):
    """Register a kind of bad input with the parts of its message: place, what, what to do."""

    def register(break_cohort):
        KINDS[break_cohort.__name__] = (break_cohort, expected)
        return break_cohort

    return register


# The sheet as a file.


@bad("samples.tsv: ", "there is no file", "correct the path")
def sheet_missing(cohort):
    cohort.sheet.unlink()


@bad("samples.tsv: ", "a directory, not a file", "give the file itself")
def sheet_is_a_directory(cohort):
    cohort.sheet.unlink()
    cohort.sheet.mkdir()


@bad("samples.tsv: ", "the table is empty", "give a line of column names")
def sheet_empty(cohort):
    cohort.sheet.write_text("")


@bad("samples.tsv: ", "column names but no rows", "add the rows")
def sheet_without_rows(cohort):
    cohort.write_rows(cohort.rows()[:1])


@bad("samples.tsv:1: ", "set apart by commas", "save it with tabs")
def sheet_with_commas(cohort):
    cohort.write_rows(cohort.rows(), sep=",")


@bad("samples.tsv:1: ", "set apart by semicolons", "save it with tabs")
def sheet_with_semicolons(cohort):
    cohort.write_rows(cohort.rows(), sep=";")


@bad("samples.tsv: ", "an Excel file", "save it as tab-separated text")
def sheet_from_excel(cohort):
    cohort.sheet.write_bytes(b"PK\x03\x04" + bytes(200))


@bad("samples.tsv:2: ", "not UTF-8", "save it as UTF-8")
def sheet_in_latin_1(cohort):
    rows = cohort.rows()
    rows[1][-1] = "Röhre"
    cohort.write_rows(rows, encoding="latin-1")


@bad("samples.tsv:3: ", "13 cells under 12 columns", "remove the surplus tabs")
def row_with_a_surplus_cell(cohort):
    rows = cohort.rows()
    rows[2].append("more")
    cohort.write_rows(rows)


# Columns.


@bad("samples.tsv:1 tissue: ", "the column is missing", "add it")
def column_missing(cohort):
    rows = cohort.rows()
    place = rows[0].index("tissue")
    cohort.write_rows([row[:place] + row[place + 1 :] for row in rows])


@bad("samples.tsv:1 'Matrx': ", "unknown column", "did you mean matrix?")
def column_misspelt(cohort):
    cohort.cell(1, "matrix", "Matrx")


@bad("samples.tsv:1 'patient': ", "unknown column", "did you mean patient_id?")
def column_by_another_name(cohort):
    cohort.cell(1, "patient_id", "patient")


@bad("samples.tsv:1 'operator': ", "unknown column", "known columns")
def column_unknown(cohort):
    cohort.add_column("operator", ["a", "b", "c"])


@bad("samples.tsv:1 'day': ", "more than once", "keep one")
def column_twice(cohort):
    cohort.add_column("day", ["", "-14", "200"])


@bad("samples.tsv:1 'date_of_birth': ", "birth date identifies a person", "remove the column")
def column_of_birth_dates(cohort):
    cohort.add_column("date_of_birth", ["1950-01-01"] * 3)


@bad("samples.tsv:1 'patient_name': ", "names", "pseudonym")
def column_of_names(cohort):
    cohort.add_column("patient_name", ["a", "b", "c"])


@bad("samples.tsv:1 'MRN': ", "record number identifies a person", "pseudonym")
def column_of_record_numbers(cohort):
    cohort.add_column("MRN", ["1", "2", "2"])


@bad("samples.tsv:1 'sampling_date': ", "dates identify a person", "whole days")
def column_of_dates(cohort):
    cohort.add_column("sampling_date", ["2024-01-01"] * 3)


# Cells.


@bad("samples.tsv:4 sample_id: ", "'P1_pre' stands in line 3 already", "its own id")
def sample_id_twice(cohort):
    cohort.cell(4, "sample_id", "P1_pre")


@bad("samples.tsv:4 sample_id: ", "by case only", "case does not count")
def sample_id_differs_by_case(cohort):
    cohort.cell(4, "sample_id", "p1_PRE")


@bad("samples.tsv:3 sample_id: ", "'P1 pre' is no identifier", "letters, digits, _ and -")
def sample_id_with_a_space(cohort):
    cohort.cell(3, "sample_id", "P1 pre")


@bad("samples.tsv:3 sample_id: ", "ends with a space", "remove the space")
def sample_id_with_a_space_at_its_end(cohort):
    cohort.cell(3, "sample_id", "P1_pre ")


@bad("samples.tsv:3 sample_id: ", "is no identifier", "letters, digits, _ and -")
def sample_id_leaves_the_folder(cohort):
    cohort.cell(3, "sample_id", "../../escape")


@bad("samples.tsv:3 sample_id: ", "is no identifier", "letters, digits, _ and -")
def sample_id_is_a_formula(cohort):
    cohort.cell(3, "sample_id", "=HYPERLINK(1)")


@bad("samples.tsv:3 patient_id: ", "is no identifier", "letters, digits, _ and -")
def patient_id_is_html(cohort):
    cohort.cell(3, "patient_id", "<script>alert(1)</script>")


@bad("samples.tsv:3 chemistry: ", "formula or HTML", "plain words")
def chemistry_is_html(cohort):
    cohort.cell(3, "chemistry", "<b>v3</b>")


@bad("samples.tsv:4 patient_id: ", "'p1' differs from 'P1' by case only", "write P1")
def patient_id_differs_by_case(cohort):
    cohort.cell(4, "patient_id", "p1")


@bad("samples.tsv:3 sample_id: ", "'-P1_pre' begins with -", "begin with a letter")
def sample_id_is_an_option(cohort):
    cohort.cell(3, "sample_id", "-P1_pre")


@bad("samples.tsv:2 patient_id: ", "'1950-01-31' holds a date", "use a pseudonym")
def patient_id_is_a_birth_date(cohort):
    cohort.cell(2, "patient_id", "1950-01-31")


@bad("samples.tsv:2 sample_id: ", "'Dr_Smith' holds a name", "use a pseudonym")
def sample_id_is_a_name(cohort):
    cohort.cell(2, "sample_id", "Dr_Smith")


@bad("samples.tsv:3 chemistry: ", "'v3, of 12.03.2021' holds a date", "give days from")
def chemistry_holds_a_date(cohort):
    cohort.cell(3, "chemistry", "v3, of 12.03.2021")


@bad("samples.tsv:3 chemistry: ", "1,000 characters long", "at most 500")
def chemistry_is_a_novel(cohort):
    cohort.cell(3, "chemistry", "x" * 1000)


@bad("therapies.tsv:2 regimen: ", "'VRd since 12.03.2021' holds a date", "days from CAR-T")
def regimen_holds_a_date(cohort):
    cohort.clinical_cell("therapies", 2, "regimen", "VRd since 12.03.2021")


@bad("patients.tsv:2 car_product: ", "'Dr. Smith' holds a name", "remove it")
def car_product_is_a_name(cohort):
    cohort.clinical_cell("patients", 2, "car_product", "Dr. Smith")


@bad("labs.tsv:3 patient_id: ", "'p1' differs from the sheet's 'P1' by case only", "write P1")
def clinical_patient_differs_by_case(cohort):
    cohort.clinical_cell("labs", 3, "patient_id", "p1")


@bad("labs.tsv: ", "a link to nowhere.tsv, which is not there", "mend the link")
def clinical_table_is_a_link_to_nothing(cohort):
    (cohort.clinical / "labs.tsv").unlink()
    (cohort.clinical / "labs.tsv").symlink_to("nowhere.tsv")


@bad("samples.tsv: ", "a named pipe, not a file", "as a file")
def sheet_is_a_pipe(cohort):
    cohort.sheet.unlink()
    os.mkfifo(cohort.sheet)


@bad("samples.tsv:3 matrix: P1_pre/filtered.h5: ", "a named pipe, not a file", "as a file")
def matrix_is_a_pipe(cohort):
    (cohort.folder / "P1_pre/filtered.h5").unlink()
    os.mkfifo(cohort.folder / "P1_pre/filtered.h5")


@bad("samples.tsv:3 matrix: P1_pre/filtered.h5: ", "round in a circle", "link to the file itself")
def matrix_is_a_circle_of_links(cohort):
    (cohort.folder / "P1_pre/filtered.h5").unlink()
    (cohort.folder / "P1_pre/filtered.h5").symlink_to("other.h5")
    (cohort.folder / "P1_pre/other.h5").symlink_to("filtered.h5")


@bad("samples.tsv:4 tcr_contigs: tcr.csv: ", "a named pipe, not a file", "as a file")
def contigs_are_a_pipe(cohort):
    (cohort.folder / "P1_rel/tcr.csv").unlink()
    os.mkfifo(cohort.folder / "P1_rel/tcr.csv")


@bad("samples.tsv:3 matrix: ", "holds braces", "rename the file or folder")
def matrix_path_with_braces(cohort):
    (cohort.folder / "P1_pre").rename(cohort.folder / "P{1}")
    cohort.cell(3, "matrix", "P{1}/filtered.h5")
    cohort.cell(3, "raw_matrix", "")


@bad("samples.tsv:3: ", "a quotation mark that is not closed", "remove the mark")
def quote_not_closed(cohort):
    cohort.cell(3, "chemistry", '"v3')


@bad("samples.tsv:3 chemistry: ", "holds a control character", "remove it")
def chemistry_with_a_line_separator(cohort):
    cohort.cell(3, "chemistry", "v3\u2028b")


@bad("samples.tsv:4 matrix: ", "the same cells with the same counts as 'P1_pre' in line 3", "once")
def library_twice_as_a_copy(cohort):
    shutil.copy(cohort.folder / "P1_pre/filtered.h5", cohort.folder / "P1_rel/filtered.h5")


@bad("samples.tsv:4 matrix: ", "the same cells with the same counts as 'P1_pre' in line 3", "once")
def library_twice_under_other_barcode_suffixes(cohort):
    copy = cohort.folder / "P1_rel/filtered.h5"
    shutil.copy(cohort.folder / "P1_pre/filtered.h5", copy)
    with h5py.File(copy, "r+") as handle:
        barcodes = handle["matrix/barcodes"][:]
        del handle["matrix/barcodes"]
        handle["matrix/barcodes"] = np.array([code[:-1] + b"7" for code in barcodes])


@bad("samples.tsv:4 matrix: ", "the same cells with the same counts as 'H1_BM' in line 2", "once")
def library_twice_in_another_format(cohort):
    # Both are written from the same counts.
    folder = cohort.mtx_folder("P1_rel/mtx")
    cohort.cell(4, "matrix", "P1_rel/mtx")
    cohort.matrix("H1/filtered.h5", cohort.counts(), first_barcode=9000)
    assert folder.is_dir()


@bad("samples.tsv: the 3 libraries share only 0 genes", "P1_pre alone lacks", "one reference")
def libraries_without_common_genes(cohort):
    table = gene_table()
    others = [i for i in table.gene_ids if i not in set(cohort.ids)][:200]
    cohort.matrix(
        "P1_pre/filtered.h5",
        cohort.counts(),
        ids=[*others, "BCMA_CAR"],
        names=[*others, "BCMA_CAR"],
    )
    cohort.cell(3, "raw_matrix", "")


@bad("samples.tsv:3 car_feature: ", "'TNFRSF17' is a gene", "the CAR's own sequence")
def car_feature_is_a_gene(cohort):
    cohort.cell(3, "car_feature", "TNFRSF17")


@bad("samples.tsv:2 patient_id: ", "the cell is empty", "give an identifier")
def patient_id_empty(cohort):
    cohort.cell(2, "patient_id", "")


@bad("samples.tsv:2 patient_id: ", "'NA' for a missing value", "leave the cell empty")
def patient_id_is_na(cohort):
    cohort.cell(2, "patient_id", "NA")


@bad("samples.tsv:4 timepoint: ", "'Relaps' is not known", "did you mean relapse?")
def timepoint_misspelt(cohort):
    cohort.cell(4, "timepoint", "Relaps")


@bad("samples.tsv:3 timepoint: ", "'Baseline' is not known", "did you mean pre_infusion?")
def timepoint_by_another_name(cohort):
    cohort.cell(3, "timepoint", "Baseline")


@bad("samples.tsv:3 tissue: ", "'BM' is not known", "did you mean bone_marrow?")
def tissue_unknown(cohort):
    cohort.cell(3, "tissue", "BM")


@bad("samples.tsv:3 sorting: ", "'CD138+' is not known", "did you mean CD138_positive?")
def sorting_unknown(cohort):
    cohort.cell(3, "sorting", "CD138+")


@bad("samples.tsv:4 day: ", "'200.0' is not a whole number", "e.g. 200")
def day_is_a_float(cohort):
    cohort.cell(4, "day", "200.0")


@bad("samples.tsv:4 day: ", "'2024-03-01' is a date", "whole days from CAR-T infusion")
def day_is_a_date(cohort):
    cohort.cell(4, "day", "2024-03-01")


@bad("samples.tsv:3 day: ", "day 14 is after the infusion", "correct the day")
def day_after_infusion_before_it(cohort):
    cohort.cell(3, "day", "14")


@bad("samples.tsv:4 day: ", "day -3 is before the infusion", "correct the day")
def relapse_before_infusion(cohort):
    cohort.cell(4, "day", "-3")


@bad("samples.tsv:2 timepoint: ", "patient P1 is healthy here and relapse elsewhere", "correct")
def patient_healthy_and_relapsed(cohort):
    cohort.cell(3, "timepoint", "relapse")
    cohort.cell(3, "day", "190")
    cohort.cell(2, "patient_id", "P1")


@bad("samples.tsv:3 timepoint: ", "patient P1 is untreated here and relapse", "use pre_infusion")
def patient_untreated_and_relapsed(cohort):
    cohort.cell(3, "timepoint", "untreated")


@bad("samples.tsv:3 tissue: ", "infusion_product at timepoint pre_infusion", "both columns")
def product_in_one_column_only(cohort):
    cohort.cell(3, "tissue", "infusion_product")


@bad("samples.tsv:4 matrix: ", "the same file as in line 3, matrix", "its own file")
def matrix_of_two_libraries(cohort):
    cohort.cell(4, "matrix", "P1_pre/../P1_pre/filtered.h5")


@bad("samples.tsv:3 raw_matrix: ", "the same file as in matrix", "its own file")
def raw_is_the_filtered_matrix(cohort):
    cohort.cell(3, "raw_matrix", "P1_pre/filtered.h5")


@bad("samples.tsv:3 matrix: ", "is a URL", "download it")
def matrix_is_a_url(cohort):
    cohort.cell(3, "matrix", "https://example.org/a.h5")


@bad("samples.tsv:3 matrix: ", "has backslashes", "use / in paths")
def matrix_with_backslashes(cohort):
    cohort.cell(3, "matrix", "P1_pre\\filtered.h5")


# Matrices.


@bad("samples.tsv:3 matrix: ", "there is no such file", "did you mean filtered.h5?")
def matrix_missing(cohort):
    cohort.cell(3, "matrix", "P1_pre/filterd.h5")


@bad("samples.tsv:2 matrix: ", "a folder without matrix.mtx", "give H1/filtered_matrix.h5")
def matrix_is_a_directory(cohort):
    (cohort.folder / "H1/filtered.h5").rename(cohort.folder / "H1/filtered_matrix.h5")
    cohort.cell(2, "matrix", "H1")


@bad("samples.tsv:2 matrix: ", "the file is empty (0 bytes)", "copy it again")
def matrix_of_no_bytes(cohort):
    (cohort.folder / "H1/filtered.h5").write_bytes(b"")


@bad("samples.tsv:2 matrix: ", "not a count matrix", "give a 10x .h5 file")
def matrix_is_text(cohort):
    (cohort.folder / "H1/filtered.h5").write_text("gene,cell\n")


@bad("samples.tsv:2 matrix: ", "cut short", "copy it again")
def matrix_truncated(cohort):
    path = cohort.folder / "H1/filtered.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@bad("samples.tsv:2 matrix: ", "do not fit together", "copy it again")
def matrix_with_too_few_values(cohort):
    with h5py.File(cohort.folder / "H1/filtered.h5", "a") as handle:
        values = handle["matrix/data"][:-50]
        del handle["matrix/data"]
        handle["matrix/data"] = values


@bad("samples.tsv:2 matrix: ", "without a 10x count matrix", "filtered_feature_bc_matrix.h5")
def h5_without_a_matrix(cohort):
    with h5py.File(cohort.folder / "H1/filtered.h5", "w") as handle:
        handle["molecule_info"] = np.arange(3)


@bad("samples.tsv:2 matrix: ", "cannot be read as a 10x .h5 matrix", "copy it again")
def h5_without_its_barcodes(cohort):
    with h5py.File(cohort.folder / "H1/filtered.h5", "a") as handle:
        del handle["matrix/barcodes"]


@bad("samples.tsv:2 matrix: ", "whole numbers", "raw UMI counts")
def matrix_normalised(cohort):
    values = np.log1p(cohort.counts() * 3.7)
    cohort.matrix("H1/filtered.h5", values, dtype=np.float32)


@bad("samples.tsv:2 matrix: ", "every cell's counts add up to 500", "raw UMI counts")
def matrix_normalised_to_whole_numbers(cohort):
    values = np.random.default_rng(0).multinomial(500, np.full(201, 1 / 201), 30)
    cohort.matrix("H1/filtered.h5", values)


@bad("samples.tsv:2 matrix: ", "negative values", "raw UMI counts")
def matrix_with_negative_counts(cohort):
    values = cohort.counts()
    values[3, 3] = -2
    cohort.matrix("H1/filtered.h5", values)


@bad("samples.tsv:2 matrix: ", "not finite", "raw UMI counts")
def matrix_with_nan(cohort):
    values = cohort.counts().astype(float)
    values[3, 3] = np.nan
    cohort.matrix("H1/filtered.h5", values, dtype=np.float32)


@bad("samples.tsv:2 matrix: ", "an empty matrix", "leave the library out")
def matrix_without_cells(cohort):
    cohort.matrix("H1/filtered.h5", np.zeros((0, 201), int))


@bad("samples.tsv:2 matrix: ", "an empty matrix", "leave the library out")
def matrix_of_zeros(cohort):
    cohort.matrix("H1/filtered.h5", np.zeros((30, 201), int))


@bad("samples.tsv:2 matrix: ", "of another species (e.g. ENSMUSG", "human")
def matrix_of_mouse_genes(cohort):
    ids = [f"ENSMUSG{i:011d}" for i in range(201)]
    cohort.matrix("H1/filtered.h5", cohort.counts(), ids=ids, names=ids)


@bad("samples.tsv:2 matrix: ", "mouse gene names", "Ensembl IDs")
def matrix_of_mouse_symbols(cohort):
    names = [s.capitalize() for s in cohort.symbols] + ["Xyz1"]
    cohort.matrix("H1/filtered.h5", cohort.counts(), ids=names, names=names)


@bad("samples.tsv:2 matrix: ", "no human genes", "Ensembl IDs")
def matrix_without_genes(cohort):
    ids = [f"peak_{i}" for i in range(201)]
    cohort.matrix("H1/filtered.h5", cohort.counts(), ids=ids, names=ids)


@bad("samples.tsv:2 matrix: ", "barcodes occur more than once", "make its barcodes unique")
def matrix_with_a_barcode_twice(cohort):
    with h5py.File(cohort.folder / "H1/filtered.h5", "a") as handle:
        handle["matrix/barcodes"][1] = handle["matrix/barcodes"][0]


@bad("samples.tsv:3 raw_matrix: ", "30 barcodes, fewer than the 80 of matrix", "swap")
def raw_and_filtered_swapped(cohort):
    cohort.cell(3, "matrix", "P1_pre/raw.h5")
    cohort.cell(3, "raw_matrix", "P1_pre/filtered.h5")


@bad("samples.tsv:2 matrix: ", "70000 barcodes with a median of", "as raw_matrix")
def matrix_is_unfiltered(cohort):
    cohort.matrix("H1/filtered.h5", cohort.counts(0.01, 70_000))


@bad("samples.tsv:2 matrix: mtx: ", "a 10x folder without features.tsv", "copy the whole folder")
def folder_without_features(cohort):
    (cohort.mtx_folder("mtx") / "features.tsv.gz").unlink()
    cohort.cell(2, "matrix", "mtx")


@bad("samples.tsv:2 matrix: ", "it holds 100 of", "copy it again")
def folder_with_too_few_values(cohort):
    cohort.mtx_folder("mtx", entries=100)
    cohort.cell(2, "matrix", "mtx")


@bad("samples.tsv:2 matrix: ", "cannot be read", "copy it again")
def folder_with_a_truncated_gzip(cohort):
    path = cohort.mtx_folder("mtx") / "matrix.mtx.gz"
    path.write_bytes(path.read_bytes()[:500])
    cohort.cell(2, "matrix", "mtx")


@bad("samples.tsv:2 matrix: ", "a single file of a 10x folder", "give the folder")
def mtx_instead_of_its_folder(cohort):
    cohort.mtx_folder("mtx")
    cohort.cell(2, "matrix", "mtx/matrix.mtx.gz")


@bad("samples.tsv:2 matrix: ", "no raw counts in X", "save the raw UMI counts")
def h5ad_without_counts(cohort):
    text = h5py.string_dtype()
    with h5py.File(cohort.folder / "H1/a.h5ad", "w") as handle:
        handle["X"] = np.log1p(cohort.counts()[:, :200])
        handle.create_dataset("obs/_index", data=[f"c{i}" for i in range(30)], dtype=text)
        handle.create_dataset("var/_index", data=cohort.ids, dtype=text)
    cohort.cell(2, "matrix", "H1/a.h5ad")


@bad("samples.tsv:3 car_feature: ", "'BCMA-CAR' is not in the matrix", "did you mean BCMA_CAR?")
def car_feature_misspelt(cohort):
    cohort.cell(3, "car_feature", "BCMA-CAR")


@bad("samples.tsv:4 tcr_contigs: ", "there is no such file", "correct the path")
def contigs_missing(cohort):
    (cohort.folder / "P1_rel/tcr.csv").unlink()


@bad("samples.tsv:4 tcr_contigs: ", "lacks the columns", "filtered_contig_annotations.csv")
def contigs_of_another_kind(cohort):
    (cohort.folder / "P1_rel/tcr.csv").write_text("clonotype_id,frequency\nc1,3\n")


# Clinical tables.


@bad("clinical: ", "not a folder", "give the folder")
def clinical_is_a_file(cohort):
    for path in cohort.clinical.iterdir():
        path.unlink()
    cohort.clinical.rmdir()
    cohort.clinical.write_text("")


@bad("patients.tsv:1 'birth_date': ", "birth date identifies a person", "remove the column")
def clinical_birth_date(cohort):
    cohort.clinical_cell("patients", 1, "car_product", "birth_date")


@bad("labs.tsv:3 day: ", "'01.02.2024' is a date", "whole days")
def clinical_day_is_a_date(cohort):
    cohort.clinical_cell("labs", 3, "day", "01.02.2024")


@bad("labs.tsv:3 serum_m_protein_g_dl: ", "'1,1' has a decimal comma", "write 1.1")
def clinical_decimal_comma(cohort):
    cohort.clinical_cell("labs", 3, "serum_m_protein_g_dl", "1,1")


@bad("labs.tsv:3 flc_kappa_mg_l: ", "'20 mg/l' is not a number", "without its unit")
def clinical_text_in_numbers(cohort):
    cohort.clinical_cell("labs", 3, "flc_kappa_mg_l", "20 mg/l")


@bad("labs.tsv:3 flc_kappa_mg_l: ", "-4 is negative", "correct the value")
def clinical_negative_value(cohort):
    cohort.clinical_cell("labs", 3, "flc_kappa_mg_l", "-4")


@bad("labs.tsv:4 hemoglobin_g_dl: ", "101 g/dl is implausible", "divide g/l by 10")
def clinical_wrong_unit(cohort):
    cohort.clinical_cell("labs", 4, "hemoglobin_g_dl", "101")


@bad("labs.tsv:4 calcium_mg_dl: ", "2.4 mg/dl is implausible", "multiply mmol/l by 4.008")
def clinical_calcium_in_mmol(cohort):
    cohort.clinical_cell("labs", 4, "calcium_mg_dl", "2.4")


@bad("labs.tsv:4 day: ", "patient P1 has day 28 in line 3 already", "merge")
def clinical_day_twice(cohort):
    cohort.clinical_cell("labs", 4, "day", "28")


@bad("patients.tsv:2 death_day: ", "death on day 300, before the last follow-up", "correct one")
def clinical_death_before_last_visit(cohort):
    cohort.clinical_cell("patients", 2, "death_day", "300")


@bad("labs.tsv:4 day: ", "a visit on day 900, after the death on day 450", "correct the day")
def clinical_visit_after_death(cohort):
    cohort.clinical_cell("patients", 2, "death_day", "450")
    cohort.clinical_cell("labs", 4, "day", "900")


@bad("therapies.tsv:3 start_day: ", "line 1 ends on day 90", "must not overlap")
def clinical_lines_overlap(cohort):
    cohort.clinical_cell("therapies", 2, "end_day", "90")


@bad("therapies.tsv:2 end_day: ", "ends on day -950, before its start", "correct one")
def clinical_line_ends_before_start(cohort):
    cohort.clinical_cell("therapies", 2, "end_day", "-950")


@bad("therapies.tsv:3 therapy_class: ", "'CAR-T' is not known", "did you mean car_t?")
def clinical_class_unknown(cohort):
    cohort.clinical_cell("therapies", 3, "therapy_class", "CAR-T")


@bad("therapies.tsv:3 target: ", "'BCMA' is no gene symbol", "write TNFRSF17")
def clinical_target_is_no_symbol(cohort):
    cohort.clinical_cell("therapies", 3, "target", "BCMA")


@bad("therapies.tsv:3 best_response: ", "'complete' is not known", "sCR, CR, VGPR")
def clinical_response_unknown(cohort):
    cohort.clinical_cell("therapies", 3, "best_response", "complete")


def test_there_are_forty_kinds_and_more():
    assert len(KINDS) >= 40


def test_the_unbroken_cohort_is_accepted(valid_cohort):
    result = check_inputs(valid_cohort.sheet, valid_cohort.clinical)
    assert [library.sample_id for library in result.libraries] == ["H1_BM", "P1_pre", "P1_rel"]
    assert result.warnings == []


def test_sizes_and_progress_are_told_and_a_second_look_is_remembered(
    valid_cohort, tmp_path, monkeypatch
):
    monkeypatch.setattr("relapsescope.run.check.TELL_EVERY_S", -1.0)
    told: list[str] = []
    memory = tmp_path / "headers.json"
    sizes = check_inputs(valid_cohort.sheet, memory=memory, tell=told.append).sizes
    assert told == [f"{done} of 3 libraries are checked …" for done in range(3)]
    assert {size.n_libraries for size in sizes.values()} == {1}
    contigs = valid_cohort.folder / "P1_rel/tcr.csv"
    assert sizes["P1_rel"].n_tcr_bytes == contigs.stat().st_size > 0
    assert sizes["H1_BM"].n_tcr_bytes == 0
    assert memory.is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_explained_in_one_line(cohort, kind):
    break_cohort, (place, what, remedy) = KINDS[kind]
    break_cohort(cohort)
    before = cohort.content()
    with pytest.raises(InputProblem) as raised:
        check_inputs(cohort.sheet, cohort.clinical)
    lines = raised.value.problems
    found = [line for line in lines if line.startswith(place) and what in line]
    matching = [line for line in found if remedy in line.partition(what)[2]]
    assert len(matching) == 1, "\n".join(lines)
    assert all("\n" not in line and "Traceback" not in line for line in lines)
    assert str(cohort.folder) not in matching[0].replace(f"no file {cohort.sheet}", "")
    assert cohort.content() == before


def test_all_problems_come_at_once_in_order(cohort):
    cohort.cell(4, "timepoint", "Relaps")
    cohort.cell(2, "tissue", "BM")
    (cohort.folder / "P1_pre/filtered.h5").write_bytes(b"")
    cohort.clinical_cell("labs", 3, "day", "soon")
    with pytest.raises(InputProblem) as raised:
        check_inputs(cohort.sheet, cohort.clinical)
    places = [line.split(": ")[0] for line in raised.value.problems]
    assert places == [
        "samples.tsv:2 tissue",
        "samples.tsv:3 matrix",
        "samples.tsv:4 timepoint",
        "labs.tsv:3 day",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_spreadsheet_habits_are_accepted_without_a_word(cohort, end, encoding):
    rows = cohort.rows()
    rows[1][-1] = '"10x 3\' v3"'
    cohort.write_rows([*rows, [""] * len(rows[0])], end=end, encoding=encoding)
    result = check_inputs(cohort.sheet, cohort.clinical)
    assert result.warnings == []
    assert result.libraries[0].chemistry == "10x 3' v3"


def test_a_car_that_is_not_named_is_a_warning(cohort):
    cohort.cell(3, "car_feature", "")
    (warning,) = check_inputs(cohort.sheet, cohort.clinical).warnings
    assert warning.startswith("samples.tsv:3 car_feature: the matrix holds BCMA_CAR")
    assert "write BCMA_CAR here" in warning


def test_the_raw_matrix_of_another_library_is_a_problem(cohort):
    cohort.matrix("P1_pre/raw.h5", cohort.counts(0.3, 80), first_barcode=5000)
    with pytest.raises(InputProblem) as raised:
        check_inputs(cohort.sheet, cohort.clinical)
    (problem,) = raised.value.problems
    assert problem.startswith("samples.tsv:3 raw_matrix: it holds only 0% of the barcodes")


def test_clinical_patients_outside_the_sheet_are_a_warning(cohort):
    rows = (cohort.clinical / "patients.tsv").read_text()
    (cohort.clinical / "patients.tsv").write_text(rows + "P9\t\t\t\t\t\n")
    (cohort.clinical / "survival.csv").write_text("")
    warnings = check_inputs(cohort.sheet, cohort.clinical).warnings
    assert any(
        w.startswith("patients.tsv:3 patient_id: 'P9' is not in the sample") for w in warnings
    )
    assert any("survival.csv: the file is not read" in w for w in warnings)


def test_clinical_tables_may_be_absent(cohort):
    (line,) = check_inputs(cohort.sheet, cohort.folder / "nowhere").warnings
    assert "there is no such folder, so there are no clinical tables" in line
    assert check_inputs(cohort.sheet, None).warnings == []


BY_COMMAND = ("sheet_missing", "matrix_truncated", "patient_id_is_html", "clinical_lines_overlap")


@pytest.mark.parametrize("kind", BY_COMMAND)
def test_the_command_says_so_and_exits_with_1(cohort, kind):
    break_cohort, (place, what, remedy) = KINDS[kind]
    break_cohort(cohort)
    before = cohort.content()
    arguments = ["--samples", str(cohort.sheet), "--clinical", str(cohort.clinical)]
    done = subprocess.run(
        [sys.executable, "-m", "relapsescope", "check", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "workflow"), "OMP_NUM_THREADS": "1"},
        cwd=cohort.folder.parent,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    lines = [s for s in done.stderr.splitlines() if s.startswith(place)]
    assert any(what in line and remedy in line for line in lines), done.stderr
    assert cohort.content() == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_sheet_with_a_byte_order_mark_is_read(cohort, encoding):
    cohort.write_rows(cohort.rows(), encoding=encoding)
    assert len(check_inputs(cohort.sheet).libraries) == 3


@pytest.mark.parametrize(
    ("day_before", "timepoint", "said"),
    [
        ("300", "remission", "patient P1 is relapse on day 200 and remission on day 300"),
        ("210", "expansion", "patient P1 is relapse on day 200 and expansion on day 210"),
        ("120", "expansion", "expansion on day 120"),
        ("200", "remission", "patient P1 is in remission and in relapse on day 200"),
    ],
)
def test_days_against_timepoints_are_warned_of(cohort, day_before, timepoint, said):
    cohort.cell(3, "timepoint", timepoint)
    cohort.cell(3, "day", day_before)
    assert any(said in line for line in check_inputs(cohort.sheet).warnings)


def test_days_in_order_are_no_matter(cohort):
    for timepoint, day in (("expansion", "14"), ("remission", "90"), ("pre_infusion", "-14")):
        cohort.cell(3, "timepoint", timepoint)
        cohort.cell(3, "day", day)
        assert check_inputs(cohort.sheet).warnings == []


@pytest.mark.parametrize(
    ("column", "day", "said"),
    [
        ("death_day", "199", "samples.tsv:4 day: a sample of day 200, after the death on day 199"),
        ("last_follow_up_day", "150", "a sample of day 200, after the last follow-up on day 150"),
        ("last_follow_up_day", "199", "labs.tsv:4 day: a visit on day 200, after the last follow"),
    ],
)
def test_days_after_a_patients_end_are_warned_of(cohort, column, day, said):
    cohort.clinical_cell("patients", 2, "last_follow_up_day", "")
    cohort.clinical_cell("patients", 2, column, day)
    if column == "death_day":
        cohort.clinical_cell("labs", 4, "day", "190")
    warned = check_inputs(cohort.sheet, cohort.clinical).warnings
    assert sum(said in line for line in warned) == 1
    cohort.clinical_cell("patients", 2, column, "200")
    assert check_inputs(cohort.sheet, cohort.clinical).warnings == []


@pytest.mark.parametrize("more", [-1, 1, 3])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", " \n \n"])
def test_a_matrix_of_text_has_as_many_entries_as_it_says(cohort, more, end):
    folder = cohort.mtx_folder("mtx")
    packed = folder / "matrix.mtx.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().splitlines()
    cohort.cell(4, "matrix", "mtx")

    def write(entries):
        packed.write_bytes(gzip.compress(("\n".join([*lines[:2], *entries]) + end).encode()))

    write(lines[2:])
    assert len(check_inputs(cohort.sheet).libraries) == 3
    write(lines[2:] + ["1 1 5"] * more if more > 0 else lines[2:more])
    n_values = int(lines[1].split()[2])
    said = f"matrix.mtx.gz: it holds {n_values + more} of {n_values} values"
    with pytest.raises(InputProblem, match=said):
        check_inputs(cohort.sheet)


@pytest.mark.parametrize("suffix", ["", "-1"])
def test_a_cell_of_a_pool_is_listed_once(cohort, suffix):
    codes = [barcode(2000 + i) for i in range(N_CELLS)]
    for line, name, own in ((3, "a", codes[:12]), (4, "b", codes[10:])):
        written = [code.removesuffix("-1") + suffix for code in own]
        (cohort.folder / f"{name}.txt").write_text("\n".join(written) + "\n")
        cohort.cell(line, "matrix", "P1_rel/filtered.h5")
        cohort.cell(line, "raw_matrix", "")
    cohort.add_column("barcodes", ["", "a.txt", "b.txt"])
    with pytest.raises(InputProblem) as found:
        check_inputs(cohort.sheet)
    assert found.value.problems == [
        f"samples.tsv:4 barcodes: 2 of its 20 cells (e.g. {codes[10]}) are listed in line 3 too; "
        "give each cell of a pool to one library"
    ]
    own = [code.removesuffix("-1") + suffix for code in codes[12:]]
    (cohort.folder / "b.txt").write_text("\n".join(own) + "\n")
    assert len(check_inputs(cohort.sheet).libraries) == 3


def test_genes_left_out_of_a_matrix_are_there_in_its_raw_one(cohort):
    """Half of the genes are gone, another half from each library: the raw matrices hold all."""
    counts = cohort.counts()
    for line, name, kept in ((3, "P1_pre", slice(0, 100)), (4, "P1_rel", slice(100, 200))):
        cohort.cell(line, "raw_matrix", "")
        start = 1000 * (line - 2)
        cohort.matrix(
            f"{name}/filtered.h5",
            np.hstack([counts[:, kept], counts[:, -1:]]),
            ids=[*cohort.ids[kept], "BCMA_CAR"],
            names=[*cohort.symbols[kept], "BCMA_CAR"],
            first_barcode=start,
        )
        more = np.vstack([counts, cohort.counts(0.3)])
        cohort.matrix(f"{name}/raw.h5", more, first_barcode=start)
    with pytest.raises(InputProblem, match="the 3 libraries share only 0 genes"):
        check_inputs(cohort.sheet)
    cohort.cell(3, "raw_matrix", "P1_pre/raw.h5")
    cohort.cell(4, "raw_matrix", "P1_rel/raw.h5")
    assert check_inputs(cohort.sheet).warnings == []


def test_a_poor_library_without_undetected_genes_is_warned_of(cohort):
    """Of 200 genes one library has 120 and another 100, all of them seen: 60 are common."""
    counts = np.maximum(cohort.counts(), 1)
    kept = slice(40, 160)
    cohort.cell(4, "raw_matrix", "")
    cohort.matrix(
        "P1_rel/filtered.h5",
        np.hstack([counts[:, kept], counts[:, -1:]]),
        ids=[*cohort.ids[kept], "BCMA_CAR"],
        names=[*cohort.symbols[kept], "BCMA_CAR"],
        first_barcode=2000,
    )
    cohort.cell(3, "raw_matrix", "")
    kept = slice(100, 200)
    cohort.matrix(
        "P1_pre/filtered.h5",
        np.hstack([counts[:, kept], counts[:, -1:]]),
        ids=[*cohort.ids[kept], "BCMA_CAR"],
        names=[*cohort.symbols[kept], "BCMA_CAR"],
        first_barcode=1000,
    )
    (warning,) = check_inputs(cohort.sheet).warnings
    assert "the 3 libraries share only 60 genes" in warning
    assert warning.endswith(
        "genes without a count were removed from H1_BM, P1_pre, P1_rel: give the matrices with all "
        "genes, or raw_matrix"
    )


def test_a_name_as_id_is_warned_of(cohort):
    cohort.cell(2, "patient_id", "Mueller_Hans")
    (line,) = check_inputs(cohort.sheet).warnings
    assert line.startswith("samples.tsv:2 patient_id: 'Mueller_Hans' may be a name")


def test_eight_digits_in_an_id_are_warned_of(cohort):
    cohort.cell(2, "sample_id", "B19500131")
    (line,) = check_inputs(cohort.sheet).warnings
    assert "'B19500131' may hold a date" in line


def test_more_counts_than_molecules_are_warned_of(cohort):
    counts = cohort.counts()
    counts[3] *= 20_000
    cohort.matrix("P1_rel/filtered.h5", counts)
    (line,) = [w for w in check_inputs(cohort.sheet).warnings if "counts a cell" in w]
    assert line.startswith("samples.tsv:4 matrix: up to ")


def test_two_parts_of_one_library_are_no_copies(cohort):
    """Cells sorted apart share barcodes by chance only; half the cells of another are a copy."""
    counts = cohort.counts()
    cohort.matrix("P1_pre/filtered.h5", counts, first_barcode=5000)
    cohort.cell(3, "raw_matrix", "")
    cohort.matrix("P1_rel/filtered.h5", counts[:5] + 1, first_barcode=5000)
    assert len(check_inputs(cohort.sheet).libraries) == 3
    cohort.matrix("P1_rel/filtered.h5", counts[:15], first_barcode=5000)
    with pytest.raises(InputProblem, match="the same cells with the same counts"):
        check_inputs(cohort.sheet)
