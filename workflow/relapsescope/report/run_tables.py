"""A run's tables as the pages ask for them: read once, found by patient and by row."""

from collections import defaultdict
from pathlib import Path

from relapsescope.mechanisms.cited import Row
from relapsescope.mechanisms.tables import read_rows, table_path


class RunTables:
    """Tables of one run, each read when first asked for and shared by all pages.

    Parameters
    ----------
    results
        The run's folder.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._rows: dict[str, list[Row]] = {}
        self._by_patient: dict[str, dict[str, list[Row]]] = {}
        self._by_key: dict[str, dict[str, Row]] = {}

    def rows(self, table: str) -> list[Row]:
        """Return a table's rows, all fields text; none where this run has no such table."""
        if table not in self._rows:
            self._rows[table] = read_rows(table, table_path(self._results, table))
        return self._rows[table]

    def of_patient(self, table: str, patient_id: str) -> list[Row]:
        """Return a patient's rows of a table, in the table's order."""
        if table not in self._by_patient:
            grouped = defaultdict(list)
            for row in self.rows(table):
                grouped[row["patient_id"]].append(row)
            self._by_patient[table] = dict(grouped)
        return self._by_patient[table].get(patient_id, [])

    def row(self, table: str, key: str) -> Row | None:
        """Return the row of that name (`Row.key`), None where there is none."""
        if table not in self._by_key:
            self._by_key[table] = {row.key: row for row in self.rows(table)}
        return self._by_key[table].get(key)
