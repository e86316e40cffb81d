"""Why each candidate was, or was not, chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.planning.criteria import Judgement
from autoreduce.planning.phrases import apart_text, number_text
from autoreduce.planning.plan import Verdict


@dataclass(frozen=True, slots=True)
class Climb:
    """How far each pair got on the ladder; arrays of shape (n_setups, n_masters)."""

    rung: NDArray[np.intp]
    """Index of the rung that it reached, -1 for none."""
    failed: NDArray[np.object_]
    """The first criterion that it failed where it failed fewest; None if it reached one."""
    failures: NDArray[np.intp]
    """How many criteria it failed there; 0 if it reached a rung."""
    depth: NDArray[np.intp]
    """How many criteria it met there before the first that it failed."""


class VerdictWriter:
    """Puts into words why each candidate was, or was not, chosen."""

    def __init__(
        self,
        need: str,
        judged: Judgement,
        climbed: Climb,
        keys: Mapping[str, NDArray[Any]],
    ) -> None:
        self._need, self._judged = need, judged
        self._climbed, self._keys = climbed, keys
        self._labels = list(judged.setups["setup"])
        self._outputs = list(judged.masters["output"])
        self._levels = [rung.level for rung in judged.rule.rung]
        self._texts: dict[str, tuple[list[str], list[str]]] = {}

    def entry(self, row: int, candidate: int, chosen: int | None) -> Verdict:
        """Write the entry of a setup and a candidate, of which another may be chosen."""
        rung = int(self._climbed.rung[row, candidate])
        failed = self._climbed.failed[row, candidate]
        if failed is not None:
            criterion = failed
            wanted, found = self._values(failed, row, candidate)
        elif candidate == chosen or chosen is None:
            criterion, wanted, found = "", "", ""
        else:
            criterion, wanted, found = self._decided(row, candidate, chosen)
        return Verdict(
            self._labels[row],
            self._need,
            self._outputs[candidate],
            candidate == chosen,
            self._levels[rung] if rung >= 0 else None,
            criterion,
            wanted,
            found,
        )

    def _decided(self, row: int, candidate: int, chosen: int) -> tuple[str, str, str]:
        """Say in what the chosen master is better than an eligible one."""
        name = next(
            name
            for name, key in self._keys.items()
            if key[row, candidate] != key[row, chosen]
        )
        return name, self._rank(name, row, chosen), self._rank(name, row, candidate)

    def _rank(self, name: str, row: int, candidate: int) -> str:
        """Write what a candidate is judged by where several are eligible."""
        if name == "time":
            return apart_text(float(self._judged.apart_days[row, candidate]))
        if name == "size":
            larger = self._judged.larger[row, candidate]
            return "larger than the frame" if larger else "of the frame's size"
        if name in {"level", "method"}:
            rung = self._judged.rule.rung[self._climbed.rung[row, candidate]]
            return f"level {rung.level}" if name == "level" else str(rung.method)
        column = {"type": "imagetyp", "number of frames": "n_frames"}.get(name, name)
        return self._texts_of("output" if name == "name" else column)[1][candidate]

    def _values(self, criterion: str, row: int, candidate: int) -> tuple[str, str]:
        if criterion == "days":
            longest = max(rung.days or 0 for rung in self._judged.rule.rung)
            apart = apart_text(float(self._judged.apart_days[row, candidate]))
            return f"within {longest:g} d", apart
        if criterion == "bias":
            return self._bias_values(row)
        if criterion == "fit":
            return "darks of two exposures, same night", "no fit with this dark"
        name = "exptime" if criterion == "exposure" else criterion
        wanted, found = self._texts_of(name)
        return wanted[row], found[candidate]

    def _bias_values(self, row: int) -> tuple[str, str]:
        if self._judged.setups["has_bias"].iloc[row]:
            return "a dark without its bias", "a dark that holds its bias is not scaled"
        return "a bias for the frames", "without a bias no dark is scaled"

    def _texts_of(self, name: str) -> tuple[list[str], list[str]]:
        """Write a column of all setups and of all masters, once."""
        if name not in self._texts:
            tables = (self._judged.setups, self._judged.masters)
            columns = (table.get(name, ()) for table in tables)
            wanted, found = (
                [number_text(name, value) for value in column] for column in columns
            )
            self._texts[name] = (wanted, found)
        return self._texts[name]
