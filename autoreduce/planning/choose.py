"""Which master serves which frames: as the ladder says, or as the observer."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pandas as pd

from autoreduce.frames.schema import rows_of
from autoreduce.planning.byhand import chosen_output, overruled, use_by_hand
from autoreduce.planning.candidates import LIBRARY, ORIGIN, Facts, dark_use
from autoreduce.planning.criteria import Settings
from autoreduce.planning.grouping import equal_codes
from autoreduce.planning.lacks import Table, lack
from autoreduce.planning.matching import Choice, Matches, match
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Rules
from autoreduce.planning.use import DarkMethod, Use

_PAIRS = 1 << 17
"""Setups times masters that are judged at once: what that takes of memory is bounded."""
_NIGHTS, _NEAR_NIGHTS = 32, 8
"""Nights that are looked at together, and those before and after them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What serves each of several setups, and why."""

    uses: tuple[Use, ...]
    """One for each setup."""
    verdicts: tuple[Verdict, ...]
    """Entries of each setup, in their order, as in `Matches`."""


def serve(
    need: str,
    setups: pd.DataFrame,
    masters: pd.DataFrame,
    rules: Rules,
    settings: Settings,
    table: Table,
) -> Decision:
    """Decide which master serves each setup.

    Parameters
    ----------
    need : str
        One of `NEEDS`.
    setups : DataFrame
        As `match` takes, with the observer's choice in the column named `need`
        (missing: as the ladder says) and one of the frames in ``file``.
    masters : DataFrame
        As `match` takes.
    rules : Rules
        What must agree, and the ladder.
    settings : Settings
        How far darks may be taken to other exposures.
    table : Table
        What else there is, for reasons.

    Returns
    -------
    Decision
        A use for each setup, in the order of `setups`.

    Raises
    ------
    TableError
        If the observer names a master that is not made, or that cannot serve.
    """
    masters = masters.sort_values("output", ignore_index=True)
    candidates = rows_of(masters)
    facts = {str(one["output"]): one for one in candidates}
    exposure = rules.tolerance["exptime"] if settings.other_exposures else None

    def by_hand(setup: Facts, row: int, chosen: str | None, matches: Matches) -> Use:
        for i, entry in enumerate(matches.verdicts[row]):
            if entry.candidate == chosen:
                master = {**candidates[i], "cut": matches.judged.cut(row, i)}
                return use_by_hand(need, setup, master, entry.level, exposure)
        return use_by_hand(need, setup, None, None, exposure)

    served: dict[int, tuple[Use, tuple[Verdict, ...]]] = {}
    described = rows_of(setups)
    own = _of_own_night(need, setups, masters, rules, settings)
    for row, (best, entries) in own.items():
        use = _from_ladder(need, described[row], candidates, best, settings)
        served[row] = use, entries
    left = [row for row in range(len(setups)) if row not in served]
    n_rows = max(1, _PAIRS // max(len(masters), 1))
    for start in range(0, len(left), n_rows):
        rows = left[start : start + n_rows]
        matches = match(need, setups.iloc[rows], masters, rules, settings)
        for at, row in enumerate(rows):
            setup = described[row]
            choice, entries = matches.choices[at], matches.verdicts[at]
            misses = [(one, facts[one.candidate]) for one in matches.misses[at]]
            if choice is None:
                use = Use(need, lack=lack(need, setup, misses, settings, table))
            else:
                use = _from_ladder(need, setup, candidates, choice, settings)
            if pd.notna(setup[need]):
                chosen = chosen_output(need, setup, candidates)
                if chosen != use.output:
                    use = by_hand(setup, at, chosen, matches)
                    entries = overruled(entries, chosen)
            served[row] = use, entries
    decided = [served[row] for row in range(len(setups))]
    verdicts = chain.from_iterable(entries for _, entries in decided)
    return Decision(tuple(use for use, _ in decided), tuple(verdicts))


def _of_own_night(
    need: str,
    setups: pd.DataFrame,
    masters: pd.DataFrame,
    rules: Rules,
    settings: Settings,
) -> dict[int, tuple[Choice, tuple[Verdict, ...]]]:
    """Choose, in months of nights, for setups that a master of their night serves best.

    No master of another night can then be better, so they are not held against all of
    them: those of near nights are told as others that would have served.

    Returns
    -------
    dict of int to (Choice, tuple of Verdict)
        By the row of the setup; the others are to be held against all masters, as are
        those whose master the observer chooses, and those that leave unsaid what tells
        masters apart.
    """
    rule = rules.use[need]
    best = min(rung.level for rung in rule.rung)
    by_night = all(rung.same_night for rung in rule.rung if rung.level == best)
    if len(setups) * len(masters) <= _PAIRS or not by_night:
        return {}
    equal = [*rules.setup, *rule.equal]
    telling = [name for name in equal if equal_codes(masters[name]).any()]
    nights = sorted(masters["night"].dropna().unique())
    is_plain = setups[need].isna() & setups[telling].notna().all(axis=1)
    of_night = setups["night"].where(is_plain)
    found = {}
    wanted = sorted(of_night.dropna().unique())
    for start in range(0, len(wanted), _NIGHTS):
        some = wanted[start : start + _NIGHTS]
        first = bisect_left(nights, some[0]) - _NEAR_NIGHTS
        last = bisect_right(nights, some[-1]) + _NEAR_NIGHTS
        near = np.flatnonzero(masters["night"].isin(nights[max(first, 0) : last]))
        rows = np.flatnonzero(of_night.isin(some))
        part, others = setups.iloc[rows], masters.iloc[near]
        matches = match(need, part, others, rules, settings)
        for row, choice, entries in zip(
            rows.tolist(), matches.choices, matches.verdicts, strict=True
        ):
            if choice is not None and choice.rung.level == best:
                choice = replace(choice, candidate=int(near[choice.candidate]))  # noqa: PLW2901 -- among all
                found[row] = choice, entries
    return found


def _from_ladder(
    need: str,
    setup: Facts,
    masters: Sequence[Facts],
    choice: Choice,
    settings: Settings,
) -> Use:
    master, method = masters[choice.candidate], choice.rung.method
    use = Use(need, master["output"])
    if need == "dark":
        use = dark_use(setup, master, method or DarkMethod.EXACT)
    return replace(
        use,
        level=choice.rung.level,
        unasked=choice.rung.longer is not None and not settings.extrapolate,
        cut=choice.cut,
        same_night=choice.same_night,
        days=None if math.isnan(choice.days) else choice.days,
        warmer=None if math.isnan(choice.warmer) else choice.warmer,
        unconfirmed=choice.unconfirmed,
        from_library=master[ORIGIN] == LIBRARY,
    )
