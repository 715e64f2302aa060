"""Headers of matrices that passed the check before and have not changed since."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relapsescope.intake.matrix import MatrixHeader, read_header
from relapsescope.provenance.code import code_version


class HeaderMemory:
    """Reads headers, and remembers in a file those that were good.

    Looking into a matrix takes a tenth of a second, which is minutes for a thousand libraries and
    every call of the workflow. A header is remembered for as long as the size and time of change of
    its file (of a folder's files) and the code that reads it stay the same.

    Parameters
    ----------
    path
        The file; it may be absent, and what it holds may be damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._code = code_version("intake.matrix")
        self._known: dict[str, Any] = {}
        self._changed = False
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["code"] == self._code:
                self._known = content["headers"]
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def header(self, path: Path) -> MatrixHeader:
        """Return a matrix's header, as `read_header` does, and with its errors."""
        state = _state(path)
        entry = self._known.get(str(path.absolute()))
        if state and entry and entry["state"] == state:
            return _header(entry["header"])
        header = read_header(path)
        self._known[str(path.absolute())] = {"state": state, "header": asdict(header)}
        self._changed = True
        return header

    def save(self) -> None:
        """Write what is known; where that cannot be done, it will be read again."""
        if not self._changed:
            return
        partial = self._path.with_suffix(".partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"code": self._code, "headers": self._known}, default=_plain)
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)
        except OSError:
            return


def _plain(value: Any) -> Any:
    """Return a number or truth value of numpy's as Python's own, which JSON knows."""
    return value.item()


def _state(path: Path) -> list[list]:
    """Return name, size and time of change of a file, or of a folder's files."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return []
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _header(values: dict[str, Any]) -> MatrixHeader:
    features = {name: tuple(names) for name, names in values["features"].items()}
    lists = {name: tuple(values[name]) for name in ("notes", "fingerprint")}
    return MatrixHeader(**values | {"features": features, **lists})
