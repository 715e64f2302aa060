"""A tiny valid cohort, written as a user's files would arrive, for tests to break."""

import csv
import gzip
import shutil
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from relapsescope.intake.genes import gene_table
from scipy import sparse

N_GENES = 200
N_CELLS = 30
N_DROPLETS = 80
CAR = "BCMA_CAR"
COLUMNS = (
    *("sample_id", "patient_id", "timepoint", "day", "tissue", "sorting", "matrix", "raw_matrix"),
    *("car_feature", "tcr_contigs", "bcr_contigs", "chemistry"),
)
ROWS = (
    "H1_BM H1 healthy . bone_marrow none H1/filtered.h5 . . . . v3",
    "P1_pre P1 pre_infusion -14 bone_marrow none P1_pre/filtered.h5 P1_pre/raw.h5 BCMA_CAR . . v3",
    "P1_rel P1 relapse 200 bone_marrow none P1_rel/filtered.h5 . BCMA_CAR P1_rel/tcr.csv . v3",
)
CONTIGS = (
    "barcode,is_cell,contig_id,chain,v_gene,d_gene,j_gene,c_gene,productive,cdr3,cdr3_nt,umis\n"
)
CLINICAL = {
    "patients.tsv": (
        "patient_id car_product involved_chain prior_lines death_day last_follow_up_day",
        "P1 cilta-cel kappa 4 . 400",
    ),
    "labs.tsv": (
        "patient_id day serum_m_protein_g_dl flc_kappa_mg_l hemoglobin_g_dl calcium_mg_dl mrd",
        "P1 -7 3.4 257.0 11.2 9.4 .",
        "P1 28 1.1 20.5 11.0 9.4 negative",
        "P1 200 2.5 180.0 10.1 9.6 positive",
    ),
    "therapies.tsv": (
        "patient_id line start_day end_day regimen therapy_class target best_response",
        "P1 1 -900 -500 VRd proteasome_inhibitor . VGPR",
        "P1 2 0 0 cilta-cel car_t TNFRSF17 VGPR",
    ),
}


def barcode(number: int) -> str:
    """Return a 10x barcode for a number."""
    return "".join("ACGT"[(number >> k) & 3] for k in range(0, 32, 2)) + "-1"


def gene_names() -> tuple[list[str], list[str]]:
    """Return IDs and symbols of genes with a symbol of their own."""
    table = gene_table()
    times = Counter(table.symbols.tolist())
    places = [i for i, s in enumerate(table.symbols) if s and times[s] == 1][:N_GENES]
    return table.gene_ids[places].tolist(), table.symbols[places].tolist()


def write_matrix(path, counts, ids, names, *, first_barcode=0, dtype=np.int32) -> None:
    """Write a matrix file of Cell Ranger's present layout, over one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "w") as handle:
        group = handle.create_group("matrix")
        codes = [barcode(first_barcode + i) for i in range(len(counts))]
        group["barcodes"] = np.array(codes, "S18")
        group["data"], group["indices"] = matrix.data.astype(dtype), matrix.indices.astype("i8")
        group["indptr"], group["shape"] = matrix.indptr.astype("i8"), matrix.shape[::-1]
        features = group.create_group("features")
        features["id"], features["name"] = np.array(ids, "S"), np.array(names, "S")
        features["feature_type"] = np.array(["Gene Expression"] * len(ids), "S")
        features["genome"] = np.array(["GRCh38"] * len(ids), "S")


class Cohort:
    """The folder of a valid cohort, with ways to break it.

    Lines of the sheet count from 1: line 2 is H1_BM, 3 is P1_pre, 4 is P1_rel.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sheet = folder / "samples.tsv"
        self.clinical = folder / "clinical"
        self.ids, self.symbols = gene_names()

    def build(self) -> None:
        """Write the cohort."""
        self.write_rows([list(COLUMNS), *(self._cells(row) for row in ROWS)])
        rng = np.random.default_rng(0)
        for number, name in enumerate(("H1", "P1_pre", "P1_rel")):
            counts = rng.poisson(1.5, (N_CELLS, N_GENES + 1))
            self.matrix(f"{name}/filtered.h5", counts, first_barcode=1000 * number)
        raw = rng.poisson(0.3, (N_DROPLETS, N_GENES + 1))
        self.matrix("P1_pre/raw.h5", raw, first_barcode=1000)
        contig = (
            "AAACCTGAGACACTAA-1,True,c1,TRB,TRBV9,None,TRBJ1-1,TRBC1,True,CASF,TGTGCCAGCTTT,4\n"
        )
        (self.folder / "P1_rel/tcr.csv").write_text(CONTIGS + contig)
        self.clinical.mkdir()
        for name, lines in CLINICAL.items():
            text = "".join("\t".join(self._cells(line)) + "\n" for line in lines)
            (self.clinical / name).write_text(text)

    @staticmethod
    def _cells(row: str) -> list[str]:
        return ["" if cell == "." else cell for cell in row.split(" ")]

    def matrix(self, name: str, counts, *, ids=None, names=None, **options) -> None:
        """Write a matrix of genes and, as the last column, the CAR."""
        ids = [*self.ids, CAR] if ids is None else ids
        names = [*self.symbols, CAR] if names is None else names
        write_matrix(self.folder / name, np.asarray(counts), ids, names, **options)

    def counts(self, mean: float = 1.5, n_cells: int = N_CELLS) -> np.ndarray:
        """Return new counts of the usual shape."""
        return np.random.default_rng(5).poisson(mean, (n_cells, N_GENES + 1))

    def rows(self) -> list[list[str]]:
        """Return the sheet's lines as cells."""
        return [line.split("\t") for line in self.sheet.read_text("utf-8").splitlines()]

    def write_rows(self, rows, *, sep="\t", end="\n", encoding="utf-8") -> None:
        """Write the sheet."""
        text = end.join(sep.join(row) for row in rows) + end
        self.sheet.write_bytes(text.encode(encoding))

    def cell(self, line: int, column: str, value: str) -> None:
        """Change one cell of the sheet; line 1 is the header."""
        rows = self.rows()
        rows[line - 1][rows[0].index(column)] = value
        self.write_rows(rows)

    def add_column(self, name: str, values) -> None:
        """Add a column to the sheet."""
        rows = self.rows()
        for row, value in zip(rows, [name, *values], strict=True):
            row.append(value)
        self.write_rows(rows)

    def clinical_cell(self, table: str, line: int, column: str, value: str) -> None:
        """Change one cell of a clinical table."""
        path = self.clinical / f"{table}.tsv"
        with open(path, newline="") as lines:
            rows = list(csv.reader(lines, delimiter="\t"))
        rows[line - 1][rows[0].index(column)] = value
        path.write_text("".join("\t".join(row) + "\n" for row in rows))

    def mtx_folder(self, name: str, *, entries: int | None = None) -> Path:
        """Write a 10x folder, with fewer entries than its head says when `entries` is given."""
        folder = self.folder / name
        folder.mkdir()
        matrix = sparse.coo_matrix(self.counts())
        ids = [*self.ids, CAR]
        with gzip.open(folder / "features.tsv.gz", "wt") as handle:
            handle.writelines(f"{i}\t{i}\tGene Expression\n" for i in ids)
        with gzip.open(folder / "barcodes.tsv.gz", "wt") as handle:
            handle.writelines(f"{barcode(9000 + i)}\n" for i in range(N_CELLS))
        triples = list(zip(matrix.col + 1, matrix.row + 1, matrix.data, strict=True))
        with gzip.open(folder / "matrix.mtx.gz", "wt") as handle:
            handle.write("%%MatrixMarket matrix coordinate integer general\n")
            handle.write(f"{len(ids)} {N_CELLS} {matrix.nnz}\n")
            handle.writelines(f"{f} {b} {v}\n" for f, b, v in triples[:entries])
        return folder

    def content(self) -> dict[str, bytes]:
        """Return every file of the cohort, to see that nothing was changed."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def valid_cohort(tmp_path_factory):
    """Return the folder of a valid cohort; do not change it."""
    cohort = Cohort(tmp_path_factory.mktemp("cohort") / "valid")
    cohort.folder.mkdir()
    cohort.build()
    return cohort


@pytest.fixture
def cohort(valid_cohort, tmp_path):
    """Return a copy of the valid cohort to break."""
    folder = tmp_path / "cohort"
    shutil.copytree(valid_cohort.folder, folder)
    return Cohort(folder)
