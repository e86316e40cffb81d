"""Which master serves which frames: as the ladder says, or as the observer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from autoreduce.planning.byhand import chosen_output, overruled, use_by_hand
from autoreduce.planning.candidates import LIBRARY, ORIGIN, Facts, dark_use
from autoreduce.planning.criteria import Settings
from autoreduce.planning.lacks import Table, lack
from autoreduce.planning.matching import Choice, match
from autoreduce.planning.plan import Verdict
from autoreduce.planning.rules import Rules
from autoreduce.planning.use import DarkMethod, Use


@dataclass(frozen=True, slots=True)
class Decision:
    """What serves each of several setups, and why."""

    uses: tuple[Use, ...]
    """One for each setup."""
    verdicts: tuple[Verdict, ...]
    """One entry for each setup and candidate."""


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
    matches = match(need, setups, masters, rules, settings)
    rows = setups.to_dict("records")
    candidates = matches.masters.to_dict("records")
    facts = {str(one["output"]): one for one in candidates}
    exposure = rules.tolerance["exptime"] if settings.other_exposures else None
    verdicts = list(matches.verdicts)
    uses = []
    for row, setup in enumerate(rows):
        choice = matches.choices[row]
        misses = [(one, facts[one.candidate]) for one in matches.misses[row]]
        if choice is None:
            use = Use(need, lack=lack(need, setup, misses, settings, table))
        else:
            use = _from_ladder(need, setup, candidates, choice, settings)
        if pd.notna(setup[need]):
            part = slice(row * len(candidates), (row + 1) * len(candidates))
            entries = verdicts[part]
            chosen = chosen_output(need, setup, candidates)
            if chosen != use.output:
                found = {entry.candidate: i for i, entry in enumerate(entries)}
                i = None if chosen is None else found[chosen]
                master = None
                if i is not None:
                    master = {**candidates[i], "cut": matches.judged.cut(row, i)}
                use = use_by_hand(
                    need,
                    setup,
                    master,
                    None if i is None else entries[i].level,
                    exposure,
                )
                verdicts[part] = overruled(entries, chosen)
        uses.append(use)
    return Decision(tuple(uses), tuple(verdicts))


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
