"""Which master serves which frames: as the ladder says, or as the observer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from autoreduce.planning.byhand import chosen_output, overruled, service_by_hand
from autoreduce.planning.candidates import LIBRARY, ORIGIN
from autoreduce.planning.criteria import Settings
from autoreduce.planning.matching import Choice, match
from autoreduce.planning.plan import DarkMethod, LedgerEntry
from autoreduce.planning.rules import Rules
from autoreduce.planning.use import Facts, Service, dark_service, stem
from autoreduce.planning.words import Lack, apart_text, listed


@dataclass(frozen=True, slots=True)
class Served:
    """What serves each of several setups, and why."""

    services: tuple[Service, ...]
    """One for each setup."""
    ledger: tuple[LedgerEntry, ...]
    """One entry for each setup and candidate."""


def serve(
    need: str,
    setups: pd.DataFrame,
    masters: pd.DataFrame,
    rules: Rules,
    settings: Settings,
) -> Served:
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

    Returns
    -------
    Served
        A service for each setup, in the order of `setups`.

    Raises
    ------
    TableError
        If the observer names a master that is not made, or that cannot serve.
    """
    matches = match(need, setups, masters, rules, settings)
    rows = setups.to_dict("records")
    candidates = matches.masters.to_dict("records")
    exposure = rules.tolerance["exptime"] if settings.other_exposures else None
    ledger = list(matches.ledger)
    services = []
    for row, setup in enumerate(rows):
        choice, misses = matches.choices[row], matches.misses[row]
        service = _from_ladder(need, setup, candidates, choice, misses, settings)
        if pd.notna(setup[need]):
            part = slice(row * len(candidates), (row + 1) * len(candidates))
            entries = ledger[part]
            chosen = chosen_output(need, setup, candidates)
            if chosen != service.output:
                found = {entry.candidate: i for i, entry in enumerate(entries)}
                i = None if chosen is None else found[chosen]
                master = None
                if i is not None:
                    master = {**candidates[i], "cut": matches.judged.cut(row, i)}
                service = service_by_hand(
                    need,
                    setup,
                    master,
                    None if i is None else entries[i].level,
                    exposure,
                )
                ledger[part] = overruled(entries, chosen)
        services.append(service)
    return Served(tuple(services), tuple(ledger))


def _from_ladder(
    need: str,
    setup: Facts,
    masters: Sequence[Facts],
    choice: Choice | None,
    misses: Sequence[LedgerEntry],
    settings: Settings,
) -> Service:
    if choice is None:
        lack = _lack(need, setup, misses, settings)
        return Service(None, None, str(lack), lack)
    master = masters[choice.candidate]
    when = "same night" if choice.same_night else apart_text(choice.days)
    if choice.cut:
        when += f", cut to {choice.cut}"
    if choice.unconfirmed:
        when += f", {' and '.join(choice.unconfirmed)} not confirmed"
    if master[ORIGIN] == LIBRARY:
        when += ", from the library"
    level = choice.rung.level
    if need != "dark":
        words = f"{need} {stem(master['output'])}, {when}"
        return Service(master["output"], level, words, cut=choice.cut)
    service = dark_service(setup, master, choice.rung.method or DarkMethod.EXACT)
    words = f"{service.words}, {when}"
    return replace(service, level=level, words=words, cut=choice.cut)


_PLURAL = {"bias": "bias frames", "dark": "darks", "flat": "flats"}


def _lack(
    need: str, setup: Facts, misses: Sequence[LedgerEntry], settings: Settings
) -> Lack:
    """Say why nothing serves, and the way out where a flag is one."""
    lack = _why_not(f"no {need}: ", need, misses, settings)
    if need == "bias" and pd.notna(setup["biassec"]):
        return replace(lack, after=f"{lack.after}, overscan only")
    return lack


def _why_not(
    no: str, need: str, misses: Sequence[LedgerEntry], settings: Settings
) -> Lack:
    if not misses:
        return Lack(f"{no}there are no {_PLURAL[need]}")
    miss = misses[0]
    if miss.wanted == "unknown":
        column = "exptime" if miss.criterion == "exposure" else miss.criterion
        return Lack(f"{no}{miss.criterion} is unknown (--set 'PATTERN: {column}=...')")
    if miss.criterion == "days":
        return Lack(f"{no}the nearest is {miss.found}")
    if miss.criterion in {"bias", "fit"}:
        return Lack(f"{no}none of this exposure, and {miss.found}")
    after = f" wanted, there is {listed(entry.found for entry in misses)}"
    if miss.criterion == "exposure" and settings.other_exposures:
        after += " (only --extrapolate-darks scales up)"
    return Lack(f"{no}{miss.criterion} ", miss.wanted, after)
