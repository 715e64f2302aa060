"""Libraries placed on a frozen atlas: where their cells lie, and what it does not know."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.atlas.build import INTEGRATION_COLUMNS
from relapsescope.atlas.library_cells import LibraryCells, read_counts_of, read_libraries
from relapsescope.atlas.quality import DESCRIPTIONS
from relapsescope.reference.atlas_file import ReferenceAtlas, read_atlas
from relapsescope.reference.files import FILES
from relapsescope.reference.manifest import read_manifest
from relapsescope.reference.novelty import COLUMNS, none_placed, novelty_rows, refusal
from relapsescope.reference.placing import Placed, place
from relapsescope.reference.settings import NoveltySettings
from relapsescope.settings import settings_of
from relapsescope.tables import read_columns, read_tsv, write_parquet, write_tsv


def place_libraries(
    rows: Sequence[Mapping[str, Any]],
    *,
    reference: str,
    counts_paths: Sequence[str],
    cells_paths: Sequence[str],
    genes_paths: Sequence[str],
    summary_paths: Sequence[str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Place the libraries' immune cells on a frozen atlas and write where they lie.

    The reference is read and never changed; nothing is trained, so torch is not needed.

    Parameters
    ----------
    rows
        The sheet's rows, in the order of the paths.
    reference
        Folder of the reference.
    outputs
        Paths by `embedding`, `latent`, `genes`, `integration`, `markers`, `novelty`.
    settings
        The configuration's section `novelty`.
    """
    limits = settings_of(NoveltySettings, settings, name="novelty")
    folder = Path(reference)
    atlas, name = read_atlas(folder), read_manifest(folder).name
    measures, composition = (
        read_tsv(folder / FILES[file]) for file in ("libraries", "composition")
    )
    libraries = {
        one.sample_id: one
        for one in read_libraries(counts_paths, cells_paths, genes_paths, summary_paths)
    }
    found: list[dict[str, np.ndarray]] = []
    novelty: list[dict[str, Any]] = []
    for row, cells_path, summary_path in zip(rows, cells_paths, summary_paths, strict=True):
        sample = str(row["sample_id"])
        summary = json.loads(Path(summary_path).read_text(encoding="utf-8"))
        if summary["verdict"] == "fail":
            continue
        if sample not in libraries:
            novelty += none_placed([sample])
            continue
        placed, missing = _placed(atlas, libraries[sample], limits)
        novelty += novelty_rows(
            {**summary, **row, "missing_genes": missing},
            placed,
            libraries[sample].cell_type,
            atlas,
            measures,
            composition=composition,
            own_composition=_composition(Path(cells_path)),
            settings=limits,
        )
        if placed is not None:
            found.append(_columns(libraries[sample], placed))
    _write(found, atlas, outputs)
    write_tsv(Path(outputs["novelty"]), COLUMNS, novelty)
    shutil.copyfile(folder / FILES["genes"], outputs["genes"])
    shutil.copyfile(folder / FILES["markers"], outputs["markers"])
    note = f"placed on the reference {name}: no measure of this cohort's own integration"
    names = [
        {"measure": measure, "embedding": embedding, "n_cells": 0, "description": text}
        for embedding in ("unintegrated", "integrated")
        for measure, text in DESCRIPTIONS.items()
    ]
    names.append({"measure": "note", "embedding": "integrated", "n_cells": 0, "description": note})
    write_tsv(Path(outputs["integration"]), INTEGRATION_COLUMNS, names)


def _placed(
    atlas: ReferenceAtlas, library: LibraryCells, limits: NoveltySettings
) -> tuple[Placed | None, float]:
    """Return a library's places, None where it is refused, and the share of genes it lacks."""
    known = set(library.genes.gene_ids)
    there = np.array([gene for gene in atlas.gene_ids if gene in known], dtype=object)
    missing = 1 - len(there) / max(len(atlas.gene_ids), 1)
    if refusal(missing, limits):
        return None, missing
    counts = read_counts_of([library], there)
    return place(atlas, counts, there, library.total_counts, library.cell_type), missing


def _composition(path: Path) -> dict[str, int]:
    """Return the number of usable cells of each type."""
    cells = read_columns(path, ["qc_pass", "cell_type"])
    kinds = cells["cell_type"][cells["qc_pass"].astype(bool)].astype(str)
    names, counts = np.unique(kinds, return_counts=True)
    return {str(name): int(n) for name, n in zip(names, counts, strict=True)}


def _columns(library: LibraryCells, placed: Placed) -> dict[str, np.ndarray]:
    n = len(library.barcodes)
    return {
        "sample_id": np.full(n, library.sample_id, dtype=object),
        "barcode": library.barcodes,
        "umap_1": placed.coordinates[:, 0],
        "umap_2": placed.coordinates[:, 1],
        "leiden": placed.leiden,
        "placed_type": placed.placed_type,
        "novel": placed.novel,
        "latent": placed.latent,
    }


def _write(
    found: Sequence[Mapping[str, np.ndarray]],
    atlas: ReferenceAtlas,
    outputs: Mapping[str, str],
) -> None:
    nothing = {
        **dict.fromkeys(("sample_id", "barcode"), np.array([], dtype=object)),
        **dict.fromkeys(("umap_1", "umap_2"), np.array([], dtype=np.float32)),
        **dict.fromkeys(("leiden", "placed_type"), np.array([], dtype=object)),
        "novel": np.array([], dtype=bool),
        "latent": np.zeros((0, atlas.latent.shape[1]), dtype=np.float32),
    }
    columns = {
        name: np.concatenate([part[name] for part in found]) if found else empty
        for name, empty in nothing.items()
    }
    latent = columns.pop("latent")
    write_parquet(Path(outputs["embedding"]), columns)
    keys = {name: columns[name] for name in ("sample_id", "barcode")}
    axes = {f"latent_{i + 1}": axis for i, axis in enumerate(latent.T)}
    write_parquet(Path(outputs["latent"]), {**keys, **axes})
