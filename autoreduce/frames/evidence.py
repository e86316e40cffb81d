"""Which card gave each fact of each frame, kept as it was read."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from autoreduce.fits.spreadsheet import guarded
from autoreduce.frames.facts import CHANGING, Reading
from autoreduce.frames.frame import EvidenceCells, EvidenceRow, Frame, evidence_cells
from autoreduce.frames.schema import EVIDENCE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_FRAMES_OF_A_PIECE = 500
_OF_ONE_FRAME = frozenset((*CHANGING, "night"))
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

    def table(
        self, fact: str = "", which: Callable[[Reading], object] | None = None
    ) -> "pd.DataFrame":
        """Make a table of it.

        Parameters
        ----------
        fact : str
            The only fact that is asked for; all of them if empty.
        which : callable, optional
            Tells which readings of that fact are asked for; all of them if absent.

        Returns
        -------
        DataFrame
            Texts, with `EVIDENCE_COLUMNS`; of each frame ``dialect`` comes last.
        """
        import pandas as pd

        columns: list[list[str]] = [[] for _ in EVIDENCE_COLUMNS]
        for row in self._rows_of(fact, which) if fact else self._rows():
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        arrays = [pd.array(column, dtype="string") for column in columns]
        return pd.DataFrame(dict(zip(EVIDENCE_COLUMNS, arrays, strict=True)))

    def csv_pieces(self) -> Iterator[str]:
        """Write the table as CSV that a spreadsheet may open, piece by piece."""
        yield _csv_line(EVIDENCE_COLUMNS)
        shared: dict[int, str] = {}
        forms: dict[tuple[str, str, str], str] = {}
        frames: list[str] = []

        def line_of(fact: str, reading: Reading) -> str:
            value, keyword, literal, rule, disagree = evidence_cells(reading)
            if not _is_plain((value, literal, disagree)):
                line = _csv_line((fact, value, keyword, literal, rule, disagree))
            else:
                form = forms.get((fact, keyword, rule))
                if form is None:
                    same = (text.replace("%", "%%") for text in (fact, keyword, rule))
                    cells = (one for text in same for one in (text, "%s"))
                    form = forms[fact, keyword, rule] = _csv_line(tuple(cells))
                line = form % (value, literal, disagree)
            if fact not in _OF_ONE_FRAME:
                shared[id(reading)] = line
            return line

        for file, name, title, facts, readings in self._frames:
            begin = f"{_csv_line((file,))[:-1]},"
            lines = [
                shared.get(id(reading)) or line_of(fact, reading)
                for fact, reading in zip(facts, readings, strict=True)
            ]
            lines.append(_csv_line(("dialect", name, "", "", title, "")))
            frames.append(begin + begin.join(lines))
            if len(frames) > _FRAMES_OF_A_PIECE:
                yield "".join(frames)
                frames.clear()
        yield "".join(frames)

    def _rows(self) -> Iterator[EvidenceRow]:
        shared: dict[int, EvidenceCells] = {}
        for file, name, title, facts, readings in self._frames:
            for fact, reading in zip(facts, readings, strict=True):
                cells = shared.get(id(reading)) or evidence_cells(reading)
                if fact not in _OF_ONE_FRAME:
                    shared[id(reading)] = cells
                yield file, fact, *cells
            yield file, "dialect", name, "", "", title, ""

    def _rows_of(
        self, fact: str, which: Callable[[Reading], object] | None
    ) -> Iterator[EvidenceRow]:
        for file, _, _, facts, readings in self._frames:
            if fact in facts:
                reading = readings[facts.index(fact)]
                if which is None or which(reading):
                    yield file, fact, *evidence_cells(reading)


def _is_plain(cells: Sequence[str]) -> bool:
    """Tell whether cells stand in CSV as they are, as most do."""
    joined = "\t".join(("", *cells))
    return not (_QUOTED.search(joined) or _MAY_BE_RUN.search(joined))


@lru_cache(maxsize=64)
def _csv_line(cells: tuple[str, ...]) -> str:
    """Write a row of a table."""
    if not _is_plain(cells):
        cells = tuple(_quoted(str(guarded(cell))) for cell in cells)
    return f"{','.join(cells)}\n"


def _quoted(cell: str) -> str:
    if not _QUOTED.search(cell):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'
