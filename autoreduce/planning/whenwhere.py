"""Where cards, or the order of frames, contradict when and where exposures were taken."""

import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from autoreduce.fits.names import parse_name, pattern_of
from autoreduce.frames.literals import degrees, moment, number
from autoreduce.frames.schema import ImageType
from autoreduce.frames.together import COUNTED_WESTWARD
from autoreduce.planning.notes import contradicted
from autoreduce.remarks import Remark, remark

SLACK = timedelta(minutes=2)
"""Cards of one exposure differ by this beyond its length: clocks differ."""
FIELD_DEG = 2.0
"""Cards of one pointing differ by less: precession, what is off the centre."""
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_LEAST_ENDS = 3
_READOUT_S = 1.0
_ONE_CAMERA = ["instrume", "telescop", "focallen"]
"""Columns that tell apart cameras of one model, which are exposed at once."""


def unlike_times(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Remark]:
    """Name the frames of which two cards tell starts that are no start and end of them.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave each start, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    found: dict[tuple[str, str], list[tuple[str, str, str, timedelta]]] = {}
    for told in contradicted(table, evidence):
        start = datetime.fromisoformat(told.value)
        length = timedelta(seconds=float(told.frame["exptime"] or 0.0))
        for keyword, text in told.others:
            other, digit = _moment(text, start) or (start, timedelta(0))
            if abs(other - start) > length + SLACK + digit:
                pair = (told.keyword, keyword)
                entry = (told.frame["file"], told.literal, text, other - start)
                found.setdefault(pair, []).append(entry)
                break
    for (keyword, other_keyword), rows in found.items():
        files = [file for file, *_ in rows]
        hours = np.median([step / _HOUR for *_, step in rows])
        _, literal, text, _ = rows[0]
        yield remark(
            "two-times",
            *files,
            found=f"{keyword} = {literal}",
            expected=f"{other_keyword}={text}",
            way_out=f"--set '{_pattern(files, table)}: date_obs={hours:+.4g}h'",
        )


def _moment(text: str, near: datetime) -> tuple[datetime, timedelta] | None:
    """Read a date, a day number of any kind, or the time of day of a date that is near.

    With what the last digit of a day number stands for: it may be rounded.
    """
    clock, exactly = moment(near.date().isoformat(), "date", text), timedelta(0)
    date = moment(text)
    if clock is not None and date is None:
        return clock + timedelta(days=round((near - clock) / _DAY)), exactly
    days = number(text) if "-" not in text and ":" not in text else None
    last_digit = _DAY / 10 ** len(text.partition(".")[2])
    for found, digit in (
        (date, exactly),
        (moment(days, "mjd"), last_digit),
        (moment(days, "jd"), last_digit),
        (moment(days, "unix"), exactly),
    ):
        if found is not None:
            return found, digit
    return None


def turned_longitudes(table: pd.DataFrame, evidence: pd.DataFrame) -> Iterator[Remark]:
    """Tell longitudes that were taken for counted westward, for the lights' sake.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    evidence : DataFrame
        Which card gave the longitude, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    told = evidence[evidence["rule"].eq(COUNTED_WESTWARD)]
    used = table[table["use"].astype(bool) & table["imagetyp"].eq(ImageType.LIGHT)]
    longitudes = dict(zip(used["file"], used["longitude"], strict=True))
    for value, rows in told.groupby("value", sort=False):
        # What the observer has set is not doubted.
        files = [one for one in rows["file"] if str(longitudes.get(one)) == value]
        if files:
            yield remark(
                "counted-westward",
                *files,
                found=f"{-float(str(value)):g}",
                expected="eastward, the lights would be of the day",
                way_out=f"--set '*: longitude={float(str(value)):g}'",
            )


def unlike_places(
    table: pd.DataFrame, ra: pd.DataFrame, dec: pd.DataFrame
) -> Iterator[Remark]:
    """Name the lights of which two cards tell unlike places in the sky.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    ra, dec : DataFrame
        Which card gave each, with ``EVIDENCE_COLUMNS`` of the scan.
    """
    found: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for fact, evidence in (("ra", ra), ("dec", dec)):
        for told in contradicted(table, evidence):
            row = told.frame
            if row["imagetyp"] != ImageType.LIGHT:
                continue
            narrow = np.cos(np.radians(row["dec"] or 0.0)) if fact == "ra" else 1.0
            for keyword, text in told.others:
                apart = [
                    abs((other - row[fact] + 180) % 360 - 180) * narrow
                    for other in _angles(text, hours=fact == "ra")
                ]
                if apart and min(apart) > FIELD_DEG:
                    key = (fact, told.keyword, keyword)
                    entry = (row["file"], told.literal, text)
                    found.setdefault(key, []).append(entry)
                    break
    for (fact, keyword, other_keyword), rows in found.items():
        files, (_, literal, text) = [file for file, *_ in rows], rows[0]
        value = degrees(text, hours=fact == "ra")
        yield remark(
            "two-places",
            *files,
            found=f"{keyword} = {literal}",
            expected=f"{other_keyword}={text}",
            way_out=f"--set '{_pattern(files, table)}: {fact}={value:.4f}'",
        )


def _angles(text: str, *, hours: bool) -> list[float]:
    """Read an angle, deg; a bare number, whose unit is not known here, in any.

    Of 0 there is none: nobody filled it in.
    """
    found = degrees(text, hours=hours)
    if not found:
        return []
    units = [math.degrees(1), *([15] if hours else [])] if found == number(text) else []
    return [found, *(found * unit for unit in units if abs(found * unit) <= 360)]


def _pattern(files: list[str], table: pd.DataFrame) -> str:
    return "*" if len(files) == len(table) else pattern_of(files, table["file"])


def stopped_dates(table: pd.DataFrame) -> Iterator[Remark]:
    """Tell frames of after midnight that have the date of the evening.

    One of a numbered series would have been taken nearly a day before that which goes
    before it.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    """
    used = table[table["use"].astype(bool) & table["date_obs"].notna()]
    cameras = used["instrume"].fillna("")
    series: dict[tuple[str, str], dict[int, pd.Timestamp]] = defaultdict(dict)
    # Less than an hour lies between the last of the evening and the first of the morning.
    near = used["date_obs"].dt.hour.isin((0, 23))
    columns = (used["file"], cameras, used["date_obs"])
    for file, camera, start in zip(*(one[near] for one in columns), strict=True):
        name, count = _numbered(file)
        if count is not None:
            series[camera, name][count] = start
    fallen: dict[tuple[str, object], pd.Timestamp] = {}
    for (camera, _), starts in series.items():
        for count, start in starts.items():
            before = starts.get(count - 1)
            if before is None or start.date() != before.date():
                continue
            if timedelta(0) <= start + _DAY - before < _HOUR:
                fallen[camera, start.date()] = before
    for (camera, date), before in fallen.items():
        late = (
            cameras.eq(camera)
            & used["date_obs"].dt.date.eq(date)
            & (used["date_obs"] < before - _DAY / 2)
        )
        files = used.loc[late, "file"].tolist()
        yield remark(
            "date-stopped",
            *files,
            found=str(date),
            way_out=f"--set '{_pattern(files, table)}: date_obs=+1d'",
        )


def _numbered(file: str) -> tuple[str, int | None]:
    """Part the name of a frame from the number at its end."""
    parts = parse_name(file)
    name = parts.stem if parts else file
    bare = name.rstrip("0123456789")
    return bare, int(name[len(bare) :]) if bare != name else None


def ends_for_starts(table: pd.DataFrame) -> Iterator[Remark]:
    """Tell starts of exposures that must be their ends.

    An exposure begins after the one before it has ended, and so does it end before the
    next one begins: where several began too early, and none ended too late, the times
    are those of the ends.

    Parameters
    ----------
    table : DataFrame
        The whole frame table.
    """
    dated = table["use"].astype(bool) & table["date_obs"].notna()
    used = table[dated & (table["exptime"] > 0).fillna(value=False)]
    for _, part in used.groupby(_ONE_CAMERA, dropna=False, sort=False):
        if len(set(part["detector"])) > 1:
            continue  # of one exposure
        ordered = part.drop_duplicates("date_obs").sort_values("date_obs")
        steps = ordered["date_obs"].diff().dt.total_seconds().to_numpy()[1:]
        lengths = ordered["exptime"].to_numpy(float) - _READOUT_S
        early, late = steps < lengths[:-1], steps < lengths[1:]
        if early.sum() >= _LEAST_ENDS and not late.any():
            yield remark(
                "ends-for-starts",
                *part["file"],
                found=f"{early.sum()} exposures",
            )
