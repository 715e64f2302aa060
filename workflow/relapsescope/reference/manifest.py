"""A reference's manifest: what it is, what made it, and whether its files are the ones it names."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.reference.files import FILES, MANIFEST, NONE, reference_folder
from relapsescope.vocabulary import FROZEN, SHIPPED

FORMAT = "relapsescope reference 1"
KINDS = (FROZEN, SHIPPED)


@dataclass(frozen=True)
class Manifest:
    """What a reference says of itself.

    Attributes
    ----------
    name, kind
        Its name with its version, and ``frozen`` or ``shipped``.
    between_log_sd
        Standard deviation (natural log) of a gene's rate between the reference and another
        laboratory's library, where it is stated; 0: it is measured on the reference's donors.
    made_from
        Numbers of donors and libraries, versions, hashes of code and settings, source and licence.
    files
        SHA-256 of each file, by its path in the folder.
    """

    name: str
    kind: str
    between_log_sd: float
    made_from: dict[str, Any]
    files: dict[str, str]

    def terms(self) -> dict[str, Any]:
        """Return what comparisons with its rates need to know: its kind and how rates differ."""
        return {"source": self.kind, "between_log_sd": self.between_log_sd}

    @property
    def sha256(self) -> str:
        """One hash over the files: the reference's identity."""
        lines = [f"{digest}  {path}" for path, digest in sorted(self.files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_manifest(
    folder: Path, *, name: str, kind: str, between_log_sd: float, made_from: Mapping[str, Any]
) -> Manifest:
    """Write and return the manifest of the files that lie in `folder`."""
    files = {
        path: file_hash(folder / path)
        for path in sorted(FILES.values())
        if (folder / path).is_file()
    }
    manifest = Manifest(name, kind, between_log_sd, dict(made_from), files)
    content = {"format": FORMAT, "sha256": manifest.sha256} | vars(manifest)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a reference whose files are all there.

    Raises
    ------
    InputProblem
        One line: no folder, no manifest, another format, a missing or a strange file.
    """
    place = f"config reference: {folder}"
    path = folder / MANIFEST
    if not path.is_file():
        raise InputProblem(
            f"{place} holds no {MANIFEST}; give a folder that `relapsescope freeze` made, "
            "`shipped` or `none`"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(
            name=str(content["name"]),
            kind=str(content["kind"]),
            between_log_sd=float(content["between_log_sd"]),
            made_from=dict(content["made_from"]),
            files={str(name): str(digest) for name, digest in dict(content["files"]).items()},
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputProblem(f"{place}: {MANIFEST} cannot be read; freeze the cohort again") from None
    if content.get("format") != FORMAT or manifest.kind not in KINDS:
        raise InputProblem(f"{place} is no {FORMAT}; freeze the cohort again with this version")
    return manifest


def reference_of(config: Mapping[str, Any]) -> dict[str, str] | None:
    """Return name, kind and hash of the reference that a run rests on; None without one."""
    folder = reference_folder(str(config.get("reference", NONE)))
    try:
        manifest = read_manifest(folder) if folder else None
    except InputProblem:
        return None
    if manifest is None:
        return None
    return {"name": manifest.name, "kind": manifest.kind, "sha256": manifest.sha256}


def reference_problems(folder: Path) -> list[str]:
    """Return one line for each way in which a reference is not what its manifest says."""
    try:
        manifest = read_manifest(folder)
    except InputProblem as problem:
        return problem.problems
    place = f"config reference: {folder}"
    problems = []
    for name in sorted(set(manifest.files) - set(FILES.values())):
        problems.append(f"{place}: {name!r} is no file of a reference; freeze the cohort again")
    for path in FILES.values():
        there, named = (folder / path).is_file(), path in manifest.files
        if named and not there:
            problems.append(f"{place}: {path} is missing; copy the whole folder again")
        elif there and not named:
            problems.append(f"{place}: {path} is not in the manifest; remove it")
        elif named and file_hash(folder / path) != manifest.files[path]:
            problems.append(f"{place}: {path} is not the file that was frozen; copy it again")
    return problems


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
