"""Frames alike enough to be combined: equal in setup, close in the rest.

Numbers that need only be close are split where they lie widest apart until each
cluster fits its tolerance.  So neither the order of the frames nor the edges of any
grid decide which frames belong together.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoreduce.fits.amplifiers import layout_of
from autoreduce.frames.schema import FACT_COLUMNS
from autoreduce.frames.spelling import with_one_spelling
from autoreduce.planning.rules import (
    TEMPERATURE,
    CombineRule,
    Rules,
    TemperatureRule,
    Tolerance,
)

Codes = NDArray[np.intp]
"""A label for each frame, counted from 0."""


TIME = "date_obs"


LIMIT = "temperature_limit"


_FACTS = (
    "imagetyp",
    "object",
    "filter",
    "exptime",
    "xbinning",
    "ybinning",
    "readoutm",
    "gain",
    "offset",
    "egain",
    "rdnoise",
    "ccd_temp",
    "set_temp",
    "night",
    "instrume",
    "telescop",
    "focallen",
    "rotator",
    "disperser",
    "naxis1",
    "naxis2",
    "xorgsubf",
    "yorgsubf",
    "biassec",
    "trimsec",
    "amplifiers",
    "detector",
    "bayerpat",
    "roworder",
    "coadds",
    "slit",
    "lamp",
    "saturate",
    "counts",
)


FACT_NAMES = _FACTS
"""Columns whose values describe a group of frames, and so its product."""


_DTYPES = {column.name: column.dtype for column in FACT_COLUMNS}


def comparable(frames: pd.DataFrame, rule: TemperatureRule) -> pd.DataFrame:
    """Prepare a frame table for grouping and matching.

    Parameters
    ----------
    frames : DataFrame
        A frame table.
    rule : TemperatureRule
        How temperatures are read.

    Returns
    -------
    DataFrame
        The same rows with the columns ``set_point`` (Celsius: what a card says, else
        where the sensor holds, else missing), ``temperature`` (Celsius: the set point where
        the sensor reached it, else what was measured, else the set point) and
        ``temperature_limit`` (Celsius: largest difference within a combination),
        and with one spelling for each object and filter; ``readout`` holds what
        ``amplifiers`` did, which no longer tells in which HDU each of them is.
    """
    measured = _floats(frames["ccd_temp"])
    point = _set_points(frames, rule)
    reached = ~(np.abs(measured - point) > rule.reached)
    temperature = np.where(np.isfinite(point) & reached, point, measured)
    limit = np.where(np.isfinite(point), rule.regulated, rule.free)
    layout = frames["amplifiers"].map(layout_of, na_action="ignore").astype("string")
    return with_one_spelling(frames).assign(
        set_point=point,
        temperature=temperature,
        temperature_limit=limit,
        readout=frames["amplifiers"],
        amplifiers=layout,
    )


def _set_points(frames: pd.DataFrame, rule: TemperatureRule) -> NDArray[np.float64]:
    """Give the set point of each frame: what a card says, or where the sensor holds.

    Temperatures of one camera and night that no card explains are parted where they
    lie more than `regulated` apart.  The densest part of each of these, if it holds
    half of the frames, and more than one, is a set point to those frames: a sensor that
    drifts is nowhere for long.
    """
    point, measured = _floats(frames["set_temp"]), _floats(frames["ccd_temp"])
    codes = _refined(equal_codes(frames["instrume"]), equal_codes(frames["night"]))
    unsaid = np.isnan(point) & np.isfinite(measured)
    for members in _members(np.where(unsaid, codes, -1)):
        order = members[np.argsort(measured[members], kind="stable")]
        gaps = np.flatnonzero(np.diff(measured[order]) > rule.regulated + 1e-9) + 1
        for part in np.split(order, gaps):
            held = part[_densest(measured[part], 2 * rule.steady + 1e-9)]
            if len(held) > max(1, (len(part) - 1) // 2):
                point[held] = np.round(np.median(measured[held]), 1)
    return point


def _densest(values: NDArray[np.float64], width: float) -> slice:
    """Find the most of sorted values that lie within a width; of equals the first."""
    ends = np.searchsorted(values, values + width, side="right")
    start = int(np.argmax(ends - np.arange(len(values))))
    return slice(start, int(ends[start]))


def group_codes(
    frames: pd.DataFrame,
    rule: CombineRule,
    rules: Rules,
    within: Codes | None = None,
) -> Codes:
    """Label the frames that may be combined with each other.

    Parameters
    ----------
    frames : DataFrame
        Frames prepared by `comparable`.
    rule : CombineRule
        What must be equal and what must be close.
    rules : Rules
        The setup and the tolerances.
    within : ndarray of int, shape (n_frames,), optional
        Labels of a coarser grouping that is to be refined.

    Returns
    -------
    ndarray of int, shape (n_frames,)
        Equal labels for frames of one group, numbered in order of first appearance.
        In columns that must be equal, missing equals missing; in columns that must
        be close, frames without a value form a cluster of their own.
    """
    equal = [*rules.setup, *rule.equal, *(["night"] if rule.hours else [])]
    codes = np.zeros(len(frames), dtype=np.intp) if within is None else within
    for column in equal:
        codes = _refined(codes, equal_codes(frames[column]))
    for column in rule.within:
        tolerance, limit = _tolerance_of(frames, column, rule, rules)
        codes = _split(codes, _floats(frames[column]), tolerance, limit)
    if rule.pointing:
        for direction in _directions_degrees(frames):
            codes = _split(codes, direction, Tolerance(rule.pointing), None)
    if rule.hours:
        hours = hours_of(frames[TIME])
        codes = _split(codes, hours, Tolerance(rule.hours), None)
    return _numbered(codes)


def _directions_degrees(frames: pd.DataFrame) -> NDArray[np.float64]:
    """Give the pointings of frames without an object as vectors, NaN for others.

    Vectors of one radian's length in degrees: close pointings have close components,
    also at the pole and across 0 h.
    """
    ra, dec = (np.radians(_floats(frames[name])) for name in ("ra", "dec"))
    vectors = np.degrees(
        [np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)]
    )
    return np.where(frames["object"].isna().to_numpy(), vectors, np.nan)


def equal_codes(values: pd.Series) -> Codes:
    """Label equal values; missing equals missing."""
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], dtype=np.intp)


def hours_of(times: pd.Series) -> NDArray[np.float64]:
    """Convert UTC times to hours since 1970, NaN where there is none."""
    hours = times.astype("int64").to_numpy(dtype=float) / 3.6e9
    return np.where(times.isna().to_numpy(), np.nan, hours)


def _floats(values: pd.Series) -> NDArray[np.float64]:
    return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))


def _tolerance_of(
    frames: pd.DataFrame, column: str, rule: CombineRule, rules: Rules
) -> tuple[Tolerance, NDArray[np.float64] | None]:
    if column == TEMPERATURE:
        return Tolerance(), _floats(frames[LIMIT])
    return rule.loosely.get(column, rules.tolerance[column]), None


def _refined(codes: Codes, finer: Codes) -> Codes:
    """Join two labellings into one."""
    if not finer.any():
        return codes
    return _numbered(codes * (int(finer.max(initial=0)) + 1) + finer)


def _numbered(codes: Codes) -> Codes:
    """Count labels from 0 in order of first appearance."""
    return np.asarray(pd.factorize(codes)[0], dtype=np.intp)


def _split(
    codes: Codes,
    values: NDArray[np.float64],
    tolerance: Tolerance,
    limits: NDArray[np.float64] | None,
) -> Codes:
    """Split each group into clusters that fit the tolerance.

    `limits` gives the absolute tolerance of each frame; the smallest in a cluster
    holds.
    """
    if limits is None:
        limits = np.full(len(values), tolerance.absolute)
    known = np.isfinite(values)
    codes = _refined(codes, known.astype(np.intp))
    finer = np.zeros_like(codes)
    for members in _members(np.where(known, codes, -1)):
        group = _unwrapped(values[members], tolerance.period)
        order = np.argsort(group, kind="stable")
        labels = _clusters(group[order], limits[members][order], tolerance)
        finer[members[order]] = labels
    return _refined(codes, finer)


def _members(codes: Codes) -> Iterable[Codes]:
    """Yield the positions of each group of more than one; negative codes: none."""
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    for part in np.split(order, edges):
        if len(part) > 1 and codes[part[0]] >= 0:
            yield part


def _unwrapped(
    values: NDArray[np.float64], period: float | None
) -> NDArray[np.float64]:
    """Cut a circle at its widest gap, so that neighbours lie side by side."""
    if period is None:
        return values
    turned = np.sort(values % period)
    gaps = np.diff(turned, append=turned[0] + period)
    start = float(turned[(int(np.argmax(gaps)) + 1) % len(turned)])
    return np.asarray((values - start) % period)


def _clusters(
    values: NDArray[np.float64], limits: NDArray[np.float64], tolerance: Tolerance
) -> Codes:
    """Label sorted values, split where they lie widest apart until each part fits."""
    labels = np.zeros(len(values), dtype=np.intp)
    parts, label = [(0, len(values))], 0
    while parts:
        low, high = parts.pop()
        largest = max(abs(values[low]), abs(values[high - 1]))
        limit = float(limits[low:high].min())
        limit = replace(tolerance, absolute=limit).limit(largest)
        if values[high - 1] - values[low] <= limit:
            labels[low:high] = label
            label += 1
            continue
        cut = low + 1 + int(np.argmax(np.diff(values[low:high])))
        parts += [(cut, high), (low, cut)]
    return labels


def group_facts(frames: pd.DataFrame, codes: Codes) -> pd.DataFrame:
    """Describe each group by the facts in which its frames agree.

    Parameters
    ----------
    frames : DataFrame
        Frames prepared by `comparable`.
    codes : ndarray of int, shape (n_frames,)
        Labels from `group_codes`.

    Returns
    -------
    DataFrame
        One row for each group, indexed by label: `FACT_NAMES`, ``temperature``,
        ``ra``, ``dec``,
        ``temperature_limit``, ``hours`` (median start, since 1970), ``n_frames``.  Numbers with
        decimals are medians; anything else is missing unless all frames agree.
    """
    names = (*_FACTS, TEMPERATURE, "ra", "dec")
    decimal = [name for name in names if _DTYPES.get(name, "Float64") == "Float64"]
    medians = frames[decimal].astype("Float64").groupby(codes).median()
    facts = {
        name: medians[name] if name in decimal else _agreed(frames[name], codes)
        for name in names
    }
    facts["hours"] = pd.Series(hours_of(frames[TIME])).groupby(codes).median()
    facts[LIMIT] = frames[LIMIT].groupby(codes).min()
    facts["n_frames"] = frames[LIMIT].groupby(codes).size()
    return pd.DataFrame(facts)


def _agreed(values: pd.Series, codes: Codes) -> pd.Series:
    """Take the value that all frames of a group share; missing if they differ."""
    found, known = pd.factorize(values, use_na_sentinel=False)
    n_groups = int(codes.max(initial=-1)) + 1
    lowest = np.full(n_groups, len(known), dtype=np.intp)
    highest = np.full(n_groups, -1, dtype=np.intp)
    np.minimum.at(lowest, codes, found)
    np.maximum.at(highest, codes, found)
    at = np.where(lowest == highest, lowest, -1)
    return pd.Series(known.array.take(at, allow_fill=True), dtype=values.dtype)
