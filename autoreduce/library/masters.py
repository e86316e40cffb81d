"""A library: masters of other nights in one folder, and an index of them.

Masters carry every match key in their headers.  The headers are the truth; the index
(``index.csv``) only saves reading them, and is believed where the ledger beside it says
that a master was not touched.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from autoreduce.errors import AutoreduceError, InputError, ProductError, TableError
from autoreduce.fits.checksum import check_sums
from autoreduce.fits.formats import open_named
from autoreduce.fits.header import RawHeader, read_headers
from autoreduce.fits.ledger import LEDGER, Ledger
from autoreduce.fits.names import is_fits_name
from autoreduce.fits.names import stem as stem_of
from autoreduce.fits.spreadsheet import frame_text, unguarded
from autoreduce.fits.whole import write_text
from autoreduce.frames.rawness import is_product
from autoreduce.frames.schema import ImageType, typed
from autoreduce.library.foreign import (
    Bias,
    ForeignMaster,
    UnknownBiasError,
    read_foreign,
    write_foreign,
)
from autoreduce.planning.candidates import LIBRARY_DTYPES
from autoreduce.planning.grouping import FACT_NAMES, comparable
from autoreduce.planning.naming import slug
from autoreduce.planning.plan import Action
from autoreduce.planning.rules import load_rules
from autoreduce.products.provenance import FACT_CARDS, MASTER_FLAT_DARK, MASTER_TYPES
from autoreduce.products.state import found_digest, written_digest

log = logging.getLogger(__name__)

INDEX = "index.csv"
"""Name of the index in a library's folder."""
COLUMNS = (
    "file", *FACT_NAMES, "date_obs", "n_frames", "keeps_bias", "digest", "program",
)  # fmt: skip
"""Columns of the index: name, match keys, mean start of the exposures (UTC), number of
frames, whether a dark holds its bias, digest, program that made it."""

_SUFFIX = ".fits"
"""What names of masters in a library end in."""
BAD_PIXELS = f"masters/{Action.BAD_PIXELS}"
"""What the names of maps of bad pixels begin with: they serve no other night's lights."""
KINDS = {
    MASTER_TYPES[Action.BIAS]: ImageType.BIAS,
    MASTER_TYPES[Action.DARK]: ImageType.DARK,
    MASTER_FLAT_DARK: ImageType.FLATDARK,
    MASTER_TYPES[Action.FLAT]: ImageType.FLAT,
}
"""Types of the frames that masters are made from, by IMAGETYP."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What became of one master that was to be added."""

    source: Path
    """Where it was."""
    file: str = ""
    """Its name in the library; empty if it was refused."""
    is_new: bool = False
    """Whether it was not there already."""
    reason: str = ""
    """Why it was refused."""
    remarks: tuple[str, ...] = ()
    """What its header does not tell, in words."""
    wants_bias: bool = False
    """Whether it was refused because no bias tells of its level."""


@dataclass(frozen=True, slots=True)
class Library:
    """The masters of a library, and the files that are none."""

    folder: Path
    """Absolute path."""
    masters: pd.DataFrame
    """One row for each master, by name: `COLUMNS`, and ``output`` (absolute path)."""
    unreadable: Mapping[str, str]
    """Files that cannot be used, each with the reason."""
    lost: tuple[str, ...]
    """Masters that the index lists and that are not there."""
    replaced: tuple[str, ...]
    """Masters whose digest is not the one that the index has."""


# ---------------------------------------------------------------- reading


def read_library(folder: Path, *, trust_index: bool = True) -> Library:
    """Read which masters a library holds; nothing is written.

    Parameters
    ----------
    folder : Path
        The library.
    trust_index : bool
        Whether headers are read only of masters that the index does not know as they
        are.

    Returns
    -------
    Library
        Its masters.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    if not folder.is_dir():
        msg = (
            f"the library {folder} is not a folder: name one that `autoreduce library "
            "add` filled"
        )
        raise InputError(msg)
    folder = folder.absolute()
    indexed = _read_index(folder / INDEX)
    ledger = Ledger.load(folder / LEDGER)
    rows: list[Mapping[str, Any]] = []
    unreadable: dict[str, str] = {}
    replaced: list[str] = []
    for path in _files(folder):
        known = indexed.get(path.name)
        try:
            if not (trust_index and known and ledger.is_untouched(path.name, path)):
                row = master_row(path)
                if known and known["digest"] != row["digest"]:
                    replaced.append(path.name)
                known = row
            rows.append(known)
        except (InputError, OSError) as error:
            unreadable[path.name] = str(error)
    for path in sorted(folder.iterdir()):
        is_read = path.name.startswith(".") or path.suffix == _SUFFIX
        if is_fits_name(path.name) and not is_read and path.is_file():
            unreadable[path.name] = (
                f"a library reads {_SUFFIX} alone: take it over with `autoreduce library "
                "add`, and remove it here"
            )
    there = {path.name for path in _files(folder)}
    masters = _typed(rows, unreadable)
    masters["output"] = [(folder / file).as_posix() for file in masters["file"]]
    masters = masters.astype({"output": "string"})
    lost = tuple(sorted(set(indexed) - there))
    return Library(folder, masters, unreadable, lost, tuple(replaced))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob(f"*{_SUFFIX}") if not p.name.startswith("."))


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Read the index as text, by file; empty if there is none, or it is of no use."""
    if not path.exists():
        return {}
    try:
        table = pd.read_csv(path, dtype="string", keep_default_na=False)
    except (OSError, ValueError) as error:
        log.warning("%s is not used, and headers are read instead: %s", path, error)
        return {}
    if list(table) != list(COLUMNS):
        log.warning("%s has other columns: headers are read instead", path)
        return {}
    table = table.astype(object).map(unguarded)
    rows = table.replace("", None).to_dict("records")
    return {str(row["file"]): {str(k): v for k, v in row.items()} for row in rows}


def _typed(
    rows: Sequence[Mapping[str, Any]], unreadable: dict[str, str]
) -> pd.DataFrame:
    """Make the table of masters; those whose facts make no sense are told apart."""
    try:
        return _table(rows)
    except TableError:
        sound = []
        for row in rows:
            try:
                _table([row])
            except TableError as error:
                unreadable[row["file"]] = str(error)
            else:
                sound.append(row)
        return _table(sound)


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Give every column its type; masters by name."""
    raw = pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
    raw = raw.astype(object).where(raw.notna(), None)
    table = typed(raw)[["file", *FACT_NAMES, "date_obs"]]
    others = raw.set_index("file")[["n_frames", "keeps_bias", *_TEXTS]]
    others = others.loc[table["file"].tolist()].reset_index(drop=True)
    n_frames = pd.to_numeric(others["n_frames"]).astype(LIBRARY_DTYPES["n_frames"])
    keeps_bias = others["keeps_bias"].map(str).eq("True")
    table = table.assign(
        n_frames=n_frames,
        keeps_bias=keeps_bias.astype(LIBRARY_DTYPES["keeps_bias"]),
        **{name: others[name].astype("string") for name in _TEXTS},
    )
    return table[list(COLUMNS)].sort_values("file", ignore_index=True)


_TEXTS = ("digest", "program")


def master_row(path: Path) -> dict[str, Any]:
    """Read from its header what a master of autoreduce is.

    Parameters
    ----------
    path : Path
        The master.

    Returns
    -------
    dict
        `COLUMNS`.

    Raises
    ------
    InputError
        If it is not a master bias, dark or flat that autoreduce made.
    """
    header = read_headers(path)[0]
    kind = KINDS.get(str(header.get("IMAGETYP")))
    if not is_product(header) or kind is None:
        msg = "it is not a master bias, dark or flat that autoreduce made"
        raise InputError(msg)
    facts = {name: header.get(card) for name, (card, _) in FACT_CARDS.items()}
    for name, keyword in (("naxis1", "NAXIS1"), ("naxis2", "NAXIS2")):
        if facts[name] is None:
            facts[name] = header.get(keyword)
    dark = kind in (ImageType.DARK, ImageType.FLATDARK)
    return {
        **dict.fromkeys(COLUMNS),
        **facts,
        "file": path.name,
        "imagetyp": kind.value,
        "date_obs": _mean_start(header),
        "n_frames": header.get("NCOMBINE"),
        "keeps_bias": str(dark and "B" not in str(header.get("CALSTAT") or "")),
        "digest": header.get("DIGEST"),
        "program": header.get("PROGRAM") or header.get("CREATOR"),
    }


def _mean_start(header: RawHeader) -> str | None:
    """Give the mean start of the exposures, UTC."""
    middle, exptime = header.get("DATE-AVG"), header.get("EXPTIME")
    if not isinstance(middle, str):
        return None
    half = exptime / 2 if isinstance(exptime, int | float) else 0.0
    try:
        moment = datetime.fromisoformat(middle).replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - timedelta(seconds=half)).isoformat()


def listing(library: Library, now: datetime) -> pd.DataFrame:
    """List masters as a person looks for them.

    Parameters
    ----------
    library : Library
        The library.
    now : datetime
        With time zone; ages count back from it.

    Returns
    -------
    DataFrame
        One row for each master, by type, camera and time: what it is, ``age_days``.
    """
    masters = library.masters
    temperature = comparable(masters, load_rules().temperature)["temperature"]
    age = (pd.Timestamp(now) - masters["date_obs"]) / pd.Timedelta(days=1)
    table = masters.assign(temperature=temperature, age_days=age.round(1))
    table = table.rename(columns={"imagetyp": "type", "instrume": "camera"})
    ordered = table.sort_values(["type", "camera", "date_obs", "file"])
    return ordered[list(_LISTED)]


_LISTED = (
    "file", "type", "camera", "filter", "exptime", "xbinning", "gain", "temperature",
    "night", "age_days", "n_frames",
)  # fmt: skip


# ---------------------------------------------------------------- adding


def add_to_library(
    folder: Path,
    sources: Sequence[Path],
    *,
    dialects: Sequence[Path] = (),
    keeps_bias: bool | None = None,
) -> list[Addition]:
    """Copy masters into a library; none that is there is replaced.

    Parameters
    ----------
    folder : Path
        The library; made if need be.
    sources : sequence of Path
        Output folders of autoreduce, whose masters are taken, and FITS files, also of
        other programs.
    dialects : sequence of Path
        The observer's own dialect tables, for masters of other programs.
    keeps_bias : bool, optional
        Whether darks of other programs hold their bias, where headers do not tell.

    Returns
    -------
    list of Added
        What became of each master, in the order of `sources`.

    Raises
    ------
    InputError
        If a source is a folder that autoreduce did not make.
    ProductError
        If the library cannot be written to.
    """
    files = [file for source in sources for file in masters_of(source)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = read_library(folder).masters
        digests = dict(zip(there["digest"], there["file"], strict=True))
        add = partial(
            _add, folder, digests=digests, dialects=dialects, keeps_bias=keeps_bias
        )
        added = [_tried(add, file) for file in files]
        add = partial(add, biases=_bias_levels(folder))
        added = [_tried(add, one.source) if one.wants_bias else one for one in added]
        write_index(read_library(folder))
    except OSError as error:
        msg = f"the library {folder} cannot be written: {error.strerror}"
        raise ProductError(msg) from error
    return added


def _tried(add: Callable[[Path], Addition], file: Path) -> Addition:
    """Add a master, or say why that is not possible."""
    try:
        return add(file)
    except (InputError, ProductError) as error:
        wants = isinstance(error, UnknownBiasError)
        return Addition(file, reason=str(error), wants_bias=wants)


def _bias_levels(folder: Path) -> list[Bias]:
    """List facts and level of the master bias frames of a library."""
    masters = read_library(folder).masters
    found: list[Bias] = []
    for row in masters[masters["imagetyp"] == ImageType.BIAS].to_dict("records"):
        level = read_headers(folder / row["file"])[0].get("LEVEL")
        facts = {name: None if pd.isna(v) else v for name, v in row.items()}
        if isinstance(level, int | float):
            found.append((facts, float(level)))
    return found


def masters_of(source: Path) -> list[Path]:
    """List the masters that stand in an output folder; a file stands for itself.

    Raises
    ------
    InputError
        If it is neither a file nor an output folder.
    """
    if source.is_file():
        return [source]
    try:
        outcomes = json.loads((source / "plan.json").read_text("utf-8"))["outcomes"]
        made = [
            source / output
            for output, outcome in outcomes.items()
            if output.startswith("masters/")
            and not output.startswith(BAD_PIXELS)
            and output.endswith(".fits")
            and outcome["status"] in ("done", "current")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{source} is not the output folder of a reduction: name one, such as "
            "night_reduced, or the FITS files of masters"
        )
        raise InputError(msg) from error
    if not made:
        msg = f"{source} holds no masters: none was made there"
        raise InputError(msg)
    return sorted(made)


def _add(
    folder: Path,
    source: Path,
    *,
    digests: dict[str, str],
    dialects: Sequence[Path],
    keeps_bias: bool | None,
    biases: Sequence[Bias] = (),
) -> Addition:
    """Copy one master, by way of a folder that is not looked at."""
    foreign: ForeignMaster | None = None
    try:
        header = read_headers(source)[0]
        own = master_row(source) if is_product(header) else None
    except InputError as error:
        msg = f"{source}: {error}"
        raise InputError(msg) from error
    if own is not None:
        check_sums(source)
        digest = str(own["digest"])
        stem = str(header.get("GROUP") or stem_of(source.name))
        night = own["night"]
    else:
        foreign = read_foreign(
            source, dialects=dialects, keeps_bias=keeps_bias, biases=biases
        )
        digest, stem, night = foreign.digest, foreign.group, foreign.facts["night"]
    remarks = foreign.remarks if foreign else ()
    if digest in digests:
        return Addition(source, digests[digest], remarks=remarks)
    with tempfile.TemporaryDirectory(prefix=".adding.", dir=folder) as place:
        copy = Path(place) / "master.fits"
        if foreign:
            write_foreign(foreign, copy)
        else:
            with open_named(source) as file, copy.open("wb") as out:
                shutil.copyfileobj(file, out)
        check_sums(copy)
        added = _moved(copy, folder, _named(stem, night)).name
    digests[digest] = added
    return Addition(source, added, is_new=True, remarks=remarks)


def _named(stem: str, night: object) -> str:
    night = slug(str(night)) if night else ""
    return stem if not night or stem.endswith(night) else f"{stem}_{night}"


def _moved(file: Path, folder: Path, stem: str) -> Path:
    """Move a file to a name that nothing else has."""
    for number in count(1):
        target = folder / (f"{stem}.fits" if number == 1 else f"{stem}_{number}.fits")
        try:
            target.open("x").close()
        except FileExistsError:
            continue
        return file.replace(target)
    raise AssertionError


def write_index(library: Library) -> None:
    """Write the index of a library, and the ledger that tells how long it holds.

    Raises
    ------
    ProductError
        If one cannot be written.
    """
    text = frame_text(library.masters[list(COLUMNS)])
    write_text(library.folder / INDEX, text)
    known = Ledger.load(library.folder / LEDGER)
    ledger = known.part(library.masters["file"])
    for file in library.masters["file"]:
        ledger.look(file, library.folder / file, written_digest)
    ledger.save(library.folder / LEDGER)


# ---------------------------------------------------------------- checking


def check_library(folder: Path) -> dict[str, str]:
    """Find what is damaged, lost or doubtful in a library; nothing is written.

    Parameters
    ----------
    folder : Path
        The library.

    Returns
    -------
    dict
        What is wrong, by file; empty if all is well.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    library = read_library(folder, trust_index=False)
    return dict(sorted(_problems(library)))


def _problems(library: Library) -> Iterator[tuple[str, str]]:
    yield from library.unreadable.items()
    ledger = Ledger.load(library.folder / LEDGER)
    for file in library.lost:
        yield file, "lost: the index lists it, the folder does not hold it"
    first: dict[str, str] = {}
    for row in library.masters.itertuples():
        original = first.setdefault(row.digest, row.file)
        try:
            place = library.folder / row.file
            check_sums(place)
        except (AutoreduceError, OSError) as error:
            yield row.file, str(error)
            continue
        if original != row.file:
            yield row.file, f"the same master as {original}: remove one of them"
        elif row.file in library.replaced:
            yield row.file, "replaced: its digest is not the one that the index has"
        elif row.file in ledger and not ledger.is_same(row.file, place, found_digest):
            yield row.file, "changed: it does not hold what was added"
