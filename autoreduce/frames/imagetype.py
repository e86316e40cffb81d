"""What a frame was taken for, also where its header is silent or lies.

Witnesses are heard in the order of trust: the type keyword, the exposure, the
object, the names of file and folders.  The rules by which a later witness
overrules an earlier one are stated where they are applied, and go into the
evidence together with every witness that disagrees.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from autoreduce.fits.cards import Card
from autoreduce.fits.header import RawHeader
from autoreduce.fits.names import stem
from autoreduce.frames.dialects import Dialect, type_key
from autoreduce.frames.facts import NEGATIVE, Reading, is_closed
from autoreduce.frames.literals import text
from autoreduce.frames.schema import ImageType

_NO_LIGHT_OF_THE_OBJECT = (ImageType.DARK, ImageType.BIAS, ImageType.OTHER)
CALIBRATIONS = (ImageType.BIAS, ImageType.DARK, ImageType.FLATDARK, ImageType.FLAT)
DARK_OF_0_S = "a dark of 0 s is a bias"
"""Rule that the level of bias frames may disprove."""
LIGHT_OF_0_S = "typed as light, but an exposure of 0 s is a bias"
"""Rule that the level of bias frames may disprove, too."""
LONGEST_BIAS_S = 1.0
"""A frame of a longer exposure is no bias."""

BY_NAME_ALONE = "typed as light, but named as a calibration"
"""Rule of a type that a name gave against the card: the pixels may say otherwise."""

_WORDS = {
    ImageType.FLATDARK: r"flat(field)?s?darks?|darks?flat(field)?s?",
    ImageType.FLAT: (
        r"(dome|sky|twi(light)?|panel|lamp|flood|led|screen|pix(el)?|t)?"
        r"flat(s|fields?|frames?|lamp|feld(er)?)?|plus?|campoplano|planos?"
        r"|piatt[oi]|hell(bild(er)?|feld(er)?)|weissbild(er)?|vlakveld(en)?"
    ),
    ImageType.DARK: (
        r"(super)?darks?(frames?|current)?|noirs?|dunkel(bild(er)?|strom)?|[eo]?scur[oi]s?"
        r"|buio|obscurites?|donker"
    ),
    ImageType.BIAS: r"(super)?bias(es|frames?)?|zeros?|offsets|offsetbild(er)?|biais"
    r"|nullbild(er)?|polari(zzazione|zacion|zacao)",
    ImageType.LIGHT: (
        r"lights?(frames?)?|science|lumieres?|licht(bild(er)?)?|luz|luces|luzes|luce|luci"
        r"|ciencia|scienza|brutes?"
    ),
    ImageType.OTHER: (
        r"arcs?|comps?|lamps?|(th|hg|cu|he|fe|ne|cd|zn)(ar|ne|cd|zn)"
        r"|focus(ing|run)?|autofocus"
        r"|pointing|junk|guider?|bpm|badpix(els?)?"
    ),
}
_TOKEN_TYPES = {kind: re.compile(pattern) for kind, pattern in _WORDS.items()}
_TOKENS = re.compile(r"[a-z]+|\d+")
_ANY_DIGIT = str.maketrans("123456789", "000000000")
"""Which digit a name holds is nothing to its type: the names of a night are few."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MASTER = re.compile(
    r"masters(?![a-z])|master([\W_]+\w{1,8}){0,2}[\W_]*(super)?(bias|dark|flat|zero|offset|light|twilight|sky)"
    r"|(bias|dark|flat|zero)s?[\W_]*master(?![a-z])"
)
_OF_0_S = re.compile(r"(?<![\d.])0+(\.0+)?[\W_]*s(ec|econds?)?(?![a-z])", re.IGNORECASE)
_LAMPS = re.compile(r"neon|argon|helium|mercury|krypton|xenon|thorium")
_LAMP_PAIR = re.compile(r"(?<![A-Za-z])(Th|Hg|Cu|He|Fe|Ne|Cd|Zn)(Ar|Ne|Cd|Zn)(?![a-z])")
"""Lamps of two elements: their capitals begin no word."""
_FLAT_DARK = re.compile(r"flat[\W_]*darks?(?![a-z])|dark[\W_]*flats?(?![a-z])")
_FLAT_DARKS_ALONE = re.compile(
    r"(flat[\s_-]*darks|dark[\s_-]*flats|flatdark|darkflat)(?![a-z])"
)
_FUSED = re.compile(r"(?<![a-z])(flatdarks?|darkflats?)(?![a-z])")
_PLAIN_WORDS = re.compile(
    r"auto|frames?|fields?|sky|dome|twilight|image|exposure|sec|tests?|cal(ib(ration)?)?|spec(tr(a|um))?|mins?|evening"
    r"|morning|neon|argon|helium|mercury|krypton|xenon|thorium|iron|red|green|blue|lum|[a-z]{1,2}|\d+"
)


class Witness(NamedTuple):
    """What one source says of the type of a frame."""

    kind: ImageType | None = None
    """None if it says nothing, or nothing that is understood."""
    keyword: str = ""
    """Card, or other source; empty if it is silent."""
    literal: str = ""
    """What stands there."""
    whole: bool = True
    """Of a type keyword: whether the pixels are whole numbers, as every camera writes
    them."""

    def __str__(self) -> str:
        return f"{self.keyword}={self.literal}"


def keywords_of_type(dialect: Dialect) -> Iterator[str]:
    """Return every keyword that `witness_of` asks for."""
    yield from dialect.facts["imagetyp"].keywords
    yield from ("BITPIX", "ZBITPIX", "ZIMAGE")


def decide_type(
    said: Witness, dialect: Dialect, facts: Mapping[str, Reading], file: str
) -> Reading:
    """Decide what a frame was taken for.

    Parameters
    ----------
    said : Witness
        What the header says of it: `witness_of`.
    dialect : Dialect
        The header's dialect.
    facts : mapping of str to Reading
        What else the header says.
    file : str
        Path below the night's folder; its folders may say ``flats`` as well.

    Returns
    -------
    Reading
        Value None where no witness speaks: never silently a light.
    """
    if always := dialect.facts["imagetyp"].always:
        rule = f"every frame of {dialect.title} is that"
        return Reading(ImageType(always).value, "dialect", dialect.name, rule)
    named = _from_name(file, facts, lightly=said.kind is ImageType.LIGHT)
    if said.kind is ImageType.FLAT:
        named = _beside_flat(named, file, facts)
    titled = _from_object(facts)
    exposure = _exposure(facts) if said.whole else None
    kind, witness, rule = _weigh(said, titled, named, exposure)
    open_or_unknown = kind in (None, ImageType.LIGHT)
    if open_or_unknown and exposure and _is_shut(facts, dialect):
        kind, witness, rule = _dark_by_filter(facts)
    elif open_or_unknown and exposure and facts["exptime"].rule == NEGATIVE:
        reading = facts["exptime"]
        kind, rule = ImageType.DARK, NEGATIVE
        witness = Witness(kind, reading.keyword, reading.literal)
    others = (said, titled, named)
    disagree = tuple(
        str(other) for other in others if other.kind is not None and other.kind != kind
    )
    if kind is None:
        otherwise = dialect.facts["imagetyp"].otherwise
        if otherwise and not said.keyword:
            rule = f"no witness; {dialect.title} names all frames but these"
            return Reading(ImageType(otherwise).value, "dialect", dialect.name, rule)
        return Reading(None, said.keyword, said.literal, rule, disagree)
    return Reading(kind.value, witness.keyword, witness.literal, rule, disagree)


def type_of_literal(literal: str, dialect: Dialect) -> ImageType | None:
    """Return what a type keyword's literal means, None if it means nothing."""
    key = type_key(literal)
    known = dialect.facts["imagetyp"].values
    if key in known:
        return ImageType(known[key])
    return type_of_words(literal)


def type_of_words(words: str) -> ImageType | None:
    """Return the type that a text speaks of: flat-dark first, else the last one.

    Examples
    --------
    >>> type_of_words("domeflat_R_001").value, type_of_words("flats/Dark 7").value
    ('flat', 'dark')
    """
    return _type_of_words(words.translate(_ANY_DIGIT))


@lru_cache(maxsize=4096)
def _type_of_words(words: str) -> ImageType | None:
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    whole = _LAMP_PAIR.sub(lambda pair: pair[0].lower(), plain)
    small = _HUMP.sub(" ", whole).lower()
    if _MASTER.search(small):
        return ImageType.MASTER
    if _FLAT_DARK.search(small):
        return ImageType.FLATDARK
    tokens = _TOKENS.findall(small)
    found = [kind for token in tokens if (kind := _token_type(token))]
    if not found:
        lamp = any(map(_LAMPS.fullmatch, tokens)) and _all_plain(tokens)
        return ImageType.OTHER if lamp else None
    if _token_type(tokens[0]) is ImageType.LIGHT:
        return ImageType.LIGHT
    return _last_word(found, tokens)


def _last_word(found: list[ImageType], tokens: list[str]) -> ImageType | None:
    """Return the last type that counts: weak words only where nothing else stands."""
    if "autofocus" in tokens or _all_plain(tokens):
        weak = {ImageType.LIGHT}
    else:
        weak = {ImageType.LIGHT, ImageType.OTHER}
    strong = [kind for kind in found if kind not in weak]
    if strong:
        return strong[-1]
    return ImageType.LIGHT if ImageType.LIGHT in found else None


def _token_type(token: str) -> ImageType | None:
    matches = (
        kind for kind, pattern in _TOKEN_TYPES.items() if pattern.fullmatch(token)
    )
    return next(matches, None)


@lru_cache(maxsize=4096)
def _is_plain(name: str) -> bool:
    """Tell whether all words are such as go with calibration frames."""
    return _all_plain(_TOKENS.findall(name.lower()))


def _all_plain(tokens: list[str]) -> bool:
    return all(_token_type(token) or _PLAIN_WORDS.fullmatch(token) for token in tokens)


def witness_of(header: RawHeader, dialect: Dialect) -> Witness:
    """Read what the type keyword of a header says; of several that which is understood.

    Programs write "light" for what they were not told (`_weigh_light`): another keyword
    that says bias, dark or flat is heard before it.
    """
    rule, whole = dialect.facts["imagetyp"], _is_raw(header)
    unknown = Witness(whole=whole)
    light: Witness | None = None
    for source in rule.sources:
        for card in header.find(source.keyword):
            literal = text(card.value, rule.missing)
            if literal is None:
                continue
            kind = _meaning(card, literal, dialect, source.values)
            if kind is ImageType.LIGHT:
                light = light or Witness(kind, card.keyword, literal, whole)
            elif kind in CALIBRATIONS or (kind and not light):
                return Witness(kind, card.keyword, literal, whole)
            if not unknown.keyword:
                unknown = Witness(None, card.keyword, literal, whole)
    return light or unknown


def _meaning(
    card: Card, literal: str, dialect: Dialect, values: Mapping[str, str]
) -> ImageType | None:
    if values:
        named = values.get(literal)
        return ImageType(named) if named else None
    if not isinstance(card.value, str):
        return None
    return type_of_literal(literal, dialect)


def _from_object(facts: Mapping[str, Reading]) -> Witness:
    if "object" not in facts:
        return Witness()
    reading = facts["object"]
    name = str(reading.value)
    kind = type_of_words(name)
    # A dark nebula is no dark: its other words are not those of calibration frames.
    if kind is None or (kind is not ImageType.FLAT and not _is_plain(name)):
        return Witness()
    return Witness(kind, reading.keyword, name)


def _from_name(file: str, facts: Mapping[str, Reading], *, lightly: bool) -> Witness:
    """Ask the names of file and folders.

    Where the type keyword says light (`lightly`), a folder speaks only if its name
    is about calibration alone (a dark site makes no darks), and a file that is
    named for its object is no dark, bias or arc.
    """
    *folders, base = file.split("/")
    target = str(facts["object"].value).lower() if "object" in facts else ""
    places = [("file name", stem(base))]
    if "filename" in facts:
        places.append((facts["filename"].keyword, str(facts["filename"].value)))
    folders.reverse()
    if lightly:
        folders = [name for name in folders if _is_plain(name)]
    places += [("folder name", name) for name in folders]
    for place, name in places:
        rest = without_words(name, target)
        kind = type_of_words(rest)
        if lightly and rest != name and kind in _NO_LIGHT_OF_THE_OBJECT:
            return Witness()
        if kind is not None:
            return Witness(kind, place, name)
    return Witness()


def without_words(name: str, target: str) -> str:
    """Drop the words of the object's own name: the Dark Shark is no dark.

    Parameters
    ----------
    name : str
        Of a file or folder.
    target : str
        The object, in small letters; empty if it has no name.
    """
    words = _TOKENS.findall(target) if target else ()
    small = name.casefold()
    if not words or not all(word in small for word in words):
        return name
    pattern = r"(?<![a-z0-9])" + r"[\W_]*".join(map(re.escape, words)) + r"(?![a-z0-9])"
    return re.sub(pattern, " ", name, flags=re.IGNORECASE)


def _exposure(facts: Mapping[str, Reading]) -> float | None:
    if "exptime" not in facts:
        return None
    value = facts["exptime"].value
    # A zero that another keyword contradicts is a card that was never filled in.
    if value == 0 and facts["exptime"].disagree:
        return None
    return float(value) if isinstance(value, int | float) else None


def _is_raw(header: RawHeader) -> bool:
    """Tell whether the pixels are whole numbers, as every camera writes them."""
    bits = header.get("ZBITPIX") if header.get("ZIMAGE") else header.get("BITPIX")
    return isinstance(bits, int) and bits > 0


def _is_shut(facts: Mapping[str, Reading], dialect: Dialect) -> bool:
    return "filter" in facts and is_closed(
        str(facts["filter"].value), dialect.facts["filter"]
    )


def _dark_by_filter(facts: Mapping[str, Reading]) -> tuple[ImageType, Witness, str]:
    reading = facts["filter"]
    witness = Witness(ImageType.DARK, reading.keyword, reading.literal)
    return ImageType.DARK, witness, "exposed behind a closed filter: a dark"


Decision = tuple[ImageType | None, Witness, str]


def _weigh(
    said: Witness, titled: Witness, named: Witness, exposure: float | None
) -> Decision:
    if named.kind is ImageType.MASTER and said.kind is not ImageType.LIGHT:
        return ImageType.MASTER, named, "named as a master"
    if said.kind is ImageType.LIGHT:
        return _weigh_light(said, titled, named, exposure)
    if said.kind in (ImageType.BIAS, ImageType.DARK):
        return _weigh_closed(said, titled, named, exposure)
    if said.kind is ImageType.FLAT and named.kind is ImageType.FLATDARK:
        return ImageType.FLATDARK, named, "a flat by its card, a dark for flats by name"
    if said.kind is not None:
        return said.kind, said, "the type keyword says so"
    return _weigh_silence(said, titled, named, exposure)


def _weigh_silence(
    said: Witness, titled: Witness, named: Witness, exposure: float | None
) -> Decision:
    for witness, rule in (
        (titled, "no type keyword; the object says so"),
        (named, "no type keyword; the name says so"),
    ):
        if witness.kind is not None:
            kind, better = _by_exposure(witness.kind, exposure)
            return kind, witness, better or rule
    if exposure == 0 and not said.keyword:
        witness = Witness(ImageType.BIAS, "exptime", "0")
        return ImageType.BIAS, witness, "no type keyword; an exposure of 0 s is a bias"
    return None, said, "neither keyword, object, name nor exposure tell the type"


def _weigh_light(
    said: Witness, titled: Witness, named: Witness, exposure: float | None
) -> Decision:
    # Programs write "light" unless the observer thinks of it, and "object" for
    # whatever is taken with an open shutter.
    if titled.kind not in (None, ImageType.LIGHT):
        return titled.kind, titled, "typed as light, but its object is a calibration"
    if named.kind not in (None, ImageType.LIGHT):
        return named.kind, named, BY_NAME_ALONE
    if exposure == 0 and named.kind is None:
        return ImageType.BIAS, said, LIGHT_OF_0_S
    return ImageType.LIGHT, said, "the type keyword says so"


def _weigh_closed(
    said: Witness, titled: Witness, named: Witness, exposure: float | None
) -> Decision:
    if said.kind is ImageType.DARK and titled.kind is ImageType.FLATDARK:
        return ImageType.FLATDARK, titled, "a dark whose object says for flats"
    if said.kind is ImageType.BIAS and ImageType.BIAS in (titled.kind, named.kind):
        return ImageType.BIAS, said, "the type keyword says so"
    if said.kind is ImageType.DARK and exposure == 0 and _is_named_dark(named):
        return ImageType.DARK, said, "a dark of 0 s by its card and a dark by its name"
    kind, rule = _by_exposure(said.kind, exposure)
    return kind, said, rule or "the type keyword says so"


def _is_named_dark(named: Witness) -> bool:
    """Tell whether a file is called a dark, and not one of no exposure."""
    if named.kind is not ImageType.DARK or named.keyword == "folder name":
        return False
    return not _OF_0_S.search(named.literal)


def _beside_flat(named: Witness, file: str, facts: Mapping[str, Reading]) -> Witness:
    """Ask the names again, where the card says flat, for a dark for flats.

    Programs that know no such type let observers take flats without light.  A file is
    called that in one word, or with nothing but numbers, filter and exposure behind; a
    folder of flats and darks has both words in its name, too, so it needs one word, or
    the plural.  Where the file only repeats the card the nearest folder that tells a
    type decides.  The pixels are not asked.
    """
    *folders, base = file.split("/")
    name = stem(base)
    band = str(facts["filter"].value).lower() if "filter" in facts else ""
    own = type_of_words(name)
    if own is ImageType.FLATDARK:
        is_meant = _FUSED.search(name.lower()) or _is_followed(_FLAT_DARK, name, band)
        kind = ImageType.FLATDARK if is_meant else ImageType.FLAT
        return Witness(kind, "file name", name)
    if own in (None, ImageType.FLAT):
        for folder in reversed(folders):
            if (told := type_of_words(folder)) is None:
                continue
            if told is ImageType.FLATDARK and _is_followed(
                _FLAT_DARKS_ALONE, folder, band
            ):
                return Witness(told, "folder name", folder)
            break
    return (
        named._replace(kind=ImageType.FLAT)
        if named.kind is ImageType.FLATDARK
        else named
    )


def _is_followed(word: re.Pattern[str], name: str, band: str) -> bool:
    """Tell whether a name begins with a word, and goes on with plain ones alone."""
    match = word.match(name.lower())
    if not match:
        return False
    rest = _TOKENS.findall(without_words(name.lower()[match.end() :], band))
    return all(map(_PLAIN_WORDS.fullmatch, rest))


def _by_exposure(
    kind: ImageType | None, exposure: float | None
) -> tuple[ImageType | None, str]:
    if kind is ImageType.DARK and exposure == 0:
        return ImageType.BIAS, DARK_OF_0_S
    if kind is ImageType.BIAS and exposure is not None and exposure > LONGEST_BIAS_S:
        return ImageType.DARK, f"a bias of more than {LONGEST_BIAS_S:g} s is a dark"
    return kind, ""
