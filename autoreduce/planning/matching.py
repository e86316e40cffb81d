"""The best master for like frames.

Frames that need masters stand in a table, one row for each set of like frames (a
*setup*), and so do the masters (the candidates).  Each criterion is judged for all
pairs at once; the rung of the ladder that a pair reaches is its level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoreduce.planning.candidates import LIBRARY, ORIGIN
from autoreduce.planning.criteria import (
    Criterion,
    Judgement,
    Pairs,
    Settings,
    column_of,
)
from autoreduce.planning.grouping import equal_codes
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Rules, Rung
from autoreduce.planning.verdicts import Climb, VerdictWriter

MOST_VERDICTS = 12
"""Candidates of a setup of which it is told why they are, or are not, chosen: months of
nights have hundreds of masters for each of thousands of setups."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The master chosen for a setup."""

    candidate: int
    """Its row among the candidates."""
    rung: Rung
    """The rung on which it stands."""
    same_night: bool
    """Whether it is of the same night."""
    days: float
    """How far it is in time; NaN if that is unknown."""
    warmer: float = math.nan
    """By how much it is warmer, Celsius, if that is more than one combination may
    differ; else, or where it is unknown, NaN."""
    unconfirmed: tuple[str, ...] = ()
    """Columns that should agree and that the master leaves unsaid, or only nearly."""
    cut: str | None = None
    """Section of a larger master that lies over the frames."""


@dataclass(frozen=True, slots=True)
class Matches:
    """What was chosen for each setup, and why everything else was not."""

    masters: pd.DataFrame
    """The candidates, by name; choices name their rows."""
    choices: tuple[Choice | None, ...]
    """One for each setup; None where no candidate is eligible."""
    verdicts: tuple[tuple[Verdict, ...], ...]
    """For each setup the `MOST_VERDICTS` candidates that are best, or come closest, by
    name; all of them where the observer has chosen one."""
    misses: tuple[tuple[Verdict, ...], ...]
    """For each setup without a choice, those of its verdicts that came closest: those
    that failed as few criteria as the closest of all, which comes first, and the same
    one first."""
    judged: Judgement
    """All pairs, for what else is asked of them."""


def match(
    need: str,
    setups: pd.DataFrame,
    masters: pd.DataFrame,
    rules: Rules,
    settings: Settings,
) -> Matches:
    """Choose the best master for each setup.

    Parameters
    ----------
    need : str
        ``bias``, ``dark`` or ``flat``.
    setups : DataFrame
        Like frames that need a master: the columns of `group_facts`, ``setup`` (a
        label), if the observer chooses their masters the column `need`, and for darks
        ``has_bias`` (whether a master bias serves them).
    masters : DataFrame
        Candidates: the columns of `group_facts`, ``output``, ``origin``, and for darks
        ``keeps_bias`` and ``fit`` (output of the fit that it is the longest of).
    rules : Rules
        What must agree, and the ladder.
    settings : Settings
        How far darks may be taken to other exposures.

    Returns
    -------
    Matches
        Choices and verdicts in the order of `setups`, candidates by name.
    """
    masters = masters.sort_values("output", ignore_index=True)
    rule = rules.use[need]
    judged = Judgement(setups, masters, rules, rule, settings)
    ladder = [(rung, judged.criteria(rung)) for rung in rule.rung]
    climbed = _climb(ladder, judged.shape)
    _refuse_ambiguous(climbed, judged)
    return _decide(need, judged, climbed)


_Ladder = list[tuple[Rung, list[Criterion]]]


def _climb(ladder: _Ladder, shape: tuple[int, int]) -> Climb:
    """Find the first rung that each pair reaches, and what stopped the others.

    What stops a pair is the first criterion that it fails on the rung where it fails
    fewest; of such rungs, on that where it gets farthest.  A rung that is lenient for
    want of facts does not say what stopped a pair: the rule that it relaxes does, if the
    ladder has one.
    """
    strict = [not (rung.unconfirmed or rung.loosely) for rung, _ in ladder]
    reached = np.full(shape, -1)
    failed = np.full(shape, None)
    fewest = np.full(shape, np.iinfo(np.intp).max)
    farthest = np.zeros_like(reached)
    for index, (_, criteria) in enumerate(ladder):
        holds = np.stack([*(one.holds for one in criteria), np.zeros(shape, bool)])
        failures = np.count_nonzero(~holds[:-1], axis=0)
        first = np.argmin(holds, axis=0)
        reached[(failures == 0) & (reached < 0)] = index
        nearer = (failures < fewest) | ((failures == fewest) & (first >= farthest))
        nearer &= (failures == 0) | strict[index] | (not any(strict))
        names = np.array([*(one.name for one in criteria), None])
        failed[nearer] = names[first[nearer]]
        farthest[nearer] = first[nearer]
        fewest[nearer] = failures[nearer]
    return Climb(reached, failed, fewest, farthest)


def _refuse_ambiguous(climbed: Climb, judged: Judgement) -> None:
    """Refuse masters that only an unknown fact of the frames could tell apart.

    What a header does not say is compatible with anything, as long as all
    eligible masters say the same of it; otherwise only those serve that do not say
    it either.  Masters of the frames at hand are believed before those of a library.
    """
    here = (judged.masters[ORIGIN] != LIBRARY).to_numpy()
    setups, masters = judged.said
    for place, name in enumerate(judged.equal_columns):
        unknown, missing = ~setups[:, place], ~masters[:, place]
        if missing.all() or not unknown.any():
            continue
        codes = equal_codes(judged.masters[name])
        for row in np.flatnonzero(unknown):
            eligible = climbed.rung[row] >= 0
            trusted = eligible & here if (eligible & here).any() else eligible
            values = set(codes[trusted])
            alike = np.isin(codes, list(values)) if len(values) == 1 else missing
            refused = eligible & ~missing & ~alike
            climbed.rung[row, refused] = -1
            climbed.failures[row, refused] = 1
            climbed.failed[row, refused] = name
            climbed.depth[row, refused] = place


def _decide(need: str, judged: Judgement, climbed: Climb) -> Matches:
    keys = _preferences(judged, climbed)
    order = np.lexsort(list(reversed(keys.values())))
    writer = VerdictWriter(need, judged, climbed, keys)
    by_hand = judged.setups.get(need, pd.Series(None, judged.setups.index)).notna()
    choices: list[Choice | None] = []
    verdicts: list[tuple[Verdict, ...]] = []
    misses: list[tuple[Verdict, ...]] = []
    for row, in_full in enumerate(by_hand.tolist()):
        ranked, rungs = order[row].tolist(), climbed.rung[row]
        chosen = next((i for i in ranked if rungs[i] >= 0), None)
        told = ranked if in_full else ranked[:MOST_VERDICTS]
        entries = {i: writer.entry(row, i, chosen) for i in sorted(told)}
        choices.append(_choice(judged, climbed, row, chosen))
        verdicts.append(tuple(entries.values()))
        near = [] if chosen is not None else _closest(told, climbed.failures[row])
        misses.append(_alike([entries[i] for i in near]))
    return Matches(
        judged.masters, tuple(choices), tuple(verdicts), tuple(misses), judged
    )


def _closest(ranked: Sequence[int], failures: NDArray[np.intp]) -> list[int]:
    """Keep the candidates that failed as few criteria as the closest."""
    return [i for i in ranked if failures[i] == failures[ranked[0]]]


def _alike(ranked: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Keep the candidates that failed in what the closest of them failed in."""
    return tuple(entry for entry in ranked if entry.criterion == ranked[0].criterion)


def _choice(
    judged: Judgement, climbed: Climb, row: int, chosen: int | None
) -> Choice | None:
    if chosen is None:
        return None
    rung = judged.rule.rung[climbed.rung[row, chosen]]
    lenient = dict.fromkeys((*rung.unconfirmed, *rung.loosely))
    alike = judged.as_warm[row, chosen]
    return Choice(
        chosen,
        rung,
        bool(judged.same_night[row, chosen]),
        float(judged.apart_days[row, chosen]),
        math.nan if alike else judged.warmer_degc(row, chosen),
        (
            *(name for name in lenient if not judged.agrees(name, row, chosen)),
            *_unsaid(judged, row, chosen),
        ),
        judged.cut(row, chosen),
    )


def _unsaid(judged: Judgement, row: int, chosen: int) -> tuple[str, ...]:
    """List what the master says, and the frames do not, of that which must be equal."""
    setups, masters = judged.said
    only_master = masters[chosen] & ~setups[row]
    return tuple(judged.equal_columns[n] for n in np.flatnonzero(only_master))


def _preferences(judged: Judgement, climbed: Climb) -> dict[str, NDArray[Any]]:
    """Rank the pairs: smaller is better, the first key that differs decides.

    Of pairs that reached no rung, and are all of one level, those that failed fewest
    criteria come first, of these those that got farthest.
    """
    rungs = judged.rule.rung
    levels = np.array([rung.level for rung in rungs])
    frames = column_of(judged.masters["n_frames"])
    stopped = climbed.rung < 0
    return {
        "level": levels[climbed.rung],
        "criteria": climbed.failures,
        "method": np.where(stopped, -climbed.depth, climbed.rung),
        "size": judged.larger,
        "type": _second_choice(judged),
        "temperature": ~judged.as_warm,
        ORIGIN: _made_before(judged, climbed),
        "time": np.nan_to_num(judged.apart_days, nan=np.inf),
        "number of frames": np.broadcast_to(-frames, judged.shape),
        "name": np.broadcast_to(np.arange(judged.shape[1]), judged.shape),
    }


def _made_before(judged: Judgement, climbed: Climb) -> Pairs:
    """Mark library masters of a night whose own frames make an eligible master."""
    library = (judged.masters[ORIGIN] == LIBRARY).to_numpy()[None, :]
    own = (climbed.rung >= 0) & judged.same_night & ~library
    return np.asarray(library & judged.same_night & own.any(axis=1, keepdims=True))


def _second_choice(judged: Judgement) -> Pairs:
    """Mark darks for flats and flat-darks for lights: each serves its own first."""
    flats = (judged.setups["imagetyp"] == "flat").to_numpy()
    flatdarks = (judged.masters["imagetyp"] == "flatdark").to_numpy()
    darks = (judged.masters["imagetyp"] == "dark").to_numpy()
    return np.asarray(np.where(flats[:, None], darks[None, :], flatdarks[None, :]))
