"""Work on headers that is done once for all headers with the same cards."""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Generic, TypeVar

from autoreduce.fits.header import Layout, RawHeader

Result = TypeVar("Result")

_MOST = 2048
"""Results that are remembered: more of them are not those of like headers."""


class CardMemory(Generic[Result]):
    """A function of a header that depends on some of its cards, with a memory.

    The headers of a night are alike: of the cards that give a fact most say the same
    on hundreds of frames.  The result for each different set of cards is worked out
    once.

    Parameters
    ----------
    keywords : iterable of str
        Every keyword that the function asks a header for.
    function : callable
        It must depend on nothing but these cards, and its result must not be
        changed by those who get it.
    """

    def __init__(
        self, keywords: Iterable[str], function: Callable[[RawHeader], Result]
    ) -> None:
        self.keywords = tuple(dict.fromkeys(keywords))
        """What the function asks for."""
        self._function = function
        self._known: dict[bytes, Result] = {}
        self._places: dict[Layout, Struct] = {}

    def __call__(self, header: RawHeader) -> Result:
        """Return what the function gives for a header."""
        layout = header.layout
        places = self._places.get(layout)
        if places is None:
            if len(self._places) >= _MOST:
                self._places.clear()
            places = self._places[layout] = layout.places_of(self.keywords)
        cards = header.cut(places)
        if cards in self._known:
            return self._known[cards]
        if len(self._known) >= _MOST:
            self._known.clear()  # cards that differ from frame to frame
        return self._known.setdefault(cards, self._function(header))
