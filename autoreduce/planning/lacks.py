"""Why no master serves, and the same said once of many frames."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from autoreduce.planning.candidates import Facts, has_overscan
from autoreduce.planning.criteria import Settings
from autoreduce.planning.plan import Verdict
from autoreduce.planning.words import UNKNOWN, listed
from autoreduce.remarks import Remark, remark

_PLURAL = {"bias": "bias frames", "dark": "darks", "flat": "flats"}
_COLUMNS = {"exposure": "exptime", "temperature": "ccd_temp"}
"""Columns of the frame table behind criteria of other names."""


def lack(
    need: str, setup: Facts, misses: Sequence[Verdict], settings: Settings
) -> Remark:
    """Say why nothing serves, and the way out where an option is one.

    Parameters
    ----------
    need : str
        ``bias``, ``dark`` or ``flat``.
    setup : mapping
        The frames.
    misses : sequence of Verdict
        The candidates that came closest, all of which failed in the same criterion.
    settings : Settings
        How far darks may be taken to other exposures.

    Returns
    -------
    Remark
        ``no-...`` or ``unlike-...``.
    """
    found = _why_not(need, misses, settings)
    if need == "bias" and has_overscan(setup):
        return replace(found, found=f"{found.found}, overscan only")
    return found


def _why_not(need: str, misses: Sequence[Verdict], settings: Settings) -> Remark:
    no = f"no-{need}"
    if not misses:
        return remark(no, found=f"there are no {_PLURAL[need]}")
    miss = misses[0]
    if miss.wanted == UNKNOWN:
        column = _COLUMNS.get(miss.criterion, miss.criterion)
        way_out = f"--set 'PATTERN: {column}=...'"
        return remark(no, found=f"{miss.criterion} is unknown", way_out=way_out)
    if miss.criterion == "days":
        return remark(no, found=f"the nearest is {miss.found}")
    if miss.criterion in {"bias", "fit"}:
        return remark(no, found=f"none of this exposure, and {miss.found}")
    up = miss.criterion == "exposure" and settings.other_exposures
    return remark(
        f"unlike-{need}",
        found=listed(verdict.found for verdict in misses),
        expected=f"{miss.criterion} {miss.wanted}",
        way_out="only --extrapolate-darks scales up" if up else "",
    )


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
