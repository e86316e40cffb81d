"""Colours of filters and frame types: the light a filter lets through, toned down."""

import re
import zlib

_FILTERS = (
    (r"h(alpha|a)?(\d+nm)?|h?alpha|656.*", "#b3202c"),
    (r"h(beta|b)|486.*", "#2f7fb5"),
    (r"o(iii|3)(\d+nm)?|50[01].*", "#0f9b8e"),
    (r"s(ii|2)(\d+nm)?|67[12].*", "#7d1d3f"),
    (r"n(ii|2)(\d+nm)?|658.*", "#9c2a4a"),
    (r"l(um(inance)?)?|(uv)?ir(cut)?|luminosity", "#8a8f98"),
    (r"c(lear)?|cv|open|none|empty|air|no(filter)?|white", "#a8a29a"),
    (r"r(ed)?|rc|rs|sdssr", "#d9463e"),
    (r"g(reen)?|sdssg", "#3f9b4f"),
    (r"b(lue)?|bj|bessellb|johnsonb", "#3b6fd1"),
    (r"u|up|sdssu|bessellu|johnsonu", "#7a4fc4"),
    (r"v|vis(ual|ible)?|bessellv|johnsonv", "#7da32c"),
    (r"i(c|s|p)?|sdssi|besselli|cousinsi", "#a8572f"),
    (r"z(s|p)?|sdssz", "#75506a"),
    (r"y|j|h|k(s|p)?", "#8d5a3b"),
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
    for part in name.split("+"):
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        for pattern, colour in _FILTERS:
            if re.fullmatch(pattern, plain):
                return colour
    return _OTHER_HUES[zlib.crc32(name.encode()) % len(_OTHER_HUES)]


def frame_colour(imagetyp: str | None, filter_name: str | None) -> str:
    """Choose a colour for a frame: that of its filter, for lights and flats.

    Biases and darks saw no light, whatever filter their header names.
    """
    if filter_name and imagetyp in {"light", "flat"}:
        return filter_colour(filter_name)
    return _TYPES.get(imagetyp or "", _UNKNOWN)
