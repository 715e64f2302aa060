"""Freeze a cohort's results as a reference: sums over groups of cells, under new names."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.antigens.records import Measure, Subset
from relapsescope.car_t.files import CAR_FILES
from relapsescope.car_t.settings import CarSettings, FractionSettings
from relapsescope.car_t.transgene_rates import RATE_COLUMNS, rate_rows
from relapsescope.clones.normal_panel import read_panel, write_panel
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import Library, read_sheet
from relapsescope.reference.atlas_file import freeze_atlas
from relapsescope.reference.files import FILES
from relapsescope.reference.manifest import Manifest, read_manifest, write_manifest
from relapsescope.settings import settings_of
from relapsescope.tables import read_tsv, write_parquet, write_tsv
from relapsescope.vocabulary import FROZEN

# What people without CAR-T show: with these others are compared.
TIMEPOINTS = ("healthy", "untreated", "pre_infusion")
# What the run's own manifest says of what made it.
OF_THE_RUN = ("git_commit", "versions", "settings_sha256", "lock_sha256", "seed", "reference")
# Groups of fewer cells are left out: a sum over one cell would be that cell's counts.
MIN_GROUP_CELLS = 10
# Kinds of groups that comparisons read; clones are private to a patient and stay at home.
KINDS = ("normal_plasma", "all_malignant", "lineage", "cell_type")
MEASURES = ("median_total_counts", "ambient_fraction", "median_pct_counts_mt", "n_pass")
LIBRARY_COLUMNS = (
    *("sample_id", "patient_id", "timepoint", "day", "tissue", "sorting", "chemistry"),
    *MEASURES,
)
COMPOSITION_COLUMNS = ("sample_id", "patient_id", "timepoint", "cell_type", "n_cells")


def freeze(
    results: Path,
    folder: Path,
    *,
    name: str = "",
    add: Path | None = None,
    code: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a reference of a finished run into `folder` and return its manifest.

    It holds numbers of groups of at least `MIN_GROUP_CELLS` cells of libraries taken without
    CAR-T, under numbered names; the transgene's rate in each library that shows one; of the atlas
    latent coordinates, types and map of its reference cells. No barcode, no name, no day and no
    count of a single cell is in it.

    Parameters
    ----------
    add
        An earlier reference, whose donors, patients and libraries the new one holds too. The
        atlas is the run's own.
    code
        What freezes it: commit and versions, for the manifest.

    Raises
    ------
    InputProblem
        When the run is not finished, `folder` is not empty, or `add` is no frozen reference.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputProblem(
            f"{folder}: not empty; name another folder, a reference is never changed"
        )
    run = _finished(results)
    sheet = read_sheet(run["config"]["samples"])
    kept = _kept(results, sheet)
    earlier = read_manifest(add) if add else None
    if earlier and earlier.kind != FROZEN:
        raise InputProblem(f"{add}: only a frozen reference can be added to")
    if not kept:
        raise InputProblem(
            f"{results}: no library of {', '.join(TIMEPOINTS)} passed quality; nothing to freeze"
        )
    names = Names(kept, first=_largest_number(add) if add else 0)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_files(results, partial, kept, names, add)
        _write_rates(results, partial, sheet, run["config"], add)
        libraries = read_tsv(partial / FILES["libraries"])
        manifest = write_manifest(
            partial,
            name=name or folder.name,
            kind=FROZEN,
            between_log_sd=0.0,
            made_from={
                "n_libraries": len(libraries),
                "n_people": int(libraries["patient_id"].nunique()),
                "adds_to": earlier.sha256 if earlier else "",
                "run": {name: run.get(name) for name in OF_THE_RUN},
                "frozen_by": dict(code or {}),
            },
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


class Names:
    """New names of libraries and people, numbered in an order that tells nothing."""

    def __init__(self, libraries: Sequence[Library], *, first: int = 0) -> None:
        """Give the libraries and their patients numbers from `first` + 1 on."""
        ordered = sorted(libraries, key=lambda one: (one.timepoint, one.patient_id, one.sample_id))
        people = dict.fromkeys(library.patient_id for library in ordered)
        self.sample = {
            one.sample_id: f"reference_{first + i + 1:04d}" for i, one in enumerate(ordered)
        }
        self.person = {
            person: f"reference_person_{first + i + 1:04d}" for i, person in enumerate(people)
        }

    def rename(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of named libraries, under their new names."""
        own = frame[frame["sample_id"].isin(list(self.sample))]
        renamed = {"sample_id": own["sample_id"].map(self.sample)}
        if "patient_id" in own:
            renamed["patient_id"] = own["patient_id"].map(self.person)
        return own.assign(**renamed).reset_index(drop=True)


def _finished(results: Path) -> dict[str, Any]:
    """Return a run's manifest; a problem where it did not end well."""
    try:
        run = json.loads((results / "run_manifest.json").read_text(encoding="utf-8"))
        if run["state"] == "succeeded" and Path(run["config"]["samples"]).is_file():
            return run
        state = run["state"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputProblem(
            f"{results}: no run_manifest.json; give a finished run's folder"
        ) from None
    if state == "succeeded":
        what = f"its sheet {run['config']['samples']} is not there; run this where the run was run"
        raise InputProblem(f"{results}: {what}")
    raise InputProblem(f"{results}: the run is {state}, not succeeded; finish it first")


def _kept(results: Path, sheet: Sequence[Library]) -> list[Library]:
    """Return the libraries without CAR-T that did not fail."""
    verdicts = read_tsv(results / "tables/samples.tsv")
    passed = set(verdicts.loc[verdicts["verdict"] != "fail", "sample_id"])
    return [one for one in sheet if one.timepoint in TIMEPOINTS and one.sample_id in passed]


def _largest_number(folder: Path) -> int:
    table = read_tsv(folder / FILES["libraries"])
    ends = [*table["sample_id"], *table["patient_id"]]
    return max((int(name.rsplit("_", 1)[1]) for name in ends), default=0)


def _write_files(
    results: Path, folder: Path, kept: Sequence[Library], names: Names, add: Path | None
) -> None:
    people = dict.fromkeys(library.patient_id for library in kept)
    for file in ("molecules", "pooled", "niche"):
        paths = [results / "patients" / person / f"{file}.parquet" for person in people]
        frames = [names.rename(pd.read_parquet(path)) for path in paths if path.is_file()]
        frames = [*_earlier(add, file), *(_grouped(frame, file) for frame in frames)]
        frames = [frame for frame in frames if not frame.empty]
        if frames:
            joined = pd.concat(frames, ignore_index=True)
            columns = {name: _plain(joined[name]) for name in joined.columns}
            write_parquet(folder / FILES[file], columns)
    composition = read_tsv(results / "tables/microenvironment.tsv")
    frame = names.rename(composition)[list(COMPOSITION_COLUMNS)]
    frame = pd.concat([*_earlier(add, "composition"), frame], ignore_index=True)
    write_tsv(folder / FILES["composition"], COMPOSITION_COLUMNS, frame.to_dict("records"))
    frame = pd.concat(
        [*_earlier(add, "libraries"), _library_table(results, kept, names)], ignore_index=True
    ).fillna("")
    write_tsv(folder / FILES["libraries"], LIBRARY_COLUMNS, frame.to_dict("records"))
    _freeze_panel(results, folder, names, add)
    freeze_atlas(results, folder, names.sample)


def _write_rates(
    results: Path,
    folder: Path,
    sheet: Sequence[Library],
    config: Mapping[str, Any],
    add: Path | None,
) -> None:
    """Write the transgene's rate in each library that shows one, after CAR-T too."""
    people = dict.fromkeys(library.patient_id for library in sheet)
    paths = [results / "patients" / person / CAR_FILES["car_cells"] for person in people]
    rows = rate_rows(
        [library.as_params() for library in sheet],
        [path for path in paths if path.is_file()],
        settings_of(CarSettings, config["car_calls"], name="car_calls"),
        settings_of(FractionSettings, config["car_fraction"], name="car_fraction"),
    )
    earlier = [row for frame in _earlier(add, "transgene") for row in frame.to_dict("records")]
    write_tsv(folder / FILES["transgene"], RATE_COLUMNS, [*earlier, *rows])


def _plain(values: pd.Series) -> np.ndarray:
    # A column that an earlier reference lacks.
    array = (values.fillna("") if values.dtype == object else values).to_numpy()
    return array.astype(float) if array.dtype.kind in "iub" else array


def _earlier(add: Path | None, file: str) -> list[pd.DataFrame]:
    path = add / FILES[file] if add else None
    if path is None or not path.is_file():
        return []
    if path.suffix == ".parquet":
        return [pd.read_parquet(path)]
    return [read_tsv(path)]


def _grouped(frame: pd.DataFrame, file: str) -> pd.DataFrame:
    """Return the rows of groups that may travel: enough cells, no clone of a patient."""
    kept = frame["n_cells"] >= MIN_GROUP_CELLS
    if file == "niche":
        return frame[kept]
    kept &= frame["kind"].isin(KINDS)
    if file == "molecules":
        # What is told of a group is its own cells' RNA; parts of it are for its patient's clones.
        kept &= (frame["subset"] == Subset.OWN) & (frame["measure"] == Measure.RNA)
        return frame[kept].drop(columns=["subset", "measure"])
    return frame[kept]


def _library_table(results: Path, kept: Sequence[Library], names: Names) -> pd.DataFrame:
    measures = read_tsv(results / "tables/samples.tsv")
    measures = names.rename(measures).set_index("sample_id")
    rows: list[Mapping[str, Any]] = [
        {
            "sample_id": names.sample[library.sample_id],
            "patient_id": names.person[library.patient_id],
            "timepoint": library.timepoint,
            "day": "",
            "tissue": library.tissue,
            "sorting": library.sorting,
            "chemistry": library.chemistry,
        }
        | {
            name: measures.loc[names.sample[library.sample_id], name]
            for name in LIBRARY_COLUMNS[7:]
        }
        for library in kept
    ]
    table = pd.DataFrame(rows, columns=list(LIBRARY_COLUMNS))
    return table.sort_values("sample_id", ignore_index=True)


def _freeze_panel(results: Path, folder: Path, names: Names, add: Path | None) -> None:
    """Write the panel of normal plasma cells, joined with the earlier reference's donors."""
    path = results / "clones/normal_plasma.npz"
    panel = read_panel(path)
    few = [name for name, n in zip(panel.donors, panel.n_cells, strict=True) if n < MIN_GROUP_CELLS]
    for donor in [*few, *(name for name in panel.donors if name not in names.person)]:
        panel = panel.without(donor)
    panel = replace(
        panel,
        donors=np.array([names.person[name] for name in panel.donors], dtype=object),
        usage={names.person[name]: value for name, value in panel.usage.items()},
    )
    if add and (add / FILES["panel"]).is_file():
        panel = read_panel(add / FILES["panel"]).joined(panel)
    write_panel(folder / FILES["panel"], panel)
