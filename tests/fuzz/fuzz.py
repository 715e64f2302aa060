"""Generated bad cohorts: what a run says of each, within bounds of time and memory."""

import json
import random
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .child import WAIT
from .spoilers import SPOILERS

BAD = ("crashed", "endless", "memory", "died")
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Finding:
    """One bad cohort: its number, what was done to it, the outcome and what was said."""

    number: int
    done: str
    outcome: str
    lines: list[str]


class Looker:
    """The process that looks at bad cohorts, started again where one ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def look(self, folder: Path) -> dict:
        """Return outcome and lines for one folder."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "child.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        process.stdin.write(json.dumps(str(folder)) + "\n")
        process.stdin.flush()
        # The first answer also waits for the imports.
        ready, _, _ = select.select([process.stdout], [], [], 2 * WAIT)
        answer = process.stdout.readline() if ready else ""
        if answer:
            return json.loads(answer)
        self.close()
        return {"outcome": "died" if ready else "endless", "lines": ["the process is gone"]}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def findings(valid: Path, *, number: int, seed: int) -> Iterator[Finding]:
    """Yield what is said of `number` bad cohorts made from a valid one.

    Every kind of input is spoilt equally often. A cohort of the same seed and number is the same,
    however many are made.
    """
    looker = Looker()
    try:
        for i in range(number):
            rng = random.Random(seed * 1_000_003 + i)
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place) / "cohort"
                shutil.copytree(valid, folder)
                (folder / "config.yaml").write_text("")
                done = SPOILERS[i % len(SPOILERS)](rng, folder)
                answer = looker.look(folder)
            yield Finding(i, done, answer["outcome"], answer["lines"])
    finally:
        looker.close()
