"""Downloads that go on where they broke off, and are what they should be.

pooch checks the checksum and puts the file in its place; between it and the server stands a
downloader that resumes: a connection that breaks after nine of ten gigabytes costs one.
"""

import csv
import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.public_cohorts.catalogue import PublicFile

LOCK = "fetched.tsv"
LOCK_COLUMNS = ("file", "bytes", "sha256", "url")
# What of a piece has come when a connection breaks is lost.
PIECE = 1 << 16
TIMEOUT_S = 60
TELL_EVERY_S = 10.0


@dataclass(frozen=True)
class Retries:
    """How often a file is asked for again, and how long is waited before the first time."""

    tries: int = 6
    wait_s: float = 2.0


def fetch_file(
    one: PublicFile,
    folder: Path,
    *,
    offline: Path | None = None,
    retries: Retries = Retries(),
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Return the path of a file in `folder`, fetched where it is not there yet.

    Its checksum is that of the catalogue, else the one that the first use left in the lock
    (`fetched.tsv`); a file that differs is refused and not kept.

    Parameters
    ----------
    offline
        A folder that holds the file already; nothing is asked of the network.

    Raises
    ------
    InputProblem
        Where it cannot be had, or is not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locked = read_lock(folder)
    known = one.sha256 or locked.get(one.file, {}).get("sha256", "")
    target = folder / one.file
    target.parent.mkdir(parents=True, exist_ok=True)
    if offline:
        source = offline / one.file
        if not source.is_file():
            raise InputProblem(f"{source}: there is no such file; put it there, or go online")
        _refuse_other(source, one, known)
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)
        url = ""
    elif target.is_file():
        _refuse_other(target, one, known)
        url = locked.get(one.file, {}).get("url", "")
    else:
        url = _from_mirrors(one, target, known, retries, tell)
    _write_lock(folder, locked, one.file, target, url)
    return target


def sha256_of(path: Path) -> str:
    """Return a file's checksum."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_lock(folder: Path) -> dict[str, dict[str, str]]:
    """Return what was fetched into a folder before, by file."""
    path = folder / LOCK
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row for row in csv.DictReader(lines, delimiter="\t")}


def _write_lock(
    folder: Path, locked: dict[str, dict[str, str]], name: str, path: Path, url: str
) -> None:
    size = str(path.stat().st_size)
    locked[name] = {"file": name, "bytes": size, "sha256": sha256_of(path), "url": url}
    partial = folder / f".{LOCK}.part"
    with partial.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, LOCK_COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(locked[key] for key in sorted(locked))
    partial.replace(folder / LOCK)


def _refuse_other(path: Path, one: PublicFile, known: str) -> None:
    """Refuse a file that is not the one of the catalogue or of the first use."""
    if one.n_bytes is not None and path.stat().st_size != one.n_bytes:
        raise InputProblem(
            f"{path}: {path.stat().st_size} bytes, {one.n_bytes} are known of it; remove it, and "
            "fetch it again"
        )
    if known and sha256_of(path) != known:
        raise InputProblem(
            f"{path}: its checksum is not the known one ({known[:12]}…); remove it, and fetch it "
            "again; where the archive has changed the file, remove its line from the lock too"
        )


def _from_mirrors(
    one: PublicFile,
    target: Path,
    known: str,
    retries: Retries,
    tell: Callable[[str], None] | None,
) -> str:
    """Return the address from which a file came; each is tried in turn."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    faults = []
    for url in one.urls:
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{known}" if known else None,
                fname=target.name,
                path=target.parent,
                downloader=Resuming(target.with_name(f".{target.name}.part"), retries, tell),
            )
            _refuse_other(target, one, known)
            return url
        except (OSError, ValueError) as error:
            # pooch tells of another checksum by ValueError; what the network says is an OSError.
            what = str(error) if isinstance(error, OSError) else "another checksum than the known"
            faults.append(f"{url}: {what.splitlines()[0]}")
        except InputProblem as problem:
            target.unlink(missing_ok=True)
            faults += problem.problems
    raise InputProblem(
        f"{one.file}: it could not be fetched ({'; '.join(faults)}); try again later, or put it in "
        "a folder and give that as --offline"
    )


class Resuming:
    """A downloader for pooch that keeps what has come and asks for the rest.

    Parameters
    ----------
    partial
        Where what has come is kept, also over calls.
    """

    def __init__(
        self, partial: Path, retries: Retries, tell: Callable[[str], None] | None = None
    ) -> None:
        self._partial, self._retries, self._tell = partial, retries, tell

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fetch `url` into `output_file`."""
        import requests

        for attempt in range(self._retries.tries):
            try:
                self._go_on(url)
                break
            except (requests.RequestException, OSError) as error:
                final = isinstance(error, requests.HTTPError) and error.response.status_code < 500
                if final or attempt + 1 == self._retries.tries:
                    raise OSError(str(error)) from error
                time.sleep(self._retries.wait_s * 2**attempt)
        self._partial.replace(output_file)

    def _go_on(self, url: str) -> None:
        """Ask for what is missing; what a server gives from the beginning replaces all."""
        import requests

        have = self._partial.stat().st_size if self._partial.exists() else 0
        headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
        told = time.monotonic()
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                # All of it had come, or the file has changed: the checksum decides, or a new start.
                self._partial.unlink()
                raise OSError("the server has no more of it")
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            with self._partial.open("ab" if resumed else "wb") as handle:
                for piece in answer.iter_content(PIECE):
                    handle.write(piece)
                    if self._tell and time.monotonic() > told + TELL_EVERY_S:
                        told = time.monotonic()
                        self._tell(f"{self._partial.name[1:-5]}: {handle.tell() / 1e6:,.0f} MB …")
            length = answer.headers.get("Content-Length")
            expected = (have if resumed else 0) + int(length or 0)
            if length and self._partial.stat().st_size < expected:
                raise OSError(f"{self._partial.stat().st_size} of {expected} bytes came")


def say(line: str) -> None:
    """Print how far a download is."""
    print(line, file=sys.stderr, flush=True)
