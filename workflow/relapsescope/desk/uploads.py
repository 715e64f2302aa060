"""Files that come in: staged out of sight, whole or not at all, then put into the inbox at once."""

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import yaml
from aiohttp import BodyPartReader, ClientError, MultipartReader

from relapsescope.errors import InputProblem
from relapsescope.submissions.inbox import ACCEPTED, READY, REFUSED
from relapsescope.submissions.preview import inner_path
from relapsescope.submissions.submission import ANSWERS, DESCRIPTION, described

# Hidden: the inbox passes it over. `FILES` keeps what came apart from what the desk adds.
STAGE, FILES = ".desk-", "files"
TOKEN, FILE, WHOLE = "token", "file", "whole"
FIELDS = (*ANSWERS, "name")
MOST_ANSWER_BYTES = 400
CHUNK = 2**20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What the reader of forms raises where one ends too early, or is none.
BROKEN = (ClientError, ConnectionError, ValueError, TimeoutError, RuntimeError, RuntimeWarning)
CUT = "the upload was cut off; nothing of it was kept; send it again"


@dataclass(frozen=True)
class Limits:
    """How much a submission may hold.

    Attributes
    ----------
    n_bytes, n_files
        Of one submission.
    at_once
        Uploads at the same time.
    stall_s
        Seconds without a byte after which an upload is given up.
    """

    n_bytes: int = 20 * 10**9
    n_files: int = 200
    at_once: int = 4
    stall_s: float = 60.0

    def problems(self, n_files: int, n_bytes: int, free: int) -> list[str]:
        """Return why a submission of this size is not taken; `free` are the disk's bytes."""
        found = []
        if n_files > self.n_files:
            found.append(
                f"{n_files:,} files, at most {self.n_files:,} are taken; choose the sample's folder"
            )
        if n_bytes > self.n_bytes:
            most, given = self.n_bytes / 1e9, n_bytes / 1e9
            found.append(f"{given:.3g} GB, at most {most:.3g} GB are taken; ask who runs the desk")
        if n_bytes > free:
            found.append(f"{n_bytes / 1e9:.3g} GB, the disk has {free / 1e9:.3g} GB; free some")
        return found


@contextlib.contextmanager
def stage_in(inbox: Path) -> Iterator[Path]:
    """Give a hidden folder of the inbox, which is gone afterwards unless it was put in."""
    stage = inbox / f"{STAGE}{secrets.token_hex(8)}"
    (stage / FILES).mkdir(parents=True)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def clear_stages(inbox: Path) -> None:
    """Remove what uploads left that were cut off by the end of the desk itself."""
    for path in inbox.glob(f"{STAGE}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


async def receive(parts: MultipartReader, stage: Path, limits: Limits) -> dict[str, str]:
    """Write an upload's files into a stage and return the answers that came with them.

    The form's last field says that it is whole: one that was cut off lacks it.

    Raises
    ------
    InputProblem
        Where a name leads out, a limit is passed, the disk is full, or the upload was cut off.
    """
    answers: dict[str, str] = {}
    left, n_files, whole = limits.n_bytes, 0, False
    try:
        async for part in _each(parts, limits):
            if whole or part.name is None:
                raise InputProblem(CUT)
            if part.name == WHOLE:
                whole = (await _text(part, limits)) == "yes"
            elif part.name == FILE:
                # A form's empty choice of files comes as one without a name.
                if part.filename:
                    n_files += 1
                    if problems := limits.problems(n_files, 0, 0):
                        raise InputProblem(*problems)
                    left -= await _write(part, stage / FILES, left, limits)
            elif part.name in FIELDS and part.name not in answers:
                answers[part.name] = (await _text(part, limits)).strip()
            else:
                raise InputProblem(f"{str(part.name)[:60]!r}: no question of this form; reload it")
    except BROKEN:
        raise InputProblem(CUT) from None
    except OSError as error:
        why = "the disk is full" if error.errno in NO_SPACE else error.strerror
        raise InputProblem(f"the upload cannot be kept: {why}; free the disk") from None
    if not whole:
        raise InputProblem(CUT)
    if not n_files:
        raise InputProblem("no file was chosen; choose a folder or a file")
    return {name: value for name, value in answers.items() if value}


async def first_text(parts: MultipartReader, name: str, limits: Limits) -> str:
    """Return the value of a form's first field, "" where it is another."""
    try:
        part = await asyncio.wait_for(parts.next(), limits.stall_s)
        if isinstance(part, BodyPartReader) and part.name == name:
            return await _text(part, limits)
    except BROKEN:
        pass
    return ""


async def _each(parts: MultipartReader, limits: Limits) -> AsyncIterator[BodyPartReader]:
    while (part := await asyncio.wait_for(parts.next(), limits.stall_s)) is not None:
        if not isinstance(part, BodyPartReader):
            raise InputProblem(CUT)
        yield part


async def _text(part: BodyPartReader, limits: Limits) -> str:
    value = b""
    while chunk := await asyncio.wait_for(part.read_chunk(), limits.stall_s):
        value += chunk
        if len(value) > MOST_ANSWER_BYTES:
            raise InputProblem(f"{part.name}: an answer longer than {MOST_ANSWER_BYTES} bytes")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InputProblem(f"{part.name}: no text; write it anew") from None


async def _write(part: BodyPartReader, home: Path, most: int, limits: Limits) -> int:
    """Write a file of an upload below `home`, at most `most` bytes, and return how many."""
    written = 0
    with _place_of(str(part.filename), home) as handle:
        while chunk := await asyncio.wait_for(part.read_chunk(CHUNK), limits.stall_s):
            written += len(chunk)
            if written > most:
                size = f"{limits.n_bytes / 1e9:.3g} GB"
                raise InputProblem(f"more than {size}, which is the most; ask who runs the desk")
            await asyncio.to_thread(handle.write, chunk)
        if handle.name != os.devnull:
            await asyncio.to_thread(_flush, handle)
    return written


def _place_of(name: str, home: Path) -> BinaryIO:
    """Open the new file that a name means; what systems leave in folders (.DS_Store) goes away."""
    if name.replace("\\", "/").rpartition("/")[2].startswith("."):
        return open(os.devnull, "wb")
    path = home / inner_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InputProblem(f"{name[:80]!r}: two files of one name; choose one folder") from None


def _flush(handle: BinaryIO) -> None:
    """Bring a file to the disk, so that no power cut leaves a short one for a whole one."""
    handle.flush()
    os.fsync(handle.fileno())


def put_in(stage: Path, inbox: Path, answers: Mapping[str, str]) -> str:
    """Turn a stage into a submission of the inbox at once, and return its name there.

    `READY` is made within the stage, after everything else: the folder appears finished.

    Raises
    ------
    InputProblem
        Where a description that came with the files cannot be read.
    """
    told = _described(stage / FILES) | dict(answers)
    (stage / DESCRIPTION).write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
    (stage / READY).touch()
    name = _free_name(inbox, told)
    stage.rename(inbox / name)
    return name


def _described(files: Path) -> dict[str, str]:
    """Return what `sample.yaml` among the files says: at their top, or in the one folder there."""
    inside = list(files.iterdir())
    homes = [files, *(inside if len(inside) == 1 and inside[0].is_dir() else [])]
    return next((told for home in homes if (told := described(home))), {})


def _free_name(inbox: Path, told: Mapping[str, str]) -> str:
    """Return a folder's name after patient, timepoint and day that nothing in the inbox has."""
    said = "_".join(told[key] for key in ("patient_id", "timepoint", "day") if told.get(key))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", said)[:60].strip("_-") or "sample"
    # The inbox keeps these two names for itself.
    stem = f"{stem}_sample" if stem in (ACCEPTED, REFUSED) else stem
    number, name = 1, stem
    while any(os.path.lexists(home / name) for home in (inbox, inbox / ACCEPTED, inbox / REFUSED)):
        number += 1
        name = f"{stem}-{number}"
    return name
