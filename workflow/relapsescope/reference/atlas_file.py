"""The part of a reference that places new cells: encoder, cells, what left-out libraries showed."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from relapsescope.atlas.bundle import Bundle, load_bundle
from relapsescope.atlas.integration import Encoder
from relapsescope.atlas.library_cells import read_counts_of, read_libraries
from relapsescope.errors import InputProblem
from relapsescope.reference.files import FILES
from relapsescope.tables import write_json

N_NEIGHBOURS = 15
# Cells of a type in a library, and libraries, from which a type has a limit of its own.
MIN_TYPE_CELLS = 20
MIN_LIBRARIES = 3
# Share of a library's cells that may lie beyond its type's limit, and how surely a new library's.
BEYOND = 0.01
ONE_SIDED = 0.975
ALL_TYPES = ""


@dataclass(frozen=True)
class ReferenceAtlas:
    """A frozen atlas; arrays are of its cells, of its types or of its genes.

    Attributes
    ----------
    latent, coordinates
        (n_cells, n_latent) and (n_cells, 2).
    cell_type, leiden, library
        (n_cells,) str.
    gene_ids
        (n_genes,) that the encoder takes.
    rates
        By cell type, (n_genes,) share of a cell's counts: what a gene that a library's annotation
        lacks is expected to hold.
    limits
        By cell type (`ALL_TYPES` for those without their own), what left-out libraries showed.
    """

    encoder: Encoder
    gene_ids: np.ndarray
    latent: np.ndarray
    coordinates: np.ndarray
    cell_type: np.ndarray
    leiden: np.ndarray
    library: np.ndarray
    rates: Mapping[str, np.ndarray]
    limits: Mapping[str, "TypeLimit"]


@dataclass(frozen=True)
class TypeLimit:
    """How far cells of a left-out library lie from the other libraries' cells.

    Attributes
    ----------
    distance
        Mean distance to the neighbours beyond which a cell is novel.
    centre, spread
        Mean and standard deviation over libraries of their mean log distance.
    n_libraries
        Libraries that it rests on.
    """

    distance: float
    centre: float
    spread: float
    n_libraries: int


def freeze_atlas(results: Path, folder: Path, samples: Mapping[str, str]) -> None:
    """Write the atlas of a run into a reference: only libraries of `samples`, under new names.

    Cells of libraries after CAR-T help to shape the latent space and stay behind. A run whose
    atlas holds principal components, or no cell of these libraries, gives none.
    """
    path = results / "atlas/bundle"
    if not (path / "bundle.json").is_file():
        return
    bundle = load_bundle(path)
    kept = np.isin(bundle.reference.library.astype(str), list(samples))
    if bundle.encoder.kind != "scVI" or kept.sum() <= N_NEIGHBOURS:
        return
    target = folder / FILES["description"]
    target.parent.mkdir(parents=True, exist_ok=True)
    library = np.array([samples[name] for name in bundle.reference.library[kept]], dtype=object)
    cell_type = bundle.reference.cell_type[kept].astype(str).astype(object)
    latent = np.round(bundle.reference.latent[kept], 4)
    words = {
        "cell_type": cell_type,
        "leiden": bundle.reference.leiden[kept].astype(str).astype(object),
        "library": library,
    }
    cells = {"latent": latent, "coordinates": bundle.reference.coordinates[kept]}
    labels = {}
    for name, values in words.items():
        labels[name], codes = np.unique(values.astype(str), return_inverse=True)
        cells[name] = codes.astype(np.int32)
    limits = left_out_limits(latent, cell_type, library)
    rates = type_rates(results, bundle, list(samples))
    layers = {f"weight_{i}": w for i, w in enumerate(bundle.encoder.weights)}
    layers |= {f"offset_{i}": o for i, o in enumerate(bundle.encoder.offsets)}
    types = {
        "rate_types": np.array(list(rates), dtype="S"),
        "rates": np.array(list(rates.values()), dtype=np.float32),
        "limit_types": np.array(list(limits), dtype="S"),
        "limits": np.array(
            [(o.distance, o.centre, o.spread, o.n_libraries) for o in limits.values()], float
        ),
    }
    for name, arrays in (("encoder", layers), ("cells", cells), ("types", types)):
        np.savez_compressed(folder / FILES[name], **arrays)
    write_json(
        target,
        {
            "encoder": bundle.encoder.kind,
            "n_layers": len(bundle.encoder.weights),
            "gene_id": list(bundle.gene_ids),
            "labels": {name: list(values) for name, values in labels.items()},
        },
    )
    for name in ("genes", "markers"):
        shutil.copyfile(results / "atlas" / f"{name}.tsv", folder / FILES[name])


def read_atlas(folder: Path) -> ReferenceAtlas:
    """Return the atlas of a reference.

    Raises
    ------
    InputProblem
        Where its files do not fit together.
    """
    try:
        description = json.loads((folder / FILES["description"]).read_text(encoding="utf-8"))
        arrays = {name: _arrays(folder / FILES[name]) for name in ("encoder", "cells", "types")}
        layers = range(description["n_layers"])
        encoder = Encoder(
            tuple(arrays["encoder"][f"weight_{i}"] for i in layers),
            tuple(arrays["encoder"][f"offset_{i}"] for i in layers),
            description["encoder"],
        )
        cells, types = arrays["cells"], arrays["types"]
        words = {
            name: np.array(values, dtype=object)[cells[name]]
            for name, values in description["labels"].items()
        }
        return ReferenceAtlas(
            encoder=encoder,
            gene_ids=np.array(description["gene_id"], dtype=object),
            latent=cells["latent"].astype(np.float32),
            coordinates=cells["coordinates"],
            rates=dict(zip(types["rate_types"].astype(str), types["rates"], strict=True)),
            limits={
                str(name): TypeLimit(*map(float, row[:3]), n_libraries=int(row[3]))
                for name, row in zip(types["limit_types"].astype(str), types["limits"], strict=True)
            },
            **words,
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputProblem(
            f"config reference: the atlas in {folder} cannot be read ({error}); copy it again"
        ) from None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def neighbours_in(
    latent: np.ndarray, reference: np.ndarray, *, k: int = N_NEIGHBOURS
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_cells, k) numbers of the nearest reference cells and their distances; exact."""
    import faiss

    index = faiss.IndexFlatL2(reference.shape[1])
    index.add(np.ascontiguousarray(reference, dtype=np.float32))
    squared, nearest = index.search(
        np.ascontiguousarray(latent, dtype=np.float32), min(k, len(reference))
    )
    return nearest, np.sqrt(np.maximum(squared, 0.0))


def left_out_limits(
    latent: np.ndarray, cell_type: np.ndarray, library: np.ndarray
) -> dict[str, TypeLimit]:
    """Return how far each type's cells lie from other libraries' cells, one library left out.

    A cell's own library is no measure for a new one: it is trained on, and its cells share its
    technical effects. The limit is one that a further library's cells pass in `BEYOND` of the
    cases: the upper `ONE_SIDED` prediction limit of the libraries' own quantiles (normal on the
    log scale; Hahn and Meeker 1991, Statistical Intervals).
    """
    distance = np.full(len(library), np.nan)
    for name in np.unique(library.astype(str)):
        own = library == name
        if own.all():
            continue
        distance[own] = neighbours_in(latent[own], latent[~own])[1].mean(axis=1)
    logs = np.log(np.maximum(distance, 1e-6))
    found: dict[str, list[tuple[float, float]]] = {}
    for name in np.unique(library.astype(str)):
        for kind in np.unique(cell_type.astype(str)):
            here = (library == name) & (cell_type == kind) & np.isfinite(logs)
            if here.sum() >= MIN_TYPE_CELLS:
                one = (float(np.quantile(logs[here], 1 - BEYOND)), float(logs[here].mean()))
                found.setdefault(str(kind), []).append(one)
    everything = [pair for pairs in found.values() for pair in pairs]
    found = {kind: pairs for kind, pairs in found.items() if len(pairs) >= MIN_LIBRARIES}
    if len(everything) >= MIN_LIBRARIES:
        found[ALL_TYPES] = everything
    return {kind: _limit(np.array(pairs)) for kind, pairs in found.items()}


def _limit(pairs: np.ndarray) -> TypeLimit:
    """Return the limit of (n_libraries, 2) log quantiles and mean log distances."""
    n = len(pairs)
    quantiles, means = pairs.T
    reach = stats.t.ppf(ONE_SIDED, n - 1) * np.sqrt(1 + 1 / n)
    limit = float(np.exp(quantiles.mean() + reach * quantiles.std(ddof=1)))
    return TypeLimit(limit, float(means.mean()), float(means.std(ddof=1)), n)


def type_rates(results: Path, bundle: Bundle, samples: list[str]) -> dict[str, np.ndarray]:
    """Return by cell type (n_genes,) shares of the selected genes in all counts of its cells."""
    folders = [results / "libraries" / sample for sample in samples]
    files = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
    libraries = read_libraries(*([folder / file for folder in folders] for file in files))
    sums: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for library in libraries:
        counts = read_counts_of([library], bundle.gene_ids)
        for kind in np.unique(library.cell_type.astype(str)):
            here = np.flatnonzero(library.cell_type == kind)
            own = np.asarray(counts[here].sum(axis=0), dtype=float).ravel()
            sums[kind] = sums.get(kind, 0.0) + own
            totals[kind] = totals.get(kind, 0.0) + float(library.total_counts[here].sum())
    return {kind: sums[kind] / max(totals[kind], 1.0) for kind in sorted(sums)}
