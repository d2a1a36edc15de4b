"""One row a measurement, and the markdown table that grows while they are made."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HEAD = ("row", "what", "ours", "baselines", "ratio", "bar", "stretch", "error against fp32", "note")


@dataclass(frozen=True)
class Row:
    """What was measured. Baselines by name, as `theirs.ways` explains them.

    ours, theirs: in `unit`; the ratio printed is theirs over ours.  errors: of results against exact float32, ours among them.
    failed: the reason if there is nothing else to say.
    """

    name: str
    what: str
    ours: float = math.nan
    unit: str = "s"
    theirs: Mapping[str, float] = field(default_factory=dict)
    bar: str = ""
    stretch: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    failed: str = ""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as much each baseline takes."""
        return {name: value / self.ours for name, value in self.theirs.items()}

    def cells(self) -> Iterator[str]:
        """Its cells in the order of `HEAD`."""
        if self.failed:
            yield from (self.name, self.what, "failed", "", "", self.bar, self.stretch, "", self.failed)
            return
        yield from (self.name, self.what, shown(self.ours, self.unit))
        yield _listed({name: shown(value, self.unit) for name, value in self.theirs.items()})
        yield _listed({name: f"{ratio:.2f}x" for name, ratio in self.ratios.items()})
        yield from (self.bar, self.stretch, _listed({name: f"{error:.1e}" for name, error in self.errors.items()}), self.note)


def shown(value: float, unit: str) -> str:
    """A value with its unit, short times in milliseconds."""
    if unit == "s":
        return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.2f}{unit if unit in ('', 'x') else ' ' + unit}"


def _listed(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in parts.items())


class Table:
    """Prints rows as they come, and keeps a file of all of them up to date if there is a place for one."""

    def __init__(self, preface: str, file: Path | None = None) -> None:
        self.rows: list[Row] = []
        self._file = file
        self._lines: list[str] = []
        for line in (preface, "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)):
            self._say(line)

    def add(self, row: Row) -> None:
        """One more row."""
        self.rows.append(row)
        self._say("| " + " | ".join(cell.replace("|", "/") for cell in row.cells()) + " |")

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._lines.append(line)
        if self._file is not None:
            self._file.write_text("\n".join(self._lines) + "\n", encoding="utf-8")
