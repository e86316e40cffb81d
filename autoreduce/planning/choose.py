"""Which master serves which frames: as the ladder says, or as the observer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from autoreduce.planning.byhand import chosen_output, overruled, use_by_hand
from autoreduce.planning.candidates import LIBRARY, ORIGIN, Facts, dark_use
from autoreduce.planning.criteria import Settings
from autoreduce.planning.lacks import Table, lack
from autoreduce.planning.matching import Choice, Matches, match
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Rules
from autoreduce.planning.use import DarkMethod, Use

_PAIRS = 1 << 17
"""Setups times masters that are judged at once: what that takes of memory is bounded."""


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
    candidates = masters.to_dict("records")
    facts = {str(one["output"]): one for one in candidates}
    exposure = rules.tolerance["exptime"] if settings.other_exposures else None

    def by_hand(setup: Facts, row: int, chosen: str | None, matches: Matches) -> Use:
        for i, entry in enumerate(matches.verdicts[row]):
            if entry.candidate == chosen:
                master = {**candidates[i], "cut": matches.judged.cut(row, i)}
                return use_by_hand(need, setup, master, entry.level, exposure)
        return use_by_hand(need, setup, None, None, exposure)

    uses: list[Use] = []
    verdicts: list[Verdict] = []
    for part in _parts(setups, len(masters)):
        matches = match(need, part, masters, rules, settings)
        for row, setup in enumerate(part.to_dict("records")):
            choice, entries = matches.choices[row], matches.verdicts[row]
            misses = [(one, facts[one.candidate]) for one in matches.misses[row]]
            if choice is None:
                use = Use(need, lack=lack(need, setup, misses, settings, table))
            else:
                use = _from_ladder(need, setup, candidates, choice, settings)
            if pd.notna(setup[need]):
                chosen = chosen_output(need, setup, candidates)
                if chosen != use.output:
                    use = by_hand(setup, row, chosen, matches)
                    entries = overruled(entries, chosen)
            uses.append(use)
            verdicts += entries
    return Decision(tuple(uses), tuple(verdicts))


def _parts(setups: pd.DataFrame, n_masters: int) -> Iterator[pd.DataFrame]:
    """Part setups so that not too many pairs are judged at once."""
    n_rows = max(1, _PAIRS // max(n_masters, 1))
    for start in range(0, len(setups), n_rows):
        yield setups.iloc[start : start + n_rows]


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
