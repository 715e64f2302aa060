"""The atlas on disk, complete enough to place new libraries on it without touching it.

Arrays are numpy's `.npz` without pickles, the rest is JSON; a hash over both names the bundle.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.atlas.integration import Encoder

FORMAT = 1
PACKAGES = ("numpy", "scipy", "torch", "scvi-tools", "faiss-cpu", "igraph", "umap-learn")


@dataclass(frozen=True)
class Reference:
    """The cells that new cells are compared with; arrays are (n_cells, …).

    Attributes
    ----------
    latent, coordinates
        (n_cells, n_latent) and (n_cells, 2) float32.
    cell_type, leiden, library
        (n_cells,) str.
    """

    latent: np.ndarray
    coordinates: np.ndarray
    cell_type: np.ndarray
    leiden: np.ndarray
    library: np.ndarray


@dataclass(frozen=True)
class Bundle:
    """All that places new cells on a frozen atlas.

    Attributes
    ----------
    encoder
        Counts of `gene_ids` to latent coordinates, without torch.
    state
        The whole network's parameters by scvi-tools' names, for those who train on.
    libraries
        In the order of the network's batch categories.
    novelty_distance
        99th percentile of the reference's own distances to its nearest cells: a new cell beyond
        it has no counterpart in the atlas.
    settings, versions, notes
        What made it.
    """

    encoder: Encoder
    state: dict[str, np.ndarray]
    gene_ids: np.ndarray
    symbols: np.ndarray
    libraries: tuple[str, ...]
    reference: Reference
    novelty_distance: float
    settings: dict[str, Any]
    notes: tuple[str, ...]


def save_bundle(folder: Path, bundle: Bundle) -> str:
    """Write the bundle's files into `folder` and return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = {f"weight_{i}": w for i, w in enumerate(bundle.encoder.weights)}
    encoder |= {f"offset_{i}": o for i, o in enumerate(bundle.encoder.offsets)}
    labels = {}
    reference = {"latent": bundle.reference.latent, "coordinates": bundle.reference.coordinates}
    for name in ("cell_type", "leiden", "library"):
        words, codes = np.unique(
            np.asarray(getattr(bundle.reference, name), dtype=str), return_inverse=True
        )
        labels[name] = words.tolist()
        reference[name] = codes.astype(np.int32)
    files = {"encoder.npz": encoder, "network.npz": bundle.state, "reference.npz": reference}
    for name, arrays in files.items():
        np.savez_compressed(folder / name, **arrays)
    description = {
        "format": FORMAT,
        "encoder": bundle.encoder.kind,
        "n_layers": len(bundle.encoder.weights),
        "genes": {"gene_id": list(bundle.gene_ids), "symbol": list(bundle.symbols)},
        "libraries": list(bundle.libraries),
        "labels": labels,
        "novelty_distance": bundle.novelty_distance,
        "settings": bundle.settings,
        "notes": list(bundle.notes),
        "versions": package_versions(),
        "arrays_sha256": {name: array_hash(arrays) for name, arrays in files.items()},
    }
    text = json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False)
    description["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    text = json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "bundle.json").write_text(text + "\n", encoding="utf-8")
    return description["sha256"]


def load_bundle(folder: Path) -> Bundle:
    """Return a saved bundle.

    Raises
    ------
    ValueError
        Where its arrays are not those that were saved, or its format is another one.
    """
    description = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if description["format"] != FORMAT:
        raise ValueError(f"{folder}: bundle format {description['format']}, not {FORMAT}")
    arrays = {}
    for name, expected in description["arrays_sha256"].items():
        with np.load(folder / name, allow_pickle=False) as stored:
            arrays[name] = {key: stored[key] for key in stored.files}
        if array_hash(arrays[name]) != expected:
            raise ValueError(f"{folder / name}: not the arrays that were saved with the bundle")
    layers = range(description["n_layers"])
    reference = arrays["reference.npz"]
    words = {
        name: np.array(labels, dtype=object)[reference[name]] if labels else np.array([], object)
        for name, labels in description["labels"].items()
    }
    return Bundle(
        encoder=Encoder(
            tuple(arrays["encoder.npz"][f"weight_{i}"] for i in layers),
            tuple(arrays["encoder.npz"][f"offset_{i}"] for i in layers),
            description["encoder"],
        ),
        state=arrays["network.npz"],
        gene_ids=np.array(description["genes"]["gene_id"], dtype=object),
        symbols=np.array(description["genes"]["symbol"], dtype=object),
        libraries=tuple(description["libraries"]),
        reference=Reference(reference["latent"], reference["coordinates"], **words),
        novelty_distance=description["novelty_distance"],
        settings=description["settings"],
        notes=tuple(description["notes"]),
    )


def array_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named arrays: their names, shapes, types and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that made the bundle."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = ""
    return versions
