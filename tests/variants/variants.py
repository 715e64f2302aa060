"""Made variants of one cohort: forms × barcodes × feature types × layers, and what is right."""

import csv
import gzip
import itertools
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import forms
import layers
import numpy as np
import pandas as pd
from forms import Written
from relapsescope.intake.tenx import read_tenx
from relapsescope.simulate import simulate_cohort
from relapsescope.simulate.plan import CohortPlan, read_plan
from scipy import sparse

READ, REFUSED, EITHER = "read", "refused", "either"

BARCODES = {
    "Cell Ranger": "{}-1",
    "bare": "{}",
    "aggregated": "{}-2",
    "make.names": "{}.1",
    "prefix": "A_{}-1",
    "suffix": "{}-1_1",
    "quoted": '"{}-1"',
    "DropletUtils": "1_{}-1",
    "concatenated": "{}-1-0",
    "velocyto": "P1_relapse:{}x",
    "sample after": "{}-P1_relapse",
    "sample dotted": "P1.relapse_{}.1",
    "twice": "A_{}-1_2",
}
# The words for RNA, antibodies, hashtags, peaks and guides.
TYPES = {
    "Cell Ranger": (
        *("Gene Expression", "Antibody Capture", "Multiplexing Capture", "Peaks"),
        "CRISPR Guide Capture",
    ),
    "GEX": ("GEX", "ADT", "HTO", "ATAC", "sgRNA"),
    "RNA": ("RNA", "ADT", "HTO", "peak", "guide"),
    "rna": ("rna", "prot", "hto", "atac", "crispr"),
    "biotype": ("protein_coding", "protein", "HTO", "Peaks", "guide"),
    "lncRNA too": ("lncRNA", "Antibody Capture", "HTO", "Peaks", "guide"),
    "NA beside RNA": ("Gene Expression", "NA", "NA", "NA", "NA"),
    "all NA": ("NA",) * 5,
    "none": ("",) * 5,
    "genome": ("GRCh38",) * 5,
    "invented": ("mRNA-seq reads", "surface", "tags", "regions", "perturb"),
}
PANELS = {
    "vendors": ("CD3_UCHT1_TotalSeqB", "CD269|TNFRSF17|AHS0103|pAbO", "CD38_HIT2_TotalSeqB"),
    "symbols": ("CD3E", "CD19", "CD38"),
    "words": ("CD3", "BCMA", "CD138"),
    "marked": ("ADT_CD38", "ADT_CD269", "anti-human CD19 (HIB19)"),
    "Seurat": ("CD38.1", "CD19.1", "CD45RA"),
    "barcoded": ("C0389_CD38", "B0085_anti-human_CD269", "Isotype_MOPC.21"),
}
IDS = {
    "ids": lambda i, n: (i, n),
    "ids only": lambda i, n: (i, i),
    "symbols": lambda i, n: (None, n),
    "versions": lambda i, n: (f"{i}.14" if i.startswith("ENSG") else i, n),
    "GRCh38_": lambda i, n: (f"GRCh38_{i}", f"GRCh38_{n}"),
    "GRCh38-": lambda i, n: (f"GRCh38-{i}" if i.startswith("ENSG") else i, n),
    "hg38_ symbols": lambda i, n: (None, f"hg38_{n}"),
    "id_symbol": lambda i, n: (f"{i}_{n}" if i.startswith("ENSG") else i, n),
}


@dataclass(frozen=True)
class Variant:
    """One way to hand in a cohort.

    Attributes
    ----------
    write
        Writes a matrix into a folder and returns its path.
    barcodes, raw_barcodes, contig_barcodes
        How they are written in the matrix, the raw matrix and the contigs: keys of `BARCODES`.
    types, ids
        Keys of `TYPES` and `IDS`.
    panel
        Antibodies, a key of `PANELS`, or "".
    others
        Further features: any of hashtags, peaks, guides.
    raw
        ``same`` form as the matrix, ``Cell Ranger``, or ``none``.
    right
        Whether it is to be read, refused, or may be either.
    """

    name: str
    write: Callable[[Path, Written], Path]
    barcodes: str = "Cell Ranger"
    raw_barcodes: str = "Cell Ranger"
    contig_barcodes: str = "Cell Ranger"
    types: str = "Cell Ranger"
    ids: str = "ids"
    panel: str = ""
    others: tuple[str, ...] = ()
    raw: str = "Cell Ranger"
    right: str = READ


def variants() -> list[Variant]:
    """Return all variants; the last are combinations drawn at random."""
    return [*_forms(), *_layers(), *_cells(), *_features(), *_combinations()]


FORMS = {
    "h5": forms.tenx_h5,
    "h5 v2": forms.tenx_h5_v2,
    "HDF5Array": forms.hdf5array,
    "folder": forms.mex(),
    "folder plain": forms.mex(packed=False),
    "folder v2": forms.mex(version=2),
    "folder v2 plain": forms.mex(version=2, packed=False),
    "folder GEO": forms.mex(prefix="GSM100_P1_"),
    "folder real": forms.mex(field="real"),
    "folder write.table": forms.write_table,
    "folder transposed": forms.transposed,
    "folder one column": forms.one_column,
    "kallisto": forms.kallisto,
    "Parse": forms.parse,
    "h5ad": forms.h5ad(),
    "zarr": forms.h5ad(name="counts.zarr"),
    "h5mu": forms.h5mu,
    "loom": forms.loom(),
    "loom layers": forms.loom(layers=True),
    "csv": forms.dense(),
    "csv by cell": forms.dense(by_cell=True),
    "csv R": forms.dense(r_header=True, quotes=True),
    "txt R": forms.dense("\t", r_header=True, name="counts.txt.gz"),
    "tsv": forms.dense("\t", name="counts.tsv"),
    "csv quotes": forms.dense(quotes=True),
    "csv comments": forms.dense(comment="## made by a tool\n##\n"),
    "csv two names": forms.dense(ids_beside=True),
    "txt spaces": forms.dense(" ", name="counts.txt.gz"),
    "csv semicolons": forms.dense(";"),
}
# What names its features once and holds no types.
ONE_NAME = {
    "HDF5Array",
    "folder one column",
    "kallisto",
    *(n for n in FORMS if n[:3] in ("csv", "txt", "tsv")),
}
UNTYPED_FORMS = {*ONE_NAME, "h5 v2", "folder v2", "folder v2 plain", "Parse", "loom", "loom layers"}


def _forms() -> list[Variant]:
    found = [Variant(f"form {name}", write, raw="same") for name, write in FORMS.items()]
    refused = Variant("form pattern", forms.mex(field="pattern"), right=REFUSED)
    return [*found, refused, Variant("form alevin-fry", forms.alevin)]


def _layers() -> list[Variant]:
    read = {
        "X by column": layers.by_column,
        "X filled": layers.filled,
        "X integers": layers.as_integers,
        "layer counts": layers.counts_and_log(),
        "layer raw_counts": layers.counts_and_log("raw_counts"),
        "layer UMIs": layers.counts_and_log("UMIs"),
        "raw and log": layers.raw_and_log,
        "raw and scaled": layers.raw_and_scaled,
        "velocyto total": layers.velocyto(total=True),
        "velocyto parts": layers.velocyto(total=False),
        "scVelo": layers.spliced_and_log,
        "nac": layers.nascent,
        "decontX beside": layers.decontx_beside,
        "SoupX rounded": layers.soupx_rounded,
        "CellBender beside raw": layers.cellbender_beside_raw,
    }
    refused = {
        "scaled alone": layers.scaled_alone,
        "log alone": layers.log_alone,
        "log in raw": layers.log_in_raw,
        "decontX alone": layers.decontx_alone,
        "CellBender": layers.cellbender,
        "scaled counts": layers.rpkm,
    }
    either = {
        "layer of another name": layers.counts_and_log("my_umi_matrix"),
        # The CAR before the infusion goes with the undetected genes.
        "undetected removed": layers.without_undetected,
    }
    return [
        Variant(f"layers {name}", forms.h5ad(change), right=right)
        for right, changes in ((READ, read), (REFUSED, refused), (EITHER, either))
        for name, change in changes.items()
    ]


def _cells() -> list[Variant]:
    """Return ways to write barcodes: matrix, raw matrix and contigs unlike each other."""
    names = list(BARCODES)
    found = [
        Variant(
            f"barcodes {name}",
            forms.mex() if i % 2 else forms.h5ad(),
            barcodes=name,
            raw_barcodes=names[(i + 3) % len(names)],
            contig_barcodes=names[(i + 7) % len(names)],
            raw="same",
        )
        for i, name in enumerate(names)
    ]
    return [
        *found,
        Variant("contigs bare", forms.tenx_h5, contig_barcodes="bare"),
        Variant("contigs aggregated", forms.tenx_h5, contig_barcodes="aggregated"),
        Variant("contigs prefix", forms.mex(), barcodes="bare", contig_barcodes="prefix"),
    ]


def _features() -> list[Variant]:
    """Return features beside the genes, typed in all sorts of words."""
    words = ("all NA", "none", "invented", "genome", "NA beside RNA")
    found = [
        Variant(
            f"types {types} / {panel}",
            forms.h5ad(type_column=("feature_types", "Type", "modality")[i % 3])
            if i % 2
            else forms.mex(),
            types=types,
            panel=panel,
            others=("hashtags", "peaks", "guides")[: i % 4],
            right=EITHER if types in words else READ,
        )
        for i, (types, panel) in enumerate(zip(TYPES, itertools.cycle(PANELS), strict=False))
    ]
    # Symbols alone: without types an antibody under a gene's own symbol may be refused.
    found += [
        Variant(
            f"symbols / {panel} / {types}",
            write,
            ids="symbols",
            panel=panel,
            types=types,
            right=READ if types == "GEX" else EITHER,
        )
        for panel, types, write in (
            ("vendors", "none", forms.one_column),
            ("symbols", "none", forms.one_column),
            ("words", "none", forms.dense()),
            ("marked", "none", forms.hdf5array),
            ("Seurat", "none", forms.dense(r_header=True)),
            ("barcoded", "none", forms.kallisto),
            ("symbols", "GEX", forms.h5ad(type_column="Type")),
            ("words", "GEX", forms.mex()),
            ("symbols", "all NA", forms.tenx_h5),
        )
    ]
    found += [
        Variant(f"genes as {ids}", write, ids=ids, types="none", right=right)
        for ids, write, right in (
            ("ids only", forms.mex(version=2), READ),
            ("symbols", forms.h5ad(), READ),
            ("versions", forms.dense(), READ),
            # The CAR has the prefix too: the sheet's name of it is refused with the way out.
            ("GRCh38_", forms.tenx_h5, EITHER),
            ("GRCh38-", forms.h5ad(), READ),
            ("hg38_ symbols", forms.one_column, EITHER),
            ("id_symbol", forms.dense(), EITHER),
        )
    ]
    return [*found, Variant("h5mu / vendors", forms.h5mu, panel="vendors", types="none")]


def _combinations(number: int = 40, seed: int = 18) -> list[Variant]:
    rng = random.Random(seed)
    known = ["Cell Ranger", "GEX", "RNA", "rna", "biotype", "lncRNA too"]
    found = []
    for k in range(number):
        form = rng.choice(list(FORMS))
        panel = rng.choice(["", "", *PANELS])
        types = "none" if form in UNTYPED_FORMS else rng.choice([*known, "none", "all NA"])
        ids = rng.choice(["ids", "ids", "symbols", "versions", "GRCh38_", "ids only"])
        sure = types in known or not panel
        found.append(
            Variant(
                f"drawn {k}: {form}",
                FORMS[form],
                *(rng.choice(list(BARCODES)) for _ in range(3)),
                types,
                ids,
                panel,
                tuple(x for x in ("hashtags", "peaks", "guides") if rng.random() < 0.15),
                rng.choice(["same", "Cell Ranger"]),
                READ if sure else EITHER,
            )
        )
    # Peaks and guides without a type beside symbols are no genes; nothing else is promised.
    return [
        replace(v, right=EITHER) if (v.others and v.types == "none") or v.ids == "GRCh38_" else v
        for v in found
    ]


@dataclass(frozen=True)
class Base:
    """The plain cohort: its folder, its libraries and rows of its sheet."""

    folder: Path
    rows: list[dict[str, str]]

    @property
    def sheet(self) -> Path:
        return self.folder / "samples.tsv"


def make_base(folder: Path, plan: Path) -> Base:
    """Simulate the plain cohort, with T- and B-cell receptors of its patient."""
    made = read_plan(plan)
    simulate_cohort(folder, plan=_with_contigs(made), seed=3)
    truth = pd.read_parquet(folder / "truth/cells.parquet")
    with open(folder / "samples.tsv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    for row in rows:
        if row["patient_id"] != "H1":
            place = f"matrices/{row['sample_id']}/bcr.csv"
            cells = truth[truth["sample_id"] == row["sample_id"]]
            _b_cell_contigs(cells).to_csv(folder / place, index=False)
            row["bcr_contigs"] = place
    _write_sheet(folder, rows)
    return Base(folder, rows)


def _with_contigs(plan: CohortPlan) -> CohortPlan:
    patients = tuple(
        replace(one, libraries=tuple(replace(lib, contigs=True) for lib in one.libraries))
        for one in plan.patients
    )
    return replace(plan, patients=patients)


def _b_cell_contigs(cells: pd.DataFrame) -> pd.DataFrame:
    """Return contigs of plasma and B cells: the clone's own, else each cell another."""
    rng = np.random.default_rng(8)
    rows = []
    for cell in cells[cells["light_chain"].notna() & (cells["quality"] != "debris")].itertuples():
        light = "IGK" if cell.light_chain == "kappa" else "IGL"
        own = "TGTGCGAGAGATCTTGACTACTGG" if cell.malignant else _cdr3(rng)
        chains = {"IGH": ("IGHV3-23", own), light: (cell.v_gene, "TGTCAGCAGTATGGTAGCTCATTC")}
        for number, (chain, (v_gene, cdr3_nt)) in enumerate(chains.items(), start=1):
            rows.append(
                {
                    "barcode": cell.barcode,
                    "is_cell": "True",
                    "contig_id": f"{cell.barcode}_contig_{number}",
                    "high_confidence": "True",
                    "chain": chain,
                    "v_gene": v_gene,
                    "j_gene": f"{chain}J1",
                    "productive": "True",
                    "cdr3_nt": cdr3_nt,
                    "reads": 900,
                    "umis": 12,
                }
            )
    return pd.DataFrame(rows)


def _cdr3(rng: np.random.Generator) -> str:
    """Return a CDR3 without stop codons."""
    codons = ["GCT", "GAT", "TAT", "GGT", "AGC", "CGT", "AAA"]
    return "TGT" + "".join(rng.choice(codons, 8)) + "TGG"


def _write_sheet(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    with open(folder / "samples.tsv", "w", encoding="utf-8", newline="") as handle:
        sheet = csv.DictWriter(handle, list(rows[0]), delimiter="\t", lineterminator="\n")
        sheet.writeheader()
        sheet.writerows(rows)


def write_cohort(variant: Variant, base: Base, folder: Path) -> Path:
    """Write the cohort as a variant has it; return the sheet."""
    rows = []
    for row in base.rows:
        own = folder / "matrices" / row["sample_id"]
        own.mkdir(parents=True)
        new = dict(row)
        for column, style in (
            ("matrix", variant.barcodes),
            ("raw_matrix", variant.raw_barcodes),
        ):
            new[column] = str(_write_matrix(variant, base.folder / row[column], own, column, style))
        for column in ("tcr_contigs", "bcr_contigs"):
            if row[column]:
                target = own / f"{column}.csv.gz"
                _write_contigs(base.folder / row[column], target, variant.contig_barcodes)
                new[column] = str(target)
        rows.append(new)
    _write_sheet(folder, rows)
    shutil.copytree(base.folder / "clinical", folder / "clinical")
    return folder / "samples.tsv"


def _write_matrix(variant: Variant, source: Path, own: Path, column: str, style: str) -> Path:
    raw = column == "raw_matrix"
    write = forms.tenx_h5 if raw and variant.raw == "Cell Ranger" else variant.write
    words = "Cell Ranger" if raw and variant.raw == "Cell Ranger" else variant.types
    ids = "ids" if raw and variant.raw == "Cell Ranger" else variant.ids
    if raw and variant.raw == "none":
        return Path()
    (own / column).mkdir()
    return write(own / column, written(source, variant, style, words, ids))


def written(source: Path, variant: Variant, style: str, words: str, ids: str) -> Written:
    """Return a library's matrix in a variant's words, with its further features."""
    file = read_tenx(source)
    rna, antibody, hashtag, peak, guide = TYPES[words]
    pairs = [IDS[ids](i, n) for i, n in zip(file.ids, file.names, strict=True)]
    types = [rna] * len(pairs)
    rng = np.random.default_rng(len(file.barcodes))
    blocks = []
    further = [(name, antibody, 30.0) for name in PANELS.get(variant.panel, ())]
    if "hashtags" in variant.others:
        further += [(f"Hashtag_{k}", hashtag, 20.0) for k in (1, 2)]
    if "peaks" in variant.others:
        further += [(f"chr1:{k}0000-{k}0900", peak, 0.5) for k in range(1, 60)]
    if "guides" in variant.others:
        further += [(f"sgNT_{k}", guide, 3.0) for k in (1, 2)]
    # Droplets without a cell hold less of everything.
    total = np.asarray(file.matrix.sum(axis=1)).ravel()
    size = np.minimum(total / max(np.median(total), 1), 3)[:, None]
    for name, word, mean in further:
        blocks.append(rng.poisson(mean * size))
        pairs.append((None if ids.endswith("symbols") else name, name))
        types.append(word)
    matrix = sparse.hstack([file.matrix, *map(sparse.csr_matrix, blocks)]).tocsr()
    cores = [barcode.removesuffix("-1") for barcode in file.barcodes]
    return Written(
        matrix=matrix.astype(np.int32),
        barcodes=[BARCODES[style].format(core) for core in cores],
        ids=None if pairs[0][0] is None else [i for i, _ in pairs],
        names=[n for _, n in pairs],
        types=types,
    )


def _write_contigs(source: Path, target: Path, style: str) -> None:
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    cores = table["barcode"].str.removesuffix("-1")
    table["barcode"] = [BARCODES[style].format(core) for core in cores]
    text = table.to_csv(index=False)
    with gzip.open(target, "wt", encoding="utf-8") as handle:
        handle.write(text)
