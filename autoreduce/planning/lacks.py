"""Why no master serves, and the same said once of many frames."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import pandas as pd

from autoreduce.fits.names import pattern_of
from autoreduce.frames.schema import ImageType
from autoreduce.frames.spelling import MAKERS
from autoreduce.planning.candidates import Facts, has_overscan
from autoreduce.planning.criteria import Settings
from autoreduce.planning.phrases import UNKNOWN, listed
from autoreduce.planning.plan import Verdict
from autoreduce.remarks import Remark, remark, typed

_PLURAL = {"bias": "bias frames", "dark": "darks", "flat": "flats"}
_COLUMNS = {"exposure": "exptime", "temperature": "ccd_temp"}
"""Columns of the frame table behind criteria of other names."""
_TELLABLE = ("instrume", "telescop", "gain", "offset", "readoutm", "trimsec")
"""What a person may know of frames whose headers leave it out."""

_OF_READING = ("gain", "offset", "readoutm")
"""How pixels are read: a flat, made with its own bias and dark, knows nothing of it."""
_OF_LIGHT = ("filter", "naxis1", "naxis2", "xbinning", "ybinning")
"""What light goes through, and which pixels it meets."""

NO_BIAS_FRAMES = "there are no bias frames"
"""Why there is no bias where nobody took one."""


@dataclass(frozen=True, slots=True)
class Table:
    """What of the whole frame table a reason may name."""

    files: tuple[str, ...] = ()
    """All frames."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Frames that take no part, and could have served each need."""

    def pattern(self, facts: Facts) -> str:
        """Write a pattern of the frames of a setup or master, and of no others."""
        files = facts.get("files", ())
        known = isinstance(files, tuple) and files
        return pattern_of(files, self.files) if known else ""


def lack(
    need: str,
    setup: Facts,
    misses: Sequence[tuple[Verdict, Facts]],
    settings: Settings,
    table: Table,
) -> Remark:
    """Say why nothing serves, and the way out where an option is one.

    Parameters
    ----------
    need : str
        ``bias``, ``dark`` or ``flat``.
    setup : mapping
        The frames, with ``files`` (tuple of str).
    misses : sequence of tuple
        The candidates that came closest, all of which failed in the same criterion:
        verdict and facts, with ``files`` unless they are of a library.
    settings : Settings
        How far darks may be taken to other exposures.
    table : Table
        What else there is.

    Returns
    -------
    Remark
        ``no-...`` or ``unlike-...``.
    """
    found = _why_not(need, setup, misses, settings, table)
    if need == "bias" and has_overscan(setup):
        return replace(found, found=f"{found.found}, overscan only")
    return found


def _why_not(
    need: str,
    setup: Facts,
    misses: Sequence[tuple[Verdict, Facts]],
    settings: Settings,
    table: Table,
) -> Remark:
    no = f"no-{need}"
    if not misses:
        n, none = table.left_out.get(need, 0), f"there are no {_PLURAL[need]}"
        but = f" but {n} that {'is' if n == 1 else 'are'} left out" if n else ""
        return remark(no, found=f"{none}{but}")
    miss, master = misses[0]
    column = _COLUMNS.get(miss.criterion, miss.criterion)
    if miss.wanted == UNKNOWN:
        # Exposures of 0 s are none that a light could have had.
        known = column != "exptime" or _is_exposed(master)
        value = _plain(master.get(column) if known else None)
        way_out = typed("--set", f"{table.pattern(setup)}: {column}={value}")
        return remark(no, found=f"{miss.criterion} is unknown", way_out=way_out)
    if miss.criterion == "exposure" and not any(_is_exposed(one) for _, one in misses):
        return _without_exposure(setup, misses, table)
    if miss.criterion == "days":
        return remark(no, found=f"the nearest is {miss.found}")
    if miss.criterion in {"bias", "fit"}:
        return remark(no, found=f"none of this exposure, and {miss.found}")
    is_way = miss.criterion == "counts"
    found = (verdict.found for verdict, _ in misses)
    return remark(
        f"unlike-{need}",
        found=listed(f"one that counts {one}" if is_way else one for one in found),
        expected=f"{'one that counts' if is_way else miss.criterion} {miss.wanted}",
        way_out=_way_out(need, setup, miss, master, settings, table),
    )


def _way_out(
    need: str,
    setup: Facts,
    miss: Verdict,
    master: Facts,
    settings: Settings,
    table: Table,
) -> str:
    """Write the option that makes the nearest master serve; empty if there is none."""
    column = _COLUMNS.get(miss.criterion, miss.criterion)
    pattern = table.pattern(master)
    if miss.found == UNKNOWN and column in _TELLABLE and pattern:
        return typed("--set", f"{pattern}: {column}={_plain(setup.get(column))}")
    if miss.criterion == "exposure" and settings.other_exposures:
        return "--extrapolate-darks"
    if miss.criterion == "roworder":
        return "--set '*: turned=yes'"
    if miss.criterion == "instrume" and is_one_camera(miss.wanted, miss.found):
        return typed("--set", f"{table.pattern(setup)}: instrume={miss.found}")
    if need == "flat" and column in _OF_READING and _is_lit_alike(setup, master):
        flat = PurePath(str(master["output"])).stem
        return typed("--set", f"{table.pattern(setup)}: flat={flat}")
    return ""


def _without_exposure(
    setup: Facts, misses: Sequence[tuple[Verdict, Facts]], table: Table
) -> Remark:
    """Say that darks do not tell how long they are, which a person may know.

    A person takes darks for lights: what those for flats are is not to be guessed.
    """
    miss, master = misses[0]
    pattern, way_out = table.pattern(master), ""
    if pattern and setup["imagetyp"] == ImageType.LIGHT:
        way_out = f"--set '{pattern}: exptime={_plain(setup['exptime'])}'"
    found = f"the exposure of the darks is {miss.found}"
    return remark("no-dark", found=found, way_out=way_out)


def _is_lit_alike(setup: Facts, master: Facts) -> bool:
    """Tell a flat of the same filter and pixels, or of none that is told."""
    pairs = ((setup.get(name), master.get(name)) for name in _OF_LIGHT)
    return all(
        one == other or (pd.isna(one) and pd.isna(other)) for one, other in pairs
    )


def _is_exposed(master: Facts) -> bool:
    exptime = master.get("exptime")
    return bool(pd.notna(exptime)) and float(str(exptime)) > 0


def is_one_camera(name: str, other: str) -> bool:
    """Tell names of which one only has more words, those that drivers add.

    Examples
    --------
    >>> is_one_camera("Player One Ares-M PRO", "Ares-M PRO")
    True
    >>> is_one_camera("ZWO ASI1600MM Pro", "ZWO ASI1600MM")
    False
    """
    fewer, more = sorted(
        (set(one.casefold().split()) for one in (name, other)), key=len
    )
    return fewer <= more and more - fewer <= _OF_DRIVERS and bool(fewer - _OF_DRIVERS)


_OF_DRIVERS = frozenset(
    {"ccd", "cmos", "camera", "ascom", "indi", "usb"}
    | {word for maker in MAKERS for word in maker.casefold().split()}
)
"""Words that drivers add to the name of a camera; "Pro" makes it another one."""


def _plain(value: object) -> str:
    """Write a value as an option takes it."""
    if pd.isna(value):
        return "..."
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def merged(lacks: Iterable[Remark]) -> list[Remark]:
    """Join lacks that differ only in what was wanted.

    Examples
    --------
    >>> wanted = ("exposure 5 s", "exposure 2 s")
    >>> lacks = [remark("unlike-dark", found="9 s", expected=one) for one in wanted]
    >>> [str(one) for one in merged(lacks)]
    ['no dark: exposure 2 s, 5 s wanted, there is 9 s']
    """
    wanted: dict[Remark, set[str]] = defaultdict(set)
    for one in lacks:
        wanted[replace(one, expected="")].add(one.expected)
    return [
        replace(one, expected=_listed_together(values))
        for one, values in wanted.items()
    ]


def _listed_together(values: set[str]) -> str:
    """List values; a word that all begin with stands once."""
    parts = [value.partition(" ") for value in values]
    heads = {head for head, _, _ in parts}
    if len(values) < 2 or len(heads) > 1:
        return listed(values)
    return f"{heads.pop()} {listed(tail for _, _, tail in parts)}"
