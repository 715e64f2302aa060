"""Find the libraries in a folder: Cell Ranger's outputs of any kind, 10x folders, single files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from relapsescope.errors import InputProblem

# How deep a tree of outputs is looked into: run/outs/per_sample_outs/NAME/count/matrix.
DEEPEST = 8
MOST_FILES = 200_000
CONTIGS = "filtered_contig_annotations.csv"
FILTERED = re.compile(
    r"(?:sample_)?(?:filtered_(?:feature|gene)_bc_matri(?:x|ces))(?:_h5)?(?:\.h5)?"
)
RAW = re.compile(r"(?:sample_)?(?:raw_(?:feature|gene)_bc_matri(?:x|ces))(?:_h5)?(?:\.h5)?")
MTX = ("matrix.mtx", "matrix.mtx.gz")
# Folders of Cell Ranger whose names say nothing of the sample.
NAMELESS = frozenset(
    {"outs", "count", "multi", "per_sample_outs", "vdj", "vdj_t", "vdj_b", "vdj_t_gd", "gex"}
)


@dataclass(frozen=True)
class FoundLibrary:
    """The files of one library in a folder.

    `name` is that of the nearest folder that names a sample; paths are None where there is none.
    """

    name: str
    matrix: Path
    raw_matrix: Path | None = None
    tcr_contigs: Path | None = None
    bcr_contigs: Path | None = None


def find_libraries(folder: Path) -> list[FoundLibrary]:
    """Return the libraries below a folder (or the one that is a file), by path.

    Of a library that lies there as ``.h5`` and as a folder the ``.h5`` counts. Files that are no
    matrix of Cell Ranger's are taken only where nothing else is there: one ``.h5ad``, ``.h5`` or
    ``matrix.mtx``.

    Raises
    ------
    InputProblem
        Where the folder cannot be read, holds too many files, or a link leads out of it.
    """
    if folder.is_file():
        return [FoundLibrary(folder.stem.split(".")[0], folder)]
    if not folder.is_dir():
        raise InputProblem(f"{folder}: there is no such folder; correct the path")
    files = list(_files(folder))
    filtered = _one_of_each([path for path in files if FILTERED.fullmatch(path.name)])
    raw = _one_of_each([path for path in files if RAW.fullmatch(path.name)])
    contigs = [path for path in files if path.name == CONTIGS]
    if not filtered:
        taken = {*raw}
        others = [p for p in files if p.suffix in (".h5", ".h5ad") and p not in taken]
        others += [p.parent for p in files if p.name in MTX and not RAW.fullmatch(p.parent.name)]
        filtered = sorted(dict.fromkeys(others))
    found = [FoundLibrary(sample_name(path, folder), path) for path in filtered]
    return [_with_others(one, folder, raw, contigs, alone=len(found) == 1) for one in found]


def files_of(found: FoundLibrary) -> list[Path]:
    """Return the files and folders of a library."""
    named = (found.matrix, found.raw_matrix, found.tcr_contigs, found.bcr_contigs)
    return [path for path in named if path is not None]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder and its 10x folders, in order; a link out is refused."""
    home, seen = folder.resolve(), 0
    for place, names, files in os.walk(folder, onerror=_unreadable):
        here = Path(place)
        depth = len(here.relative_to(folder).parts)
        names[:] = sorted(n for n in names if not n.startswith(".") and depth < DEEPEST)
        for name in [*names, *sorted(files)]:
            path, seen = here / name, seen + 1
            if seen > MOST_FILES:
                raise InputProblem(f"{folder}: over {MOST_FILES:,} files; give the sample's folder")
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise InputProblem(
                    f"{path}: a link that leads out of the folder; copy the file itself"
                )
            if name.startswith("."):
                continue
            if name in files or (FILTERED.fullmatch(name) or RAW.fullmatch(name)):
                yield path


def _unreadable(error: OSError) -> None:
    raise InputProblem(f"{error.filename}: cannot be read ({error.strerror}); make it readable")


def _one_of_each(paths: list[Path]) -> list[Path]:
    """Return one path a matrix: the ``.h5`` where the same matrix also lies there as a folder."""
    best: dict[tuple[Path, str], Path] = {}
    for path in sorted(paths, key=lambda one: (one.suffix != ".h5", str(one))):
        if path.suffix == ".h5" or path.is_dir():
            stem = path.name.removesuffix(".h5").removesuffix("_h5")
            best.setdefault((path.parent, stem.removeprefix("sample_")), path)
    return sorted(best.values())


def _with_others(
    one: FoundLibrary, folder: Path, raw: list[Path], contigs: list[Path], *, alone: bool
) -> FoundLibrary:
    """Return a library with its raw matrix and its contigs: those of its own outputs."""
    home = _outputs_of(one.matrix, folder)
    near = [path for path in raw if path.parent == one.matrix.parent]
    shared = [path for path in raw if alone or path.is_relative_to(home)]
    own = [path for path in contigs if alone or path.is_relative_to(home)]
    by_kind = {
        kind: next((p for p in own if p.parent.name == folder_name), None)
        for kind, folder_name in (("tcr_contigs", "vdj_t"), ("bcr_contigs", "vdj_b"))
    }
    return replace(one, raw_matrix=next(iter([*near, *shared]), None), **by_kind)


def _outputs_of(matrix: Path, folder: Path) -> Path:
    """Return the folder of a sample's own outputs: Cell Ranger's ``outs`` or per-sample folder."""
    for parent in matrix.parents:
        if parent == folder or parent.parent.name == "per_sample_outs" or parent.name == "outs":
            return parent
    return matrix.parent


def sample_name(path: Path, folder: Path) -> str:
    """Return the name of the nearest folder that names a sample, in an identifier's letters."""
    inside = path.relative_to(folder).parts[-2::-1]
    named = [part for part in [*inside, folder.name] if part and part not in NAMELESS]
    if not (FILTERED.fullmatch(path.name) or path.name in MTX or path.is_dir()):
        named = [path.stem.split(".")[0], *named]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", named[0] if named else "sample").strip("_-") or "sample"
