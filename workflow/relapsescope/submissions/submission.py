"""Hand in one library: what it is, whether it can be entered, and the row it gets."""

import dataclasses
import hashlib
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from relapsescope.errors import InputProblem
from relapsescope.intake.privacy import identifying
from relapsescope.intake.sheet import COLUMNS, PATHS, Library, parse_sheet
from relapsescope.run.check import check_inputs
from relapsescope.submissions.outputs import FoundLibrary, find_libraries
from relapsescope.submissions.sheet_file import locked, read_lines, with_rows, write_lines

DESCRIPTION = "sample.yaml"
# What a person says of a sample; its files are found.
ANSWERS = tuple(name for name in COLUMNS if name not in PATHS and name != "barcodes")
DEFAULTS = {"tissue": "bone_marrow", "sorting": "none"}
MOST_DESCRIPTION_BYTES = 20_000
ENTERED, KNOWN = "entered", "known"


@dataclass(frozen=True)
class Entry:
    """What became of a submission: its row, and whether it was new.

    Attributes
    ----------
    row
        By the sheet's columns.
    state
        ``entered``, or ``known`` where the same sample with the same content is there already.
    warnings
        What the person should know all the same.
    """

    row: dict[str, str]
    state: str
    warnings: tuple[str, ...] = ()


def submit(
    folder: Path,
    sheet: Path,
    answers: Mapping[str, str],
    *,
    dry_run: bool = False,
    final_folder: Path | None = None,
) -> Entry:
    """Enter the library in a folder into a study's sheet; nothing changes where it is refused.

    Parameters
    ----------
    folder
        Cell Ranger's outputs, a 10x folder, or a matrix file; may hold `sample.yaml`.
    answers
        What is known of the sample, by the sheet's columns; goes before `sample.yaml`.
    final_folder
        Where the folder will lie, if it is moved after it was entered.

    Raises
    ------
    InputProblem
        With every problem at once.
    """
    told = described(folder) | {name: value for name, value in answers.items() if value}
    problems = answer_problems(told)
    before = stamps(folder)
    try:
        found = only_library(folder, told.pop("name", ""))
    except InputProblem as problem:
        raise InputProblem(*problems, *problem.problems) from None
    if problems:
        raise InputProblem(*problems)
    row = row_of(told, found, sheet.parent)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    with locked(sheet):
        lines = read_lines(sheet)
        twin = same_content(found.matrix, sheet, row["sample_id"]) if lines else ""
        if twin == row["sample_id"]:
            return Entry(row, KNOWN)
        if twin:
            raise InputProblem(
                f"{folder}: holds the same counts as sample {twin}, which is entered already; "
                "a library is entered once"
            )
        warnings = check_row(row, lines, sheet)
        if stamps(folder) != before:
            raise InputProblem(f"{folder}: its files are still changing; hand in a finished copy")
        if final_folder is not None:
            row |= moved(found, folder, final_folder, sheet.parent)
        if not dry_run:
            write_lines(sheet, with_rows(lines, [row]))
    return Entry(row, ENTERED, tuple(warnings))


def answer_problems(told: Mapping[str, str]) -> list[str]:
    """Return what is wrong with what is said of a sample, before its files are looked at."""
    problems = [
        f"{name}: {value!r} {reason}; use a pseudonym and days from infusion"
        for name, value in told.items()
        if (reason := identifying(str(value)))
    ]
    return problems + [
        f"{name}: is not said; give --{name.removesuffix('_id')} or write it into {DESCRIPTION}"
        for name in ("patient_id", "timepoint")
        if not told.get(name)
    ]


def row_of(told: Mapping[str, str], found: FoundLibrary, home: Path) -> dict[str, str]:
    """Return the sheet's row of a library: what is said of it, its usual name, its files."""
    row = DEFAULTS | told
    row["sample_id"] = row.get("sample_id") or usual_name(row)
    return row | paths_of(found, home)


def described(folder: Path) -> dict[str, str]:
    """Return what a folder's `sample.yaml` says; nothing where there is none."""
    path = folder / DESCRIPTION if folder.is_dir() else folder.with_name(DESCRIPTION)
    if not path.is_file():
        return {}
    place = DESCRIPTION
    if path.is_symlink() or path.stat().st_size > MOST_DESCRIPTION_BYTES:
        raise InputProblem(f"{place}: a link or too large for a description; write a few lines")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise InputProblem(
            f"{place}: cannot be read; write lines such as `patient_id: P7`"
        ) from None
    if not isinstance(content, dict):
        raise InputProblem(f"{place}: holds no `key: value` lines; write such as `patient_id: P7`")
    known = {*ANSWERS, "name"}
    problems = [
        f"{place} {str(key)[:60]!r}: unknown key; known: {', '.join(ANSWERS)}"
        for key in content
        if key not in known
    ]
    problems += [
        f"{place} {key}: give one word or number"
        for key, value in content.items()
        if key in known and not isinstance(value, str | int | None)
    ]
    if problems:
        raise InputProblem(*problems)
    return {key: str(value) for key, value in content.items() if value is not None}


def only_library(folder: Path, name: str = "") -> FoundLibrary:
    """Return the one library of a folder, or the one of that name."""
    found = find_libraries(folder)
    chosen = [one for one in found if one.name == name] if name else found
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise InputProblem(
            f"{folder}: no count matrix in it; give the folder with Cell Ranger's "
            "filtered_feature_bc_matrix, or the file itself"
        )
    names = ", ".join(one.name for one in found[:5]) + (" …" if len(found) > 5 else "")
    raise InputProblem(
        f"{folder}: {len(found)} libraries in it ({names}); hand in one at a time, with "
        "`--name` or its own folder"
    )


def usual_name(row: Mapping[str, str]) -> str:
    """Return a sample's name by its patient, timepoint, day and sorting."""
    parts = [row["patient_id"], row["timepoint"]]
    parts += [f"d{row['day'].replace('-', 'm')}"] if row.get("day") else []
    sorting = row.get("sorting", "none")
    parts += [sorting.replace("_", "")] if sorting not in ("", "none") else []
    tissue = row.get("tissue", "")
    parts += [tissue] if tissue not in ("", "bone_marrow") else []
    return "_".join(parts)


def paths_of(found: FoundLibrary, home: Path) -> dict[str, str]:
    """Return the library's files as the sheet names them: relative where they lie below it."""
    return {
        name: _from(getattr(found, name), home)
        for name in PATHS
        if getattr(found, name, None) is not None
    }


def moved(found: FoundLibrary, folder: Path, final: Path, home: Path) -> dict[str, str]:
    """Return `paths_of` as they will be when the folder lies elsewhere."""
    places = {
        field.name: final / value.relative_to(folder)
        for field in dataclasses.fields(found)
        if isinstance(value := getattr(found, field.name), Path)
    }
    return paths_of(dataclasses.replace(found, **places), home)


def _from(path: Path, home: Path) -> str:
    absolute, base = path.resolve(), home.resolve()
    return str(absolute.relative_to(base) if absolute.is_relative_to(base) else absolute)


def check_row(row: Mapping[str, str], lines: list[str], sheet: Path) -> list[str]:
    """Return warnings about a new row; InputProblem where the sheet with it could not be run.

    The row's files are opened; of the other rows only what they say is read again.
    """
    number = len(with_rows(lines, [row]))
    with tempfile.TemporaryDirectory(prefix=".submission", dir=sheet.parent) as scratch:
        trial = Path(scratch) / sheet.name
        # One row alone, with the files' whole paths, so that it is opened wherever it lies.
        whole = {
            name: str((sheet.parent / value).resolve()) if name in PATHS and value else value
            for name, value in row.items()
        }
        write_lines(trial, with_rows([], [whole]))
        checked = _checked(trial, number)
    if problems := sheet_problems(row, lines, sheet):
        raise InputProblem(*problems)
    return checked


def sheet_problems(row: Mapping[str, str], lines: list[str], sheet: Path) -> list[str]:
    """Return what is wrong with a sheet that has a new row, without opening any file of it."""
    # Two people at once are one process where they use the desk.
    partial = sheet.with_name(f".{secrets.token_hex(8)}.{sheet.name}")
    try:
        write_lines(partial, with_rows(lines, [row]))
        _, table = parse_sheet(partial)
    finally:
        partial.unlink(missing_ok=True)
    return [line.replace(partial.name, sheet.name, 1) for line in table.problems]


def _checked(trial: Path, number: int) -> list[str]:
    """Return the warnings of a sheet of one row; its line is told as that of the whole sheet."""

    def told(line: str) -> str:
        return line.replace(f"{trial.name}:2", f"{trial.name}:{number}", 1)

    try:
        return [told(line) for line in check_inputs(trial).warnings]
    except InputProblem as problem:
        raise InputProblem(*(told(line) for line in problem.problems)) from None


def same_content(matrix: Path, sheet: Path, sample_id: str) -> str:
    """Return the sample whose matrix holds the same bytes; its own name's first, "" for none.

    Raises
    ------
    InputProblem
        Where the sample's name is in the sheet with other content.
    """
    libraries, _ = parse_sheet(sheet)
    ordered = sorted(libraries, key=lambda one: one.sample_id != sample_id)
    own = _contents(matrix)
    for library in ordered:
        same = _same(own, library)
        if same:
            return library.sample_id
        if library.sample_id == sample_id:
            raise InputProblem(
                f"{matrix.name}: sample {sample_id} is entered already (line {library.line}) with "
                "other counts; give another --sample, or take the old one out with `forget`"
            )
    return ""


def _same(own: Mapping[str, Path], library: Library) -> bool:
    other = _contents(Path(library.counts))
    if not own or own.keys() != other.keys():
        return False
    if any(own[name].stat().st_size != other[name].stat().st_size for name in own):
        return False
    return all(content_hash(own[name]) == content_hash(other[name]) for name in own)


def _contents(matrix: Path) -> dict[str, Path]:
    """Return the files that hold a matrix's counts and barcodes, by what they are."""
    if matrix.is_file():
        return {"matrix": matrix}
    if not matrix.is_dir():
        return {}
    kept = [path for path in matrix.iterdir() if path.is_file() and not path.name.startswith(".")]
    return {path.name.removesuffix(".gz"): path for path in sorted(kept)}


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of each file below a folder, to see whether it changes."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    found = {}
    for path in paths:
        try:
            stat = path.lstat()
        except OSError:
            continue
        found[str(path)] = (stat.st_size, stat.st_mtime_ns)
    return found
