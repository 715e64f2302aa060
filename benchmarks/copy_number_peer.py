"""infercnvpy beside our arm-level copy number: the same cells, genes, reference and truth.

    python benchmarks/copy_number_peer.py RUN:COHORT [RUN:COHORT ...] --output TABLE.md

RUN is a finished run's `results/`, COHORT a simulated cohort's folder with `samples.tsv` and
`truth/`. Both methods judge the run's own clones. infercnvpy calls no events: its windows are
averaged by arm and clone, and an arm whose mean is further from nought than a threshold counts as
an event. Two thresholds are shown: three standard deviations of the arms of the reference donors,
and, in its favour, the one that would have been best on the cohort itself.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.clones.copy_number import arm_map, normal_floor  # noqa: E402
from relapsescope.clones.malignancy import group_arms  # noqa: E402
from relapsescope.clones.normal_panel import read_panel  # noqa: E402
from relapsescope.clones.normal_plasma import normal_cells  # noqa: E402
from relapsescope.clones.patient_cells import patient_cells  # noqa: E402
from relapsescope.clones.patient_clones import clone_settings  # noqa: E402
from relapsescope.clones.plasma_cells import (  # noqa: E402
    common_genes,
    gene_space,
    library_files,
    read_plasma_library,
)
from relapsescope.run.config_file import default_values  # noqa: E402

WINDOW, STEP = 100, 10
THRESHOLDS = np.arange(0.004, 0.2, 0.002)
MIN_TRUE, MIN_CALLED = 10, 5


class Cohort:
    """A run's plasma cells with its clone calls, and the truth."""

    def __init__(self, run: Path, folder: Path) -> None:
        """Read the sheet, the run's panel and the truth of the clones."""
        self.run, self.folder = run, folder
        config = default_values()
        self.settings = clone_settings(config)
        self.sheet = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
        self.panel = read_panel(run / "clones/normal_plasma.npz")
        self.truth = pd.read_csv(
            folder / "truth/clones.tsv", sep="\t", dtype=str, keep_default_na=False
        )

    def libraries(self, rows: pd.DataFrame) -> tuple[list, np.ndarray]:
        """Return the plasma libraries of these rows over the panel's genes, and the genes."""
        names = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
        paths = [
            [str(self.run / "libraries" / sample / name) for sample in rows["sample_id"]]
            for name in names
        ]
        files = library_files(rows.to_dict("records"), *paths)
        ids = common_genes(files, self.panel.gene_ids)
        return [read_plasma_library(one, ids) for one in files], ids

    def patients(self) -> list[str]:
        """Return those who have myeloma."""
        ill = self.sheet[self.sheet["timepoint"] != "healthy"]
        return list(dict.fromkeys(ill["patient_id"]))

    def calls(self, patient: str) -> pd.DataFrame:
        """Return the run's clone of each malignant plasma cell."""
        cells = pd.read_parquet(self.run / "patients" / patient / "cells.parquet")
        return cells[cells["clone_id"].notna()]

    def score(self, events: dict[tuple[str, str], set[str]]) -> tuple[int, int, int]:
        """Return hits, false and missed arms over patients × timepoints.

        Parameters
        ----------
        events
            Arms by patient and clone, as ``+1q``.
        """
        sizes = pd.read_csv(
            self.run / "tables/clones.tsv", sep="\t", dtype=str, keep_default_na=False
        )
        hit = false = missed = 0
        for (patient, timepoint), rows in self.truth.groupby(["patient_id", "timepoint"]):
            rows = rows[rows["n_cells"].astype(int) >= MIN_TRUE]
            if rows.empty:
                continue
            true = {e for text in rows["cnv_events"] for e in re.split(r"[;,]\s*", text) if e}
            here = sizes[(sizes["patient_id"] == patient) & (sizes["timepoint"] == timepoint)]
            here = here[here["n_cells"].astype(float) >= MIN_CALLED]
            found = {e for c in set(here["clone_id"]) for e in events.get((patient, c), set())}
            found = {e for e in found if e[1:] in ARMS}
            hit, false = hit + len(true & found), false + len(found - true)
            missed += len(true - found)
        return hit, false, missed


ARMS = {f"{c}{a}" for c in range(1, 23) for a in "pq"} - {"13p", "14p", "15p", "21p", "22p"}


def ours(cohort: Cohort) -> dict[tuple[str, str], set[str]]:
    """Return our events by patient and clone."""
    settings, found = cohort.settings, {}
    for patient in cohort.patients():
        libraries, ids = cohort.libraries(cohort.sheet[cohort.sheet["patient_id"] == patient])
        panel = cohort.panel.without(patient).on(ids)
        arms = arm_map(gene_space(ids).arms)
        cells = patient_cells(libraries, panel, arms)
        floor = normal_floor(panel, arms, settings=settings.copy_number)
        barcode = [(one.sample_id, name) for one in libraries for name in one.barcodes]
        calls = cohort.calls(patient).set_index(["sample_id", "barcode"])["clone_id"]
        clone = calls.reindex(pd.MultiIndex.from_tuples(barcode)).to_numpy(dtype=object)
        for name in sorted({c for c in clone if isinstance(c, str)}):
            ratios = group_arms(
                cells, clone == name, panel, floor=floor, settings=settings.copy_number
            )
            events = ratios.events(
                probability=settings.copy_number.event_probability,
                min_effect=settings.copy_number.min_effect,
            )
            found[patient, name] = set(events)
    return found


def peer(cohort: Cohort) -> tuple[dict[tuple[str, str], pd.Series], float]:
    """Return infercnvpy's mean by arm, patient and clone, and the donors' standard deviation."""
    import anndata
    import infercnvpy
    from scipy import sparse

    wanted = cohort.sheet["timepoint"].isin(cohort.settings.copy_number.panel_timepoints)
    table = pd.read_csv(REPOSITORY / "resources/genes.tsv", sep="\t", dtype=str).set_index(
        "gene_id"
    )
    means, spread = {}, []
    for patient in cohort.patients():
        rows = cohort.sheet[wanted & (cohort.sheet["patient_id"] != patient)]
        own = cohort.sheet[cohort.sheet["patient_id"] == patient]
        libraries, ids = cohort.libraries(pd.concat([rows, own]))
        everything = gene_space(ids)
        parts, labels = [], []
        full = {one.sample_id: one for one in _with_receptors(cohort, rows)}
        for one in libraries:
            if one.patient_id == patient:
                calls = cohort.calls(patient).set_index(["sample_id", "barcode"])["clone_id"]
                key = pd.MultiIndex.from_product([[one.sample_id], one.barcodes])
                clone = calls.reindex(key).to_numpy(dtype=object)
                chosen = np.array([isinstance(name, str) for name in clone], dtype=bool)
                labels += list(clone[chosen])
            else:
                chosen = full[one.sample_id]
                labels += [f"normal:{one.patient_id}"] * int(chosen.sum())
            parts.append(one.counts[np.flatnonzero(chosen)])
        data = anndata.AnnData(sparse.vstack(parts, format="csr").astype(np.float32))
        data.obs["label"] = labels
        data.obs["kind"] = np.where(data.obs["label"].str.startswith("normal:"), "normal", "tumour")
        data.var_names = list(ids)
        places = table.reindex(ids)
        data.var["chromosome"] = ("chr" + places["chromosome"]).to_numpy()
        data.var["start"] = places["start"].astype(float).fillna(0).astype(int).to_numpy()
        data.var["end"] = places["end"].astype(float).fillna(0).astype(int).to_numpy()
        totals = np.asarray(data.X.sum(axis=1)).ravel()
        data.X = sparse.diags(1e4 / np.maximum(totals, 1)) @ data.X
        data.X = data.X.tocsr()
        data.X.data = np.log1p(data.X.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            infercnvpy.tl.infercnv(
                data,
                reference_key="kind",
                reference_cat="normal",
                window_size=WINDOW,
                step=STEP,
                n_jobs=1,
            )
        arms = _window_arms(data, everything.arms)
        values = data.obsm["X_cnv"]
        for label in sorted(set(labels)):
            mean = np.asarray(values[np.flatnonzero(data.obs["label"] == label)].mean(axis=0))
            by_arm = pd.Series(mean.ravel()).groupby(arms).mean()
            if label.startswith("normal:"):
                spread += list(by_arm)
            else:
                means[patient, label] = by_arm
    return means, float(np.std(spread))


def _with_receptors(cohort: Cohort, rows: pd.DataFrame) -> list:
    """Return masks of the reference's cells, by library, chosen as the workflow does."""
    names = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
    paths = [
        [str(cohort.run / "libraries" / sample / name) for sample in rows["sample_id"]]
        for name in names
    ]
    files = library_files(rows.to_dict("records"), *paths)
    ids = common_genes(files)
    symbols = gene_space(ids).symbols
    found = []
    for one in files:
        library = read_plasma_library(one, ids)
        mask, _, _ = normal_cells(library, symbols, settings=cohort.settings.immunoglobulin)
        found.append(_Mask(library.sample_id, mask))
    return found


class _Mask(np.ndarray):
    """A mask that knows its library."""

    sample_id: str

    def __new__(cls, sample_id: str, mask: np.ndarray) -> "_Mask":
        """Return `mask` as a view with a name."""
        view = np.asarray(mask).view(cls)
        view.sample_id = sample_id
        return view


def _window_arms(data, arms: np.ndarray) -> np.ndarray:
    """Return the arm of the middle gene of each of infercnvpy's windows."""
    starts = data.uns["cnv"]["chr_pos"]
    n_windows = data.obsm["X_cnv"].shape[1]
    ends = [*list(starts.values())[1:], n_windows]
    place = pd.Series(arms, index=data.var_names)
    found = []
    for (chromosome, start), end in zip(starts.items(), ends, strict=True):
        genes = data.var[data.var["chromosome"] == chromosome].sort_values("start").index
        for i in range(end - start):
            middle = min(i * STEP + min(WINDOW, len(genes)) // 2, len(genes) - 1)
            found.append(place[genes[middle]])
    return np.array(found, dtype=object)


def above(means: dict[tuple[str, str], pd.Series], threshold: float) -> dict:
    """Return the arms beyond a threshold as events."""
    return {
        key: {f"{'+' if v > 0 else '-'}{a}" for a, v in arms.items() if abs(v) >= threshold}
        for key, arms in means.items()
    }


def measure(method: str, run: str, folder: str) -> dict[str, object]:
    """Return a method's scores and cost on one cohort; made to be a process of its own."""
    cohort = Cohort(Path(run), Path(folder))
    started = time.process_time()
    if method == "ours":
        scores = {"ours": cohort.score(ours(cohort))}
    else:
        means, spread = peer(cohort)
        best = max(THRESHOLDS, key=lambda t: _f1(cohort.score(above(means, t))))
        scores = {
            "infercnvpy, 3 sd of donors": cohort.score(above(means, 3 * spread)),
            f"infercnvpy, best threshold ({best:.3f})": cohort.score(above(means, best)),
        }
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"scores": scores, "cpu": time.process_time() - started, "mb": rss}


def _f1(counts: tuple[int, int, int]) -> float:
    hit, false, missed = counts
    return 2 * hit / max(2 * hit + false + missed, 1)


def main() -> None:
    """Run each method on each cohort in a process of its own and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohorts", nargs="+", metavar="RUN:COHORT")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--method", choices=("ours", "infercnvpy"))
    arguments = parser.parse_args()
    if arguments.method:
        print(json.dumps(measure(arguments.method, *arguments.cohorts[0].split(":"))))
        return
    lines = [
        "| cohort | method | precision | recall | arm events | CPU s | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for cohort in arguments.cohorts:
        for method in ("ours", "infercnvpy"):
            told = subprocess.run(
                [sys.executable, __file__, cohort, "--method", method],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            found = json.loads(told.stdout.splitlines()[-1])
            for name, (hit, false, missed) in found["scores"].items():
                cells = [
                    Path(cohort.split(":")[1]).name,
                    name,
                    f"{hit / max(hit + false, 1):.2f}",
                    f"{hit / max(hit + missed, 1):.2f}",
                    str(hit + missed),
                    f"{found['cpu']:.1f}",
                    f"{found['mb']:.0f}",
                ]
                lines.append("| " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
