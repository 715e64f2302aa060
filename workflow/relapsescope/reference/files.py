"""Which reference a run uses and which files it holds; light enough for the workflow."""

from pathlib import Path

from relapsescope.paths import RESOURCES
from relapsescope.vocabulary import SHIPPED

NONE = "none"
SHIPPED_FOLDER = RESOURCES / "reference"
MANIFEST = "manifest.json"
# What a reference may hold, by name; every file is optional but the manifest.
FILES = {
    "panel": "normal_plasma.npz",
    "molecules": "molecules.parquet",
    "pooled": "pooled.parquet",
    "libraries": "libraries.tsv",
    "composition": "composition.tsv",
    "niche": "niche.parquet",
    "transgene": "transgene.tsv",
    "encoder": "atlas/encoder.npz",
    "cells": "atlas/cells.npz",
    "types": "atlas/types.npz",
    "genes": "atlas/genes.tsv",
    "markers": "atlas/markers.tsv",
    "description": "atlas/atlas.json",
}
ATLAS = ("encoder", "cells", "types", "genes", "markers", "description")


def reference_folder(value: str) -> Path | None:
    """Return the folder that the configuration's `reference` means; None for `none`."""
    if value in ("", NONE):
        return None
    return SHIPPED_FOLDER if value == SHIPPED else Path(value)


def reference_files(value: str, names: tuple[str, ...] = tuple(FILES)) -> dict[str, str]:
    """Return the paths of those of `names` that a reference holds, by `reference_<name>`."""
    folder = reference_folder(value)
    if folder is None:
        return {}
    return {
        f"reference_{name}": str(folder / FILES[name])
        for name in names
        if (folder / FILES[name]).is_file()
    }


def has_atlas(value: str) -> bool:
    """Return whether new cells can be placed on the reference's atlas."""
    return len(reference_files(value, ATLAS)) == len(ATLAS)
