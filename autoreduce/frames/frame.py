"""One image on its way into the frame table: its facts and what speaks against it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from zlib import crc32

from autoreduce.errors import InputError
from autoreduce.fits.header import RawHeader, image_shape, pixel_scaling
from autoreduce.frames.dialects import Dialect, possible, recognise
from autoreduce.frames.facts import (
    NO_SECTION,
    Fact,
    FactReader,
    Reading,
    binned_section,
    is_cut_off,
    lone_date,
    valid_section,
)
from autoreduce.frames.imagetype import (
    Witness,
    decide_type,
    keywords_of_type,
    witness_of,
)
from autoreduce.frames.memory import CardMemory
from autoreduce.frames.rawness import keywords_of_products, why_not_raw
from autoreduce.frames.schema import FACT_COLUMNS
from autoreduce.remarks import Remark, remark

EvidenceCells = tuple[str, str, str, str, str]
EvidenceRow = tuple[str, str, str, str, str, str, str]

_SECTIONS = ("biassec", "trimsec")
_SCALING = ("BITPIX", "BSCALE", "BZERO", "BLANK")
_COLOURS = 3
"""Planes of an image that shows all of them."""
_COLUMNS = frozenset(column.name for column in FACT_COLUMNS)


@dataclass(slots=True)
class Frame:
    """One image while its row is put together."""

    file: str
    """Name in the frame table."""
    path: str | Path
    """File that holds it."""
    header: RawHeader
    """Cards of its own header, followed by those of the primary one."""
    dialect: Dialect
    """How the header is read."""
    facts: dict[str, Reading]
    """What the header says, by fact."""
    shape: tuple[int, ...]
    """NAXIS1, NAXIS2, ..."""
    why_not: Remark | None = None
    """Why it is left out; None if nothing speaks against it."""
    cards_hash: int = 0
    """The same for frames with the same cards."""

    def value(self, fact: str) -> object:
        """Return a fact's value, None where it is missing."""
        reading = self.facts.get(fact)
        return None if reading is None else reading.value

    def row(self) -> Mapping[str, object]:
        """Return its row of the frame table."""
        known = {
            fact: reading.value
            for fact, reading in self.facts.items()
            if fact in _COLUMNS and reading.value is not None
        }
        return known | {
            "file": self.file,
            "naxis1": self.shape[0],
            "naxis2": self.shape[1],
            "use": not self.why_not,
            "why_not": self.why_not and str(self.why_not.about(self.file)),
            "code": self.why_not and self.why_not.code,
        }

    def evidence(self) -> Iterator[EvidenceRow]:
        """Return its rows of the evidence table, as `EVIDENCE_COLUMNS`."""
        for fact, reading in self.facts.items():
            yield self.file, fact, *evidence_cells(reading)
        title = self.dialect.title
        yield self.file, "dialect", self.dialect.name, "", "", title, ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one header says, read by its dialect: for those who have no frame table."""

    header: RawHeader
    """The cards."""
    dialect: Dialect
    """How they are read."""
    readings: Mapping[str, Reading]
    """What was found, by fact."""

    def value(self, fact: str) -> Fact | None:
        """Return a fact in the frame table's unit; None where it is missing."""
        reading = self.readings.get(fact)
        return None if reading is None else reading.value

    def number(self, fact: str) -> float | None:
        """Return a fact that is a number; None where it is missing."""
        value = self.value(fact)
        return float(value) if isinstance(value, int | float) else None

    @property
    def start(self) -> datetime | None:
        """Start of the exposure, UTC; None if date or time of day are not known."""
        value = self.value("date_obs")
        return value if isinstance(value, datetime) else None

    @property
    def date(self) -> datetime | None:
        """Start of the exposure, or midnight of its date where no time is known."""
        if self.start is not None:
            return self.start
        alone = lone_date(self.header, self.dialect.facts["date_obs"])
        return alone.value if alone and isinstance(alone.value, datetime) else None

    def meaning(self, keyword: str) -> Fact | None:
        """Return what a card means: the fact that it gives, else its own value.

        Parameters
        ----------
        keyword : str
            In any case.  One by which a fact is called (``EXPTIME``, ``CCD-TEMP``)
            stands for this fact, whichever card gave it.
        """
        keyword = keyword.upper()
        fact = keyword.lower().replace("-", "_")
        if fact == "date_obs" and self.date is not None:
            return self.date
        if (named := self.value(fact)) is not None:
            return named
        for reading in self.readings.values():
            is_named = reading.keyword.partition("+")[0] == keyword
            if is_named and reading.value is not None:
                return reading.value
        return self.header.get(keyword)

    def keywords(self, *facts: str) -> tuple[str, ...]:
        """List all keywords that may give some facts."""
        rules = [self.dialect.facts[fact] for fact in facts]
        return tuple(
            dict.fromkeys(
                keyword for rule in rules for keyword in (*rule.keywords, *rule.clock)
            )
        )


def is_image(shape: tuple[int, ...]) -> bool:
    """Tell whether an array of that shape is an image: no spectrum, no number."""
    return len(shape) >= 2 and shape[0] * shape[1] > 1


def frames_of_file(
    name: str, path: Path, headers: Sequence[RawHeader], dialects: Sequence[Dialect]
) -> Iterator[Frame]:
    """Read the frames of one file, as `FrameReader` does for many."""
    return FrameReader(dialects).frames_of_file(name, path, headers)


class FrameReader:
    """Reads the frames of many files.

    Parameters
    ----------
    dialects : sequence of Dialect
        Tables in the order in which they are tried.
    """

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._dialects = dialects
        self._recognised: dict[AbstractSet[str], CardMemory[_DialectReader]] = {}
        self._readers: dict[int, _DialectReader] = {}

    def frames_of_file(
        self, name: str, path: str | Path, headers: Sequence[RawHeader]
    ) -> Iterator[Frame]:
        """Read the frames of one file.

        Parameters
        ----------
        name : str
            The file's name in the frame table.
        path : path
            The file.
        headers : sequence of RawHeader
            All its headers.

        Yields
        ------
        Frame
            One for every image; its name has ``[N]`` behind it if the image is in HDU
            N, except for the one image of a tile-compressed file.
        """
        shapes = [(header, image_shape(header)) for header in headers]
        images = [(header, shape) for header, shape in shapes if is_image(shape)]
        only = len(images) == 1 and images[0][0].hdu == 1
        compressed = only and images[0][0].get("ZIMAGE") is True
        for image, shape in images:
            plain = image.hdu == 0 or compressed
            file = name if plain else f"{name}[{image.hdu}]"
            header = image
            if image.hdu:
                header = RawHeader(image.hdu, image.block + headers[0].block)
            yield self._frame(file, path, header, shape)

    def read_facts(self, header: RawHeader) -> "Facts":
        """Read what one header says, whatever it is the header of.

        Parameters
        ----------
        header : RawHeader
            Header of an image; of an extension, followed by the primary one's cards.
        """
        reader = self._reader(header)
        return Facts(header, reader.dialect, reader.facts.read(header))

    def _frame(
        self, file: str, path: str | Path, header: RawHeader, shape: tuple[int, ...]
    ) -> Frame:
        reader = self._reader(header)
        facts = reader.facts.read(header)
        if not facts.keys().isdisjoint(_SECTIONS):
            _check_sections(facts, shape)
        said, why_not = reader.steady(header)
        facts["imagetyp"] = decide_type(said, reader.dialect, facts, file)
        why_not = why_not or _why_no_plane(shape)
        alike = crc32(header.block)  # the same in each process
        return Frame(file, path, header, reader.dialect, facts, shape, why_not, alike)

    def _reader(self, header: RawHeader) -> "_DialectReader":
        """Return what reads a header, from the few tables that its keywords allow."""
        recognised = self._recognised.get(header.keywords)
        if recognised is None:
            tables = possible(header.keywords, self._dialects)
            wanted = chain.from_iterable(table.recognise for table in tables)
            recognised = CardMemory(
                chain.from_iterable(wanted), partial(self._recognise, tables)
            )
            self._recognised[header.keywords] = recognised
        return recognised(header)

    def _recognise(
        self, tables: Sequence[Dialect], header: RawHeader
    ) -> "_DialectReader":
        dialect = recognise(header, tables)
        if id(dialect) not in self._readers:
            self._readers[id(dialect)] = _DialectReader(dialect)
        return self._readers[id(dialect)]


class _DialectReader:
    """What one dialect reads from a header."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.facts = FactReader(dialect)
        keywords = (
            *keywords_of_products(dialect),
            *_SCALING,
            *keywords_of_type(dialect),
        )
        self.steady = CardMemory(keywords, self._steady)

    def _steady(self, header: RawHeader) -> tuple[Witness, Remark | None]:
        """Read what a type keyword says, and what keeps a frame out."""
        why_not = why_not_raw(header, self.dialect) or _why_no_pixels(header)
        return witness_of(header, self.dialect), why_not


def _why_no_plane(shape: tuple[int, ...]) -> Remark | None:
    if len(shape) == 2:
        return None
    planes = [length for length in shape[2:] if length > 1]
    if not planes:
        return None
    code = "three-planes" if planes == [_COLOURS] else "cube"
    return remark(code, found=" x ".join(map(str, shape)))


def _why_no_pixels(header: RawHeader) -> Remark | None:
    """Tell what keeps the pixels from being read, before any of them is."""
    try:
        pixel_scaling(header)
    except InputError as error:
        return remark("unread", found=str(error))
    return None


def _check_sections(facts: dict[str, Reading], shape: tuple[int, ...]) -> None:
    x, y = (facts.get(name) for name in ("xbinning", "ybinning"))
    binning = int(str(x.value)) if x else 1, int(str(y.value)) if y else 1
    for fact in _SECTIONS:
        if fact not in facts:
            continue
        told = str(facts[fact].value)
        section = valid_section(told, shape)
        whole = section == f"[1:{shape[0]},1:{shape[1]}]"
        rule = "section inside of the image"
        if section is None and binning != (1, 1):
            section = valid_section(binned_section(told, binning), shape)
            rule = "section of the unbinned chip"
        if section is None:
            cut_off = is_cut_off(told, shape)
            rule = "section that was not saved" if cut_off else NO_SECTION
        elif whole and facts[fact].keyword == "DATASEC":
            section, rule = None, "the whole image: nothing to trim"
        facts[fact] = facts[fact]._replace(value=section, rule=rule)


def evidence_cells(reading: Reading) -> EvidenceCells:
    """Return what the evidence tells of a reading, behind the names of frame and fact."""
    return (
        shown(reading.value),
        reading.keyword,
        reading.literal,
        reading.rule,
        "; ".join(reading.disagree),
    )


def told_otherwise(cell: str) -> list[str]:
    """Return what `evidence_cells` joined: each ``KEYWORD=literal``.

    Examples
    --------
    >>> told_otherwise("FILTER=Ha; 7nm; GAIN=3")
    ['FILTER=Ha; 7nm', 'GAIN=3']
    """
    return _NEXT_SOURCE.split(cell)


_NEXT_SOURCE = re.compile(r"; (?=[A-Z][^;=a-z]*=)")
"""A literal may hold a semicolon, but no keyword behind it."""


def shown(value: object) -> str:
    """Return the text of a value in `evidence_cells`; empty of what is missing."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
