"""Frames as a page lists them: those that several detectors took at once are one."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from autoreduce.planning.focalplane import FocalPlane, focal_plane
from autoreduce.report.content import NightReport
from autoreduce.report.summary import left_out
from autoreduce.report.words import count


@dataclass(frozen=True, slots=True)
class Exposures:
    """The exposures of a night."""

    frames: pd.DataFrame
    """One row for each, with the columns of the frame table: of numbers the median over
    the detectors, of levels the worst, of groups the name that they share, ``unstacked``
    if all are; ``detector`` says how many there are."""
    lost: Mapping[str, str]
    """Why none of its frames took part, by exposure."""
    partly: Mapping[str, str]
    """Which of its detectors took no part, and why, by exposure."""
    of: pd.Series
    """The exposure of each frame, in the order of the report's frames."""
    plane: FocalPlane
    """What its frames are to one another."""


def exposures_of(report: NightReport) -> Exposures:
    """Take frames of one exposure together.

    Parameters
    ----------
    report : NightReport
        The run.

    Returns
    -------
    Exposures
        In the order of the frame table.
    """
    frames, plane = report.frames, focal_plane(report.frames)
    lost = {file: str(why) for file, why in left_out(report).items()}
    if not plane.exposures:
        return Exposures(frames, lost, {}, frames["file"], plane)
    of = frames["file"].map(lambda file: plane.exposures.get(file, file))
    whole, partly = _lost(frames, of, lost)
    return Exposures(_taken_together(frames, of, plane), whole, partly, of, plane)


def _taken_together(
    frames: pd.DataFrame, files: pd.Series, plane: FocalPlane
) -> pd.DataFrame:
    """Make one row of those of an exposure."""
    members = frames.groupby(files, sort=False)
    rows = frames.loc[~files.duplicated()].set_index(files[~files.duplicated()])
    for name, values in frames.items():
        if pd.api.types.is_numeric_dtype(values.dtype) and values.dtype != "boolean":
            found = members[name].max() if name == "level" else members[name].median()
            whole = pd.api.types.is_integer_dtype(values.dtype)
            rows[name] = found.round().astype(values.dtype) if whole else found
    several = members.size() > 1
    unstacked = members["unstacked"].apply(lambda whys: whys.notna().all())
    words = members["detector"].nunique().map(lambda n: count(n, "detector"))
    return rows.assign(
        file=rows.index,
        group=members["group"].first().map(plane.family, na_action="ignore"),
        detector=rows["detector"].mask(several, words),
        unstacked=rows["unstacked"].where(unstacked),
    ).reset_index(drop=True)


def _lost(
    frames: pd.DataFrame, of: pd.Series, lost: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Say which exposures took no part, and which in part only, and why."""
    whys: dict[str, dict[str, list[str]]] = {}
    sizes = of.value_counts()
    told = zip(frames["file"], of, frames["detector"], strict=True)
    for file, exposure, detector in told:
        if file in lost:
            reasons = whys.setdefault(exposure, {})
            reasons.setdefault(lost[file], []).append(str(detector))
    whole: dict[str, str] = {}
    partly: dict[str, str] = {}
    for exposure, reasons in whys.items():
        n_lost = sum(map(len, reasons.values()))
        if n_lost == sizes[exposure] and len(reasons) == 1:
            whole[exposure] = next(iter(reasons))
            continue
        words = "; ".join(f"{', '.join(who)}: {why}" for why, who in reasons.items())
        (whole if n_lost == sizes[exposure] else partly)[exposure] = words
    return whole, partly
