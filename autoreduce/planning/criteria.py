"""What a master must meet to serve a frame, judged for all pairs at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoreduce.fits.sections import format_section
from autoreduce.frames.schema import cells_of
from autoreduce.frames.spelling import SPELT
from autoreduce.planning.rules import (
    TEMPERATURE,
    Rules,
    Rung,
    Tolerance,
    UseRule,
)
from autoreduce.planning.use import DarkMethod

Pairs = NDArray[np.bool_]
"""Truth for each setup and candidate, shape (n_setups, n_candidates)."""


HOURS_A_DAY = 24.0
_SECTIONS = ("biassec", "trimsec", "amplifiers")
_SAYS_ALL = (*_SECTIONS, "coadds", "disperser", "slit")
"""Columns in which a header that says nothing says that there is none."""
_ROWORDER = "roworder"
"""Column that frames of a night share, once some are turned; masters of a library may
lie the other way round, or not say."""
_GEOMETRY = ("naxis1", "naxis2", "xorgsubf", "yorgsubf")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the observer asked for besides the rules."""

    other_exposures: bool = True
    """Whether darks may be taken to exposures other than their own."""
    longer: float = 1.0
    """... by a fit, to exposures up to so many times the longest dark's."""
    longer_alone: float = 1.0
    """... from one dark alone, to exposures up to so many times its own."""
    extrapolate: bool = False
    """Whether to longer ones without a limit."""

    def longest(self, method: DarkMethod | None) -> float:
        """Give the largest ratio of an exposure to that of the dark, by a method."""
        if self.extrapolate:
            return np.inf
        return self.longer if method is DarkMethod.FIT else self.longer_alone


@dataclass(frozen=True, slots=True)
class Criterion:
    """One test of all pairs, by the name that a verdict gives it."""

    name: str
    holds: Pairs


class Judgement:
    """Setups against candidates, column by column; each column is judged once."""

    def __init__(
        self,
        setups: pd.DataFrame,
        masters: pd.DataFrame,
        rules: Rules,
        rule: UseRule,
        settings: Settings,
    ) -> None:
        self.setups, self.masters = setups, masters
        self.rules, self.rule, self.settings = rules, rule, settings
        self.shape = (len(setups), len(masters))
        self.equal_columns = (*rules.setup, *rule.equal)
        self.larger = self._larger()
        # Sections and colours differ where rows do: that is the reason to give.
        columns = (_ROWORDER, *self.equal_columns)
        self._equal = {name: self._equality(name) for name in columns}
        self._within = {
            name: self.closeness(name, rules.tolerance[name]) for name in rule.within
        }
        self.apart_days = _apart(setups["hours"], masters["hours"]) / HOURS_A_DAY
        self.apart_degc = _apart(setups["temperature"], masters["temperature"])
        self.as_warm = self._within_degc(rules.temperature.regulated)
        self.same_night = self._of_same_night()

    def _larger(self) -> Pairs:
        """Mark masters that a frame can be cut out of: larger, and where is known.

        Only where nothing is trimmed: a section would no longer lie where it was.
        """
        larger, inside = np.zeros(self.shape, bool), np.ones(self.shape, bool)
        for size, origin in (("naxis1", "xorgsubf"), ("naxis2", "yorgsubf")):
            begins = column_of(self.setups[origin])[:, None]
            starts = column_of(self.masters[origin])[None, :]
            length = column_of(self.setups[size])[:, None]
            extent = column_of(self.masters[size])[None, :]
            larger |= extent > length
            inside &= (starts <= begins) & (begins + length <= starts + extent)
        whole = self.setups[list(_SECTIONS)].isna().all(axis=1).to_numpy()
        return np.asarray(larger & inside & whole[:, None])

    @cached_property
    def said(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of `equal_columns` setups and masters know: (n, columns) each."""
        columns = list(self.equal_columns)
        setups, masters = self.setups[columns], self.masters[columns]
        return setups.notna().to_numpy(), masters.notna().to_numpy()

    def cut(self, row: int, candidate: int) -> str | None:
        """Give the section of a larger master that lies over the frames."""
        if not self.larger[row, candidate]:
            return None
        setup, master = self.setups.iloc[row], self.masters.iloc[candidate]
        y, x = (int(setup[n] - master[n]) for n in ("yorgsubf", "xorgsubf"))
        ny, nx = int(setup["naxis2"]), int(setup["naxis1"])
        return format_section((slice(y, y + ny), slice(x, x + nx)))

    def _of_same_night(self) -> Pairs:
        """Mark pairs of one night; without nights, those less than half a day apart."""
        without = self.setups["night"].isna().to_numpy()[:, None]
        undated = self.setups["hours"].isna() & self.setups["night"].isna()
        near = (self.apart_days <= 0.5) | undated.to_numpy()[:, None]
        same = _same(self.setups["night"], self.masters["night"])
        return np.asarray(same & (~without | near))

    def criteria(self, rung: Rung) -> list[Criterion]:
        """List what a candidate must meet to stand on a rung, in order."""
        found = [
            Criterion(name, self._relaxed(name, holds, rung))
            for name, holds in {**self._equal, **self._within}.items()
        ]
        if rung.method is not None:
            found += self._dark_criteria(rung)
        if rung.temperature is not None:
            unknown = self.setups[TEMPERATURE].isna().to_numpy()[:, None]
            close = self._within_degc(rung.temperature) | unknown
            found.append(
                Criterion(TEMPERATURE, self._relaxed(TEMPERATURE, close, rung))
            )
        if rung.same_night:
            found.append(Criterion("night", self.same_night))
        if rung.days is not None:
            undated = self.setups["hours"].isna().to_numpy()[:, None]
            near = (self.apart_days <= rung.days) | undated
            found.append(Criterion("days", near))
        return found

    def agrees(self, name: str, row: int, candidate: int) -> bool:
        """Tell whether a pair agrees in a column by the rule itself, not loosely."""
        if name == "exptime":
            tolerance = self.rules.tolerance[name]
            return bool(self.closeness(name, tolerance)[row, candidate])
        if name == TEMPERATURE:
            return not np.isnan(self.apart_degc[row, candidate])
        holds = {**self._equal, **self._within}.get(name)
        return holds is None or bool(holds[row, candidate])

    def warmer_degc(self, row: int, candidate: int) -> float:
        """Tell by how much a master is warmer than the frames, Celsius; NaN: unknown."""
        wanted, found = self.setups[TEMPERATURE], self.masters[TEMPERATURE]
        return float(column_of(found)[candidate] - column_of(wanted)[row])

    def closeness(self, name: str, tolerance: Tolerance) -> Pairs:
        """Mark pairs that agree in a number; unknown on the setup is compatible."""
        wanted, found = column_of(self.setups[name]), column_of(self.masters[name])
        difference = _apart(self.setups[name], self.masters[name])
        if tolerance.period is not None:
            difference = difference % tolerance.period
            difference = np.minimum(difference, tolerance.period - difference)
        size = np.maximum(np.abs(wanted)[:, None], np.abs(found)[None, :])
        return (difference <= tolerance.limit(size)) | np.isnan(wanted)[:, None]

    def _equality(self, name: str) -> Pairs:
        """Mark pairs that are equal; unknown on the setup is compatible.

        A section, a grism or a slit that no card names is none at all: what is trimmed
        and what is not never fit each other.
        """
        same = _same(self.setups[name], self.masters[name])
        if name in _SAYS_ALL:
            return same
        if name == _ROWORDER:
            same = same | self.masters[name].isna().to_numpy()[None, :]
        if name in _GEOMETRY:
            same = same | self.larger
        if name == "bayerpat":
            # What is cut out of a mosaic may begin with another of its colours.
            is_known = self.masters[name].notna().to_numpy()
            same = same | (self.larger & is_known[None, :])
        return np.asarray(same | self.setups[name].isna().to_numpy()[:, None])

    def _relaxed(self, name: str, holds: Pairs, rung: Rung) -> Pairs:
        if name in rung.loosely:
            holds = self.closeness(name, rung.loosely[name])
        if name in rung.unconfirmed:
            holds = holds | self.masters[name].isna().to_numpy()[None, :]
        return holds

    def _within_degc(self, limit: float) -> Pairs:
        """Mark pairs whose temperatures are known, and no farther apart."""
        return np.asarray(self.apart_degc <= limit + 1e-9)

    def _dark_criteria(self, rung: Rung) -> list[Criterion]:
        """List what a dark must meet to be taken to the exposure by one method.

        An unknown exposure is no exposure: it fits no dark.
        """
        wanted = column_of(self.setups["exptime"])[:, None]
        found = column_of(self.masters["exptime"])[None, :]
        known = np.isfinite(wanted) & np.isfinite(found)
        tolerance = self.rules.tolerance["exptime"]
        if rung.method is DarkMethod.EXACT:
            if self.settings.other_exposures:
                tolerance = rung.loosely.get("exptime", tolerance)
            exact = self.closeness("exptime", tolerance) & known
            return [Criterion("exposure", exact)]
        # Nothing can be scaled from a dark without exposure time.
        found = np.where(found > 0, found, np.nan)
        known &= np.isfinite(found)
        side = ~self.closeness("exptime", tolerance) & (wanted > found)
        if rung.longer is None:
            side = ~side
        else:
            most = min(rung.longer, self.settings.longest(rung.method))
            side &= wanted / found <= most * (1 + tolerance.relative)
        criteria = [
            Criterion("exposure", side & known & self.settings.other_exposures),
            Criterion("bias", self._both_without_bias()),
        ]
        if rung.method is DarkMethod.FIT:
            # First: where there is no fit, it is the exposure that stops a dark.
            criteria.insert(0, Criterion("fit", self._has_fit()))
        return criteria

    def _both_without_bias(self) -> Pairs:
        has_bias = self.setups["has_bias"].to_numpy(dtype=bool)
        subtracted = ~self.masters["keeps_bias"].to_numpy()
        return np.asarray(has_bias[:, None] & subtracted[None, :])

    def _has_fit(self) -> Pairs:
        has_fit = self.masters["fit"].notna().to_numpy()
        return np.broadcast_to(has_fit[None, :], self.shape)


def column_of(values: pd.Series) -> NDArray[np.float64]:
    """Return a column as floats, NaN where missing."""
    return np.asarray(values.to_numpy(dtype=float))


def _same(wanted: pd.Series, found: pd.Series) -> Pairs:
    """Mark pairs that are equal, or both missing."""
    cells = [*cells_of(wanted), *cells_of(found)]
    if key := SPELT.get(str(wanted.name)):
        cells = [one if one is None else key(one) for one in cells]
    numbers = {one: number for number, one in enumerate(dict.fromkeys(cells))}
    codes = np.array([numbers[one] for one in cells], dtype=np.intp)
    return np.asarray(codes[: len(wanted), None] == codes[None, len(wanted) :])


def _apart(wanted: pd.Series, found: pd.Series) -> NDArray[np.float64]:
    return np.asarray(np.abs(column_of(wanted)[:, None] - column_of(found)[None, :]))
