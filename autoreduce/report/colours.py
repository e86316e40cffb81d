"""Colours of filters and frame types: the light a filter lets through, toned down."""

import re
import zlib
from collections.abc import Iterator

_FILTERS = (
    (r"h(alpha|a)?(\d+nm)?|h?alpha|656.*", "#b3202c", "Ha"),
    (r"h(beta|b)|486.*", "#2f7fb5", "Hb"),
    (r"o(iii|3)(\d+nm)?|50[01].*", "#0f9b8e", "OIII"),
    (r"s(ii|2)(\d+nm)?|67[12].*", "#7d1d3f", "SII"),
    (r"n(ii|2)(\d+nm)?|658.*", "#9c2a4a", "NII"),
    (r"l(um(inance)?)?|(uv)?ir(cut)?|luminosity", "#8a8f98", "L"),
    (r"c(lear)?|cv|open|none|empty|air|no(filter)?|white", "#a8a29a", ""),
    (r"r(ed)?|rc|rs|sdssr", "#d9463e", "R"),
    (r"g(reen)?|sdssg", "#3f9b4f", "G"),
    (r"b(lue)?|bj|bessellb|johnsonb", "#3b6fd1", "B"),
    (r"u|up|sdssu|bessellu|johnsonu", "#7a4fc4", "U"),
    (r"v|vis(ual|ible)?|bessellv|johnsonv", "#7da32c", "V"),
    (r"i(c|s|p)?|sdssi|besselli|cousinsi", "#a8572f", "I"),
    (r"z(s|p)?|sdssz", "#75506a", "Z"),
    (r"y|j|h|k(s|p)?", "#8d5a3b", "J"),
)
_OTHER_HUES = ("#b07aa1", "#6f8fb5", "#b5894f", "#6a9f8f", "#9d7660", "#8078b5")
_TYPES = {
    "bias": "#7b8794",
    "dark": "#4f5d6b",
    "flatdark": "#64707d",
    "flat": "#c79a3b",
    "light": "#4b7bb5",
}
_UNKNOWN = "#9a8f86"


def filter_colour(name: str) -> str:
    """Choose a colour for a filter: ``#b3202c`` for H-alpha.

    Parameters
    ----------
    name : str
        Filter as the header names it; case, blanks and dashes do not matter, and
        of wheels in series (``H-Alpha+Clear``) the first one that is known counts.

    Returns
    -------
    str
        ``#rrggbb``; for a filter that is not known one of a few quiet hues, the
        same one whenever the name is the same.
    """
    for colour, _ in _known(name):
        return colour
    return _OTHER_HUES[zlib.crc32(name.encode()) % len(_OTHER_HUES)]


def filter_band(name: str) -> str:
    """Tell the band of a filter: ``Ha``, ``OIII``, ``SII``, ``L``, ``R`` and so on.

    Parameters
    ----------
    name : str
        As for `filter_colour`.

    Returns
    -------
    str
        Empty for a filter that is not known, or lets all light through.
    """
    return next((band for _, band in _known(name) if band), "")


def _known(name: str) -> Iterator[tuple[str, str]]:
    """Give colour and band of each of the filters in series that is known."""
    for part in name.split("+"):
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        for pattern, colour, band in _FILTERS:
            if re.fullmatch(pattern, plain):
                yield colour, band
                break


def frame_colour(imagetyp: str | None, filter_name: str | None) -> str:
    """Choose a colour for a frame: that of its filter, for lights and flats.

    Biases and darks saw no light, whatever filter their header names.
    """
    if filter_name and imagetyp in {"light", "flat"}:
        return filter_colour(filter_name)
    return _TYPES.get(imagetyp or "", _UNKNOWN)
