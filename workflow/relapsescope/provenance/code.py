"""What a rule's result depends on beside its settings: the code it reaches, the files it reads."""

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from relapsescope.paths import REPOSITORY

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPTS = PACKAGE.parent / "scripts"
JOBS = "jobs.py"
# Parsing whole modules for their imports costs half a second, in every job on a cluster.
IMPORT = re.compile(
    r"^[ \t]*(?:import relapsescope[^\n]*|from relapsescope\S* import (?:\([^)]*\)|[^\n]*))", re.M
)
# How modules name what they read beside the user's files.
NAMED = re.compile(r'\b(RESOURCES|REPOSITORY)((?: / "[^"]+")+)')


@lru_cache
def code_of(rule: str) -> str:
    """Return a hash of what a rule's job runs: its script and everything that this reaches.

    A rule passes it as a parameter, so that a change reruns what depends on it and nothing else.
    It covers the package modules that the script imports and those that they import, the tables
    and folders that these modules name as ``RESOURCES / "…"`` or ``REPOSITORY / "…"``, and what
    lies beside them in their rooms (templates).

    Parameters
    ----------
    rule
        Name of the script without ``.py``, which is the rule's.

    Raises
    ------
    ValueError
        When there is no such script: its hash would stand for nothing.
    """
    return _hash_of(files_of_rule(rule))


def files_of_rule(rule: str) -> set[Path]:
    """Return the files that a rule's job depends on; see `code_of`.

    Of a room's `jobs.py`, which holds the functions of several rules, only the imports of this
    rule's function count.

    Raises
    ------
    ValueError
        When there is no such script.
    """
    script = SCRIPTS / f"{rule}.py"
    if not script.is_file():
        raise ValueError(f"no such script: {script}")
    own = {script}
    starts: list[Path] = []
    for file in _imports(script):
        if file.name == JOBS:
            own.add(file)
            starts += _imported(_of_function(file.read_text(encoding="utf-8"), rule))
        else:
            starts.append(file)
    return own | reached_files(starts)


def _of_function(text: str, name: str) -> str:
    """Return a module without the functions that are public and named otherwise."""
    parts = re.split(r"(?m)^(?=def )", text)
    kept = [part for part in parts[1:] if part.startswith((f"def {name}(", "def _"))]
    return "".join([parts[0], *kept])


@lru_cache
def code_version(*modules: str) -> str:
    """Return a hash of `modules` and everything that they reach, as `code_of` has it.

    Parameters
    ----------
    modules
        Names below the package, e.g. ``"library"`` or ``"atlas.graph"``.

    Raises
    ------
    ValueError
        When a module is not there.
    """
    starts = {name: _module_files(PACKAGE.joinpath(*name.split("."))) for name in modules}
    if unknown := [name for name, files in starts.items() if not files]:
        raise ValueError(f"no such module of the package: {', '.join(unknown)}")
    return _hash_of(reached_files([file for files in starts.values() for file in files]))


def reached_files(starts: Sequence[Path]) -> set[Path]:
    """Return the given files, the package modules they import, and the files these read."""
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file)
    return found.union(*map(_files_named, found), *map(_files_beside, found))


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + _content_hash(path))
    return digest.hexdigest()[:16]


@cache
def _content_hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """Return the files of the package modules that a module names in its imports."""
    return _imported(file.read_text(encoding="utf-8"))


def _imported(text: str) -> tuple[Path, ...]:
    files: list[Path] = []
    for statement in IMPORT.findall(text):
        (node,) = ast.parse(statement.strip()).body
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{name}" for name in names)]
        for name in names:
            if name.startswith("relapsescope."):
                parts = name.split(".")[1:]
                files += _module_files(PACKAGE.joinpath(*parts))
                # Python runs the `__init__.py` of every folder on the way.
                ways = [PACKAGE.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts))]
                files += filter(Path.is_file, ways)
    return tuple(files)


@cache
def _files_named(module: Path) -> tuple[Path, ...]:
    """Return the files of the repository that a module names; all of a folder that it names."""
    files: list[Path] = []
    for root, rest in NAMED.findall(module.read_text(encoding="utf-8")):
        parts = re.findall(r'"([^"]+)"', rest)
        path = REPOSITORY.joinpath(*(("resources",) if root == "RESOURCES" else ()), *parts)
        files += path.rglob("*") if path.is_dir() else [path]
    return tuple(path for path in files if path.is_file())


@cache
def _files_beside(module: Path) -> tuple[Path, ...]:
    """Return what lies in a module's room and is no code: templates, assets."""
    folder = module.parent
    if folder == PACKAGE or PACKAGE not in folder.parents:
        return ()
    suffixes = (".py", ".pyc")
    return tuple(p for p in folder.rglob("*") if p.is_file() and p.suffix not in suffixes)


def _module_files(module: Path) -> list[Path]:
    if module.is_dir():
        return sorted(module.rglob("*.py"))
    file = module.with_suffix(".py")
    return [file] if file.is_file() else []


def stamps(paths: Iterable[str | Path]) -> list[str]:
    """Return size and time of files, of all files in a folder, as parameters of a rule.

    Snakemake asks whether an input is newer than a result. One that was put back from a backup,
    or copied with its old time, is not, and differs all the same.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        files += sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path]
    known = [(file, file.stat()) for file in files if file.exists()]
    return [f"{file.name} {found.st_size} {int(found.st_mtime)}" for file, found in known]
