"""Which card gave each fact of each frame, kept as it was read."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from autoreduce.fits.spreadsheet import guarded
from autoreduce.frames.facts import CHANGING, Reading
from autoreduce.frames.frame import EvidenceCells, EvidenceRow, Frame, evidence_cells
from autoreduce.frames.schema import EVIDENCE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_ROWS_OF_A_PIECE = 10_000
_QUOTED = re.compile(r"""[,"\r\n]""")
_MAY_BE_RUN = re.compile(r"\t(?:['=@]|[+-](?![\d.: ]*(?:\t|$)))")
"""In cells with a tabulator before each: those that a spreadsheet may run."""


class Evidence:
    """The readings of the frames of a night.

    A night of thousands has hundreds of thousands of readings, most of which many frames
    share: as a table they would take more room than the frames' facts themselves.
    """

    def __init__(self) -> None:
        self._frames: list[tuple[str, str, str, tuple[str, ...], tuple[Reading, ...]]]
        self._frames = []
        self._facts: dict[tuple[str, ...], tuple[str, ...]] = {}

    def add(self, frame: Frame) -> None:
        """Keep what was read of a frame."""
        facts = tuple(frame.facts)
        facts = self._facts.setdefault(facts, facts)
        readings = tuple(frame.facts.values())
        self._frames.append(
            (frame.file, frame.dialect.name, frame.dialect.title, facts, readings)
        )

    def table(self, fact: str = "") -> "pd.DataFrame":
        """Make a table of it.

        Parameters
        ----------
        fact : str
            The only fact that is asked for; all of them if empty.

        Returns
        -------
        DataFrame
            Texts, with `EVIDENCE_COLUMNS`; of each frame ``dialect`` comes last.
        """
        import pandas as pd

        columns: list[list[str]] = [[] for _ in EVIDENCE_COLUMNS]
        for row in self._rows(fact):
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        arrays = [pd.array(column, dtype="string") for column in columns]
        return pd.DataFrame(dict(zip(EVIDENCE_COLUMNS, arrays, strict=True)))

    def csv_pieces(self) -> Iterator[str]:
        """Write the table as CSV that a spreadsheet may open, piece by piece."""
        yield _csv_line(EVIDENCE_COLUMNS)
        shared: dict[int, str] = {}
        lines: list[str] = []

        def line_of(fact: str, reading: Reading) -> str:
            line = _csv_line((fact, *evidence_cells(reading)))
            if fact not in CHANGING:
                shared[id(reading)] = line
            return line

        for file, name, title, facts, readings in self._frames:
            begin = _csv_line([file])[:-1]
            lines += [
                f"{begin},{shared.get(id(reading)) or line_of(fact, reading)}"
                for fact, reading in zip(facts, readings, strict=True)
            ]
            lines.append(f"{begin},{_csv_line(('dialect', name, '', '', title, ''))}")
            if len(lines) > _ROWS_OF_A_PIECE:
                yield "".join(lines)
                lines.clear()
        yield "".join(lines)

    def _rows(self, wanted: str) -> Iterator[EvidenceRow]:
        shared: dict[int, EvidenceCells] = {}
        for file, name, title, facts, readings in self._frames:
            for fact, reading in zip(facts, readings, strict=True):
                if wanted not in ("", fact):
                    continue
                cells = shared.get(id(reading)) or evidence_cells(reading)
                if fact not in CHANGING:
                    shared[id(reading)] = cells
                yield file, fact, *cells
            if not wanted:
                yield file, "dialect", name, "", "", title, ""


def _csv_line(cells: Sequence[str]) -> str:
    """Write a row of a table; most cells are plain."""
    joined = "\t".join(("", *cells))
    if not (_QUOTED.search(joined) or _MAY_BE_RUN.search(joined)):
        return f"{','.join(cells)}\n"
    text = ",".join(_quoted(str(guarded(cell))) for cell in cells)
    return f"{text}\n"


def _quoted(cell: str) -> str:
    if not _QUOTED.search(cell):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'
