"""From a deposit's files to libraries: unpacked, set apart, and named in a sample sheet.

What a deposit does not say (which sample is which timepoint) stays an empty cell: `check` then asks
for it, line by line. Nothing is guessed.
"""

import csv
import gzip
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import COLUMNS
from relapsescope.paths import RESOURCES

RECIPES = RESOURCES / "public_recipes.yaml"
MTX_PART = re.compile(
    r"(?P<prefix>.*?)[_.-]?(?P<part>(?:matrix|counts)\.mtx|features\.tsv|genes\.tsv|barcodes\.tsv)"
    r"(?:\.gz)?"
)


def read_recipe(accession: str) -> Mapping[str, Any]:
    """Return the recipe of a cohort from `resources/public_recipes.yaml`."""
    recipes = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
    if accession not in recipes:
        raise InputProblem(f"{accession}: there is no recipe; add it to resources/{RECIPES.name}")
    return recipes[accession]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive and those within it; links and paths that lead out are refused.

    Raises
    ------
    InputProblem
        Where it is damaged or would write elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        what = f"cannot be unpacked ({type(error).__name__}: {str(error).splitlines()[0]})"
        raise InputProblem(f"{archive}: {what}; fetch it again") from error
    for inner in sorted(folder.rglob("*.tar.gz")):
        if inner.is_file():
            unpack(inner, inner.with_name(inner.name.removesuffix(".tar.gz")))
            inner.unlink()


def set_apart(folder: Path) -> None:
    """Move the three files of each library of a folder, as GEO prefixes them, to one of its own."""
    for path in sorted(folder.iterdir()):
        found = MTX_PART.fullmatch(path.name) if path.is_file() else None
        if found and found["prefix"]:
            own = folder / found["prefix"]
            own.mkdir(exist_ok=True)
            ending = ".gz" if path.name.endswith(".gz") else ""
            path.rename(own / f"{found['part']}{ending}")


def matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder: files of HDF5, dense tables, and folders of three files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [path for path in files if path.suffix in (".h5", ".h5ad")]
    found += [path for path in files if re.search(r"matrix\.(csv|txt|tsv)(\.gz)?$", path.name)]
    found += [
        path.parent for path in files if re.fullmatch(r"(matrix|counts)\.mtx(\.gz)?", path.name)
    ]
    return sorted(set(found))


def library_rows(found: list[Path], folder: Path, recipe: Mapping[str, Any]) -> list[dict]:
    """Return the sheet's row of each matrix that the recipe knows, in the order of their names.

    The recipe's `pattern` is matched against the path within the folder; its named groups fill the
    `row`, whose values may be looked up by a group: ``{by: stage, IP: infusion_product}``.
    """
    rows = []
    for path in found:
        name = path.relative_to(folder).as_posix()
        match = re.search(recipe["pattern"], name)
        if match is None:
            continue
        groups = {key: value or "" for key, value in match.groupdict().items()}
        row = dict.fromkeys(COLUMNS, "")
        for column, value in recipe["row"].items():
            if isinstance(value, Mapping):
                row[column] = value.get(groups[value["by"]], "")
            else:
                row[column] = str(value).format(**groups)
        row["sample_id"] = re.sub(r"[^A-Za-z0-9_-]", "_", row["sample_id"])
        unfiltered = "raw_feature_bc_matrix" in name
        row["raw_matrix" if unfiltered else "matrix"] = name
        rows.append(row)
    swapped = recipe.get("swapped", [])
    if swapped:
        rows = _put_right(rows, swapped)
    return rows


def _put_right(rows: list[dict], swapped: list[str]) -> list[dict]:
    """Return the rows with the matrices of two samples exchanged, where both are there."""
    pair = [row for name in swapped for row in rows if name in row["sample_id"]]
    if len(pair) == 2:
        one, other = pair
        for column in ("matrix", "raw_matrix"):
            one[column], other[column] = other[column], one[column]
    return rows


def write_cohort(folder: Path, rows: list[dict], recipe: Mapping[str, Any]) -> None:
    """Write `samples.tsv`, an empty `clinical/`, and what is known of the deposit.

    Raises
    ------
    InputProblem
        Where the recipe knew none of the files.
    """
    if not rows:
        raise InputProblem(
            f"{folder}: none of its files is what the recipe describes ({recipe['pattern']}); "
            "look into the folder, and correct resources/public_recipes.yaml"
        )
    with (folder / "samples.tsv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "clinical").mkdir(exist_ok=True)
    told = [recipe["about"], "", *[f"- {note}" for note in recipe.get("notes", [])]]
    (folder / "ABOUT.md").write_text("\n".join(told) + "\n", encoding="utf-8")


def prepare(accession: str, folder: Path, archives: list[Path]) -> int:
    """Turn a cohort's fetched files into a sheet; return the number of its libraries."""
    recipe = read_recipe(accession)
    for path in archives:
        if path.name.endswith((".tar", ".tar.gz")):
            inside = folder / path.name.split(".tar")[0]
            shutil.rmtree(inside, ignore_errors=True)
            unpack(path, inside)
            for one in [inside, *(child for child in inside.rglob("*") if child.is_dir())]:
                set_apart(one)
        elif path.name.endswith(".h5ad.gz"):
            with gzip.open(path) as packed, path.with_suffix("").open("wb") as plain:
                shutil.copyfileobj(packed, plain)
    rows = library_rows(matrices(folder), folder, recipe)
    write_cohort(folder, rows, recipe)
    return len(rows)
