"""What an observer is told, as values: one table of all messages, written out last.

Whatever notices something makes a `Remark`; terminal, report, headers and tables are
written from it, and nobody reads a sentence back.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self


class Severity(StrEnum):
    """What kind of thing a remark is about, gravest first."""

    FAILED = "failed"
    """A product could not be made."""
    BLOCKED = "blocked"
    """A product waited for one that could not be made."""
    MISSING = "missing"
    """A correction is left out for want of a master."""
    DAMAGED = "damaged"
    """A file cannot be read."""
    LEFT_OUT = "left-out"
    """A frame takes no part."""
    DOUBTFUL = "doubtful"
    """A product is to be used with care."""
    NOTE = "note"
    """Good to know."""


class Code(NamedTuple):
    """One message."""

    severity: Severity
    """How grave it is."""
    sentence: str
    """Its words, with ``{found}`` and ``{expected}`` where the values go."""
    meaning: str
    """What it means and what to do, for the documents."""
    need: str = ""
    """``bias``, ``dark`` or ``flat``: the master that it is about."""


ITSELF = "<subject>"
"""Stands for the name of the subject in what is found, expected or typed."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that the observer should know."""

    code: str
    """Stable word of `CODES`."""
    severity: Severity
    """How grave it is."""
    subject: tuple[str, ...] = ()
    """Frames, files, groups or products that it is about."""
    found: str = ""
    """What was found, with its unit."""
    expected: str = ""
    """What was expected, with its unit."""
    way_out: str = ""
    """What can be typed to change it: an option that works when it is pasted."""

    def __str__(self) -> str:
        """Write the sentence; its subject stands in it only where it must."""
        return f"{self.sentence} ({self.flag})" if self.way_out else self.sentence

    @property
    def sentence(self) -> str:
        """What is to be said, without the way out."""
        words = CODES[self.code].sentence.format(
            found=self.found, expected=self.expected
        )
        return self._named(words)

    @property
    def flag(self) -> str:
        """The way out, as it can be typed; empty if there is none."""
        return self._named(self.way_out)

    def _named(self, words: str) -> str:
        return words.replace(
            ITSELF, self.subject[0] if len(self.subject) == 1 else "FILE"
        )

    @property
    def need(self) -> str:
        """The master that it is about; empty if it is about none."""
        return CODES[self.code].need

    @property
    def line(self) -> str:
        """The first of its subject and what is to be said of it, as on the terminal."""
        return f"{some(self.subject)}: {self}" if self.subject else str(self)

    def about(self, *subject: str) -> Self:
        """Return the same remark about something else."""
        told = (self.code, self.severity, subject, self.found, self.expected)
        return self.__class__(*told, self.way_out)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; ``text`` is there for people."""
        return {**asdict(self), "text": str(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Rebuild a remark from its JSON form.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none, or of a code that is not known.
        """
        known = {name: fields[name] for name in cls.__dataclass_fields__}
        known["severity"] = Severity(known["severity"])
        known["subject"] = tuple(known["subject"])
        remark = cls(**known)
        CODES[remark.code]
        return remark


def typed(option: str, text: str) -> str:
    """Write an option of a way out as shells take it: filters are called r' and g', too.

    Examples
    --------
    >>> print(typed("--set", "M13*: filter=R"), typed("--set", "M13*: filter=r'"))
    --set 'M13*: filter=R' --set "M13*: filter=r'"
    """
    if "'" not in text:
        return f"{option} '{text}'"
    plain = re.sub(r'(["$`\\])', r"\\\1", text)
    return f'{option} "{plain}"'


def remark(
    code: str, *subject: str, found: str = "", expected: str = "", way_out: str = ""
) -> Remark:
    """Make a remark with the severity that its code has.

    Examples
    --------
    >>> str(remark("unread", "a.fit", found="a.fit: damaged gzip file"))
    'cannot be read: a.fit: damaged gzip file'
    """
    severity = CODES[code].severity
    return Remark(code, severity, subject, found, expected, way_out)


def some(names: Sequence[str], most: int = 3) -> str:
    """Name the first of some files, and say how many more there are.

    Examples
    --------
    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def joined(remarks: Iterable[Remark]) -> list[Remark]:
    """Join remarks that differ in their subject only.

    Returns
    -------
    list of Remark
        In the order in which each was first said; subjects in the order given.
    """
    subjects: dict[Remark, dict[str, None]] = {}
    for one in remarks:
        subjects.setdefault(one.about(), {}).update(dict.fromkeys(one.subject))
    return [one.about(*names) for one, names in subjects.items()]


_NUMBER = re.compile(r"(?<![\w./:+-])-?\d+(?:\.\d+)?(?![\w./:-])")
"""A number that is a value: no part of a name, date or time."""


def condensed(remarks: Iterable[Remark]) -> list[Remark]:
    """Join remarks that differ in their subject and in numbers only.

    Returns
    -------
    list of Remark
        In the order in which each was first said; a number that differs becomes a
        range, as in ``level 1031 to 1052 ADU``.
    """
    alike: dict[Remark, list[Remark]] = {}
    for one in joined(remarks):
        found, expected = (_NUMBER.sub("#", t) for t in (one.found, one.expected))
        alike.setdefault(
            replace(one, subject=(), found=found, expected=expected), []
        ).append(one)
    return [_spanning(members) for members in alike.values()]


def _spanning(remarks: Sequence[Remark]) -> Remark:
    """Write remarks as one, with ranges for their numbers."""
    first = remarks[0]
    subject = dict.fromkeys(name for one in remarks for name in one.subject)
    return replace(
        first,
        subject=tuple(subject),
        found=_ranges([one.found for one in remarks]),
        expected=_ranges([one.expected for one in remarks]),
    )


def _ranges(texts: Sequence[str]) -> str:
    """Write texts that differ in numbers only as one text with ranges."""
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    spans = iter([sorted(set(numbers), key=float) for numbers in columns])

    def span(_match: re.Match[str]) -> str:
        numbers = next(spans)
        return " to ".join(dict.fromkeys((numbers[0], numbers[-1])))

    return _NUMBER.sub(span, texts[0])


_S = Severity
_MASTERS = {"bias": "bias frames", "dark": "darks", "flat": "flats"}

CODES: dict[str, Code] = {
    # ------------------------------------------------------------ masters that lack
    **{
        f"no-{need}": Code(
            _S.MISSING,
            f"no {need}: {{found}}",
            f"No master {need} serves these frames, for the reason that is given: the "
            f"step is left out.  Take {frames}, or give masters of another night by "
            "`--library`.",
            need,
        )
        for need, frames in _MASTERS.items()
    },
    **{
        f"unlike-{need}": Code(
            _S.MISSING,
            f"no {need}: {{expected}} wanted, there is {{found}}",
            f"There are {frames}, but none that agrees with these frames in what is "
            "named: the step is left out.  Take some that do; if the header is wrong, "
            "`--set` says what is right.",
            need,
        )
        for need, frames in _MASTERS.items()
    },
    **{
        f"{need}-lost": Code(
            _S.DOUBTFUL,
            f"{step}: {{found}}",
            f"The plan had a master {need} for this frame, and it could not be made or "
            "read: the frame is reduced without it.  Mend what is told of that master, and "
            "run again.",
            need,
        )
        for need, step in (
            ("bias", "bias not subtracted"),
            ("dark", "dark not subtracted"),
            ("flat", "not flat-fielded"),
        )
    },
    # ------------------------------------------------------------------- products
    "failed": Code(
        _S.FAILED,
        "{found}",
        "The product could not be made, for this reason.  Mend what it names, or "
        "leave the frame out with `--exclude`, and run again."
    ),
    "internal": Code(
        _S.FAILED,
        "internal error ({found}); autoreduce.log has the details",
        "A mistake of autoreduce itself: please report it, with the log.",
    ),
    "refused": Code(
        _S.FAILED,
        "nothing was done: {found}",
        "What was asked for cannot be begun: a folder without frames, an option "
        "that makes no sense, an output folder that another run holds.  Mend what "
        "the sentence names.",
    ),
    "no-report": Code(
        _S.FAILED,
        "no report: {found}",
        "Everything else is done; the same command writes the report once it can.",
    ),
    "no-frame-left": Code(
        _S.FAILED,
        "no frame is fit for use: {found}",
        "Every frame of the combination was left out.  Each of them tells why; "
        "`--include` brings back those that are good.",
    ),
    "blocked": Code(
        _S.BLOCKED,
        "needs {found}",
        "What the product is made from could not be made.  Look at what is told of "
        "that product.",
    ),
    "without-light": Code(
        _S.DOUBTFUL,
        "without {found}, which could not be made",
        "A stack, or an exposure in one file, does without a light that could not be "
        "calibrated.  Mend what is told of that light, and run again.",
    ),
    "bias-drift": Code(
        _S.DOUBTFUL,
        "the level of the bias drifts by {found} from its first frames to its last: "
        "frames without overscan are off by up to as much",
        "The bias level is not stable; take bias frames around the lights, or use the "
        "overscan.",
    ),
    "dark-refused": Code(
        _S.DOUBTFUL,
        "dark not subtracted, its exposure is {expected}: {found}",
        "A dark of a shorter exposure is there, and its pixels do not bear being taken "
        "to a longer one.  Take darks of the frames' own exposure.",
        "dark",
    ),
    "longer-dark": Code(
        _S.DOUBTFUL,
        "the dark is taken to {expected} from {found}",
        "There are no darks as long as these frames: theirs is made from shorter ones, "
        "as if dark counts went on growing as before.  Better take darks of the frames' "
        "own exposure.",
        "dark",
    ),
    "flat-refused": Code(
        _S.DOUBTFUL,
        "not flat-fielded: without bias, dark and overscan the zero level is left in, and "
        "a flat would scale it",
        "A light that keeps its zero level is not divided by a flat.  Take bias "
        "frames, or darks of its own exposure.",
        "flat",
    ),
    "not-linear": Code(
        _S.DOUBTFUL,
        "the darks do not lie on a line within their errors ({found}): {expected}",
        "Dark counts do not grow in proportion to the exposure.  Take darks of the "
        "frames' own exposure.",
    ),
    "flat-masked": Code(
        _S.DOUBTFUL,
        "{found} of the samples differ between the frames by more than noise, as stars "
        "or clouds do, and are masked",
        "The flats are not as alike as flats are: stars, clouds, or a changing "
        "lamp.  Nothing is to be done if the master looks well; else look at the "
        "single flats.",
    ),
    "flat-unclean": Code(
        _S.DOUBTFUL,
        "in {found} of the pixels fewer than {expected} flats are free of stars: "
        "traces of them may be left, more flats help",
        "Stars stood at the same place in nearly all flats.  Move the telescope a "
        "little between flats of the sky.",
    ),
    "shutter": Code(
        _S.NOTE,
        "the shape of the flats depends on their exposure, by up to {found}, as one over "
        "it: that of the shutter is taken out of flats and lights",
        "An iris shutter exposes the centre longer than the corners.  By how much is in "
        "the table SHUTTER of the flat.",
    ),
    "shutter-unknown": Code(
        _S.DOUBTFUL,
        "the shape of the flats depends on their exposure, by up to {found}: short "
        "exposures are not flat to better than that",
        "If it is the shutter, flats of three exposures or more, the longest ten times "
        "the shortest, tell its pattern, which is then taken out; else use longer flats.",
    ),
    "flat-pattern": Code(
        _S.DOUBTFUL,
        "the flats do not show the colours where the header's pattern has them: each "
        "of its four places is brought to unit level by itself",
        "The header's Bayer pattern is not that of the pixels.  Correct it with "
        "`--set '*: bayerpat=...'`.",
    ),
    "full-at": Code(
        _S.NOTE,
        "pixels pile up at {found}, which is taken for their saturation level in place "
        "of {expected}",
        "A full well, an anti-blooming gate or a converter of fewer bits ends the range "
        "of the pixels.",
    ),
    "not-proportional": Code(
        _S.DOUBTFUL,
        "counts do not follow the light of the flats: {found}; in a recipe `[linearity]` "
        "with `polynomial = [{expected}]` makes them",
        "Flats of rising exposure in front of a steady lamp show it; the table LINEARITY "
        "of the flat has the curve, the report draws it.",
    ),
    "not-linearised": Code(
        _S.DOUBTFUL,
        "its counts are not made linear: without bias frames or an overscan nothing tells "
        "where they begin",
        "The recipe's [linearity] holds for counts above the zero level: take bias frames.",
    ),
    "no-bad-pixels": Code(
        _S.DOUBTFUL,
        "the bad pixels of {found} are not taken out: it is no image of the lights' size",
        "The map that the recipe names as light.bad_pixels is a FITS image of the size "
        "of calibrated lights, 0 where pixels are good.",
    ),
    "lights-nan": Code(
        _S.NOTE,
        "{found} calibrated lights hold pixels without a value (NaN), up to {expected} "
        "each: some programs, such as Siril, do without such lights",
        "Pixels that do not respond in the flat have no value.  `--fill` writes a number "
        "for them; the card NANFILL then tells which.",
    ),
    "negative-dark": Code(
        _S.DOUBTFUL,
        "its dark current is negative ({found} once the bias is out): the level of the "
        "bias was another one when the darks were taken",
        "Take bias frames beside the darks, at their temperature.",
        "dark",
    ),
    "unlike-darks": Code(
        _S.DOUBTFUL,
        "its frames differ by {found}, their dark current is {expected}: temperature, "
        "exposure or light was not the same in all of them",
        "The mean of darks that are not alike serves none of the lights.  `frames.csv` "
        "tells their levels; `--exclude` leaves the wrong ones out.",
    ),
    "flat-full": Code(
        _S.DOUBTFUL,
        "from {found} the pixels of its flats have far less noise than their light brings: "
        "they are full, and the flat is too faint there",
        "Wells end below the range of the converter, and not all at one level.  Take "
        "flats at half of that level; the way out tells it, and leaves out flats of which "
        "too much is full.",
    ),
    "unlike-flats": Code(
        _S.DOUBTFUL,
        "{expected} flats are lit otherwise than the others, by {found} (rms), and alike "
        "among themselves: a mean of both is right for no light",
        "The camera was turned, dust moved, or the filter or lamp was another one between "
        "two runs of flats.  The way out does without one of them; which is that of the "
        "lights you know.",
    ),
    "negative-sky": Code(
        _S.DOUBTFUL,
        "the calibrated sky is {found}, its noise {expected}: bias or dark is too high "
        "for this light",
        "The bias level moved, or the dark is warmer or longer than the light, or "
        "lit.  Take bias frames and darks beside the lights, with their settings.",
    ),
    "hot-misfit": Code(
        _S.DOUBTFUL,
        "pixels that are hot in the dark have {found} of that in the light: the dark is "
        "of another temperature, exposure or gain than the headers say",
        "Hot pixels of dark and light are in proportion to their dark currents.  "
        "Below 1 the dark takes out too much, above too little.  Take darks at the "
        "temperature, exposure, gain and readout mode of the lights.",
        "dark",
    ),
    "hot-absent": Code(
        _S.DOUBTFUL,
        "pixels that are hot in the dark are not hot in the light, where they have "
        "{found} of that: a dark is taken out of it already, or it shows another sensor, "
        "or another part of it",
        "Cameras with noise reduction, and programs, take a dark out of the light and say "
        "so in no card; two cameras of one model have one name.  The way out goes without "
        "the dark.",
        "dark",
    ),
    "dark-shifted": Code(
        _S.DOUBTFUL,
        "pixels that are hot in the dark have {found} of that in the light, and are hot "
        "there {expected} away: light and masters show different parts of the sensor",
        "A window that no card tells, or pixels that a transfer has lost: neither dark "
        "nor flat lies on the light, nor do its colours lie where the header says.  "
        "`--exclude` leaves a single light out; else take masters with the window of the "
        "lights.",
    ),
    "glow-misfit": Code(
        _S.DOUBTFUL,
        "the calibrated sky is uneven by {found}, in the shape of the dark: the light has "
        "{expected} as it is taken out",
        "Amplifiers glow, and not in proportion to the exposure.  Take darks of the "
        "exposure and temperature of the lights, which then are not scaled.",
        "dark",
    ),
    "dark-turned": Code(
        _S.DOUBTFUL,
        "pixels that are hot in the dark have {found} of that in the light, and are hot "
        "there once {expected} are turned: light and dark were stored in another order",
        "One program stores the rows of a sensor from the top and another from the "
        "bottom, and no card says so, or the card is wrong.  The way out turns the rows "
        "of the lights to those of the masters.",
        "dark",
    ),
    "uneven-flat": Code(
        _S.DOUBTFUL,
        "with the flat the light's sky is uneven by {found}, without it by {expected}",
        "A flat of another camera, rotation or order of rows, or one that the "
        "shutter or the lamp has shaded; or the sky itself is uneven just as the "
        "flat is.  Take flats again as the lights were taken; `--exclude` does "
        "without these.",
        "flat",
    ),
    "flat-shadows": Code(
        _S.DOUBTFUL,
        "the flat has shadows, of up to {found}, that the light has not: it is too bright "
        "there",
        "Dust moved between flats and lights, dew dried off, or the camera was turned or "
        "focused otherwise.  Take flats again as the lights were taken; those of a nearer "
        "night are better.",
    ),
    "other-flat": Code(
        _S.DOUBTFUL,
        "with the flat the lights' sky is uneven by {found}, by {expected}: the filter or "
        "the night of the flats is not what the headers say, or the camera was turned "
        "between them",
        "Two filters whose names were swapped, flats of another telescope, or those of "
        "the nearer night from before the camera was turned.  The way out takes the flat "
        "that suits the lights; look at the picture of the stack, for a nebula may fill "
        "the field just as the flat does.",
        "flat",
    ),
    "flat-turned": Code(
        _S.DOUBTFUL,
        "with the flat the light's sky is uneven by {found}, by {expected} turned: light "
        "and flat were stored in another order, or the camera was turned between them",
        "One program stores the rows of a sensor from the top and another from the "
        "bottom, and no card says so: `--set 'FLATS: turned=yes'` turns the rows of the "
        "flats.  A camera that was turned by half a turn needs flats of its own; the way "
        "out goes without a flat.",
        "flat",
    ),
    "noisy-dark": Code(
        _S.DOUBTFUL,
        "with the dark the light's noise is {found}, without it {expected}",
        "The dark brings more noise than it takes out: take more darks, or go without.",
        "dark",
    ),
    "uneven-dark": Code(
        _S.DOUBTFUL,
        "with the dark the light's sky is uneven by {found}, without it by {expected}",
        "The dark brings structure into the light: it was lit in a part, or glows "
        "otherwise than the light.  Take darks again, in the dark; `--exclude` does "
        "without these.",
        "dark",
    ),
    "uneven-bias": Code(
        _S.DOUBTFUL,
        "with the structure of the bias the light's sky is uneven by {found}, without it "
        "by {expected}",
        "The bias frames were lit in a part, or read by other amplifiers or in another "
        "mode than the light.  Take bias frames again, as the lights were taken, and darks "
        "of the lights' exposure.",
    ),
    "light-in-dark": Code(
        _S.DOUBTFUL,
        "the dark has {found} in the shape of the flat, which dark current has not: it "
        "has seen light, and the sky is too faint by as much",
        "Light came through the optics while the darks were taken: vignetting and dust "
        "show in them.  Take darks again, with the telescope covered.",
        "dark",
    ),
    "level-left": Code(
        _S.DOUBTFUL,
        "with the flat the light's sky is uneven by {found}, by {expected}: light and "
        "bias or dark were taken with unlike offsets, or the flat holds stray light",
        "A level that bias and dark do not take out is divided by the flat, and bright "
        "where the flat is faint.  Take bias frames and darks with the settings of the "
        "lights; the way out takes the level that makes the sky even out of the lights.",
    ),
    "pedestal-not-added": Code(
        _S.DOUBTFUL,
        "with the pedestal of its card PEDESTAL taken out the light's sky is uneven by "
        "{found}, by {expected} with it left in: nobody had added it",
        "What is taken out and was not there leaves the inverse of the flat.  The way out "
        "takes the card for wrong.",
    ),
    "dead-amplifier": Code(
        _S.DOUBTFUL,
        "no pixels where a dead amplifier has read: {found}",
        "All pixels of the amplifier have one value: they are NaN in the product, "
        "and marked in MASK.  The others are right.  Nothing is to be done here; "
        "look at the camera.",
    ),
    "amplifiers-measured": Code(
        _S.NOTE,
        "gains of the amplifiers relative to one another, from their seams: {found}",
        "No card tells the gain of each amplifier.  Light is alike on both sides of the "
        "seam between two of them: the step there is the ratio of their gains.",
    ),
    "amplifiers-kept": Code(
        _S.NOTE,
        "gains of the amplifiers are those that flats of the library were made with: "
        "{found}",
        "A flat serves only frames whose amplifiers were joined as its own were.",
    ),
    "amplifiers-overruled": Code(
        _S.NOTE,
        "gains {expected} of the amplifiers leave steps at their seams: used are {found}",
        "Light is alike on both sides of the seam between two amplifiers, and these "
        "steps are measured better than gains are told.  Their mean is as it is told; "
        "`measure = false` under `[amplifiers]` of a recipe takes them all as told.",
    ),
    "no-uncert": Code(
        _S.DOUBTFUL,
        "no UNCERT: {found}",
        "Errors cannot be computed without the gain and the read noise.  Give them: "
        "`--set '*: egain=1.5, rdnoise=8'`.",
    ),
    "cosmics-cost": Code(
        _S.NOTE,
        "looking for cosmic rays in {found} takes about {expected} of a core",
        "`--cosmics`, or `[light] cosmics` of the recipe, asks for it.",
    ),
    "no-cosmics": Code(
        _S.NOTE,
        "cosmic rays are not looked for in {found} lights of colour mosaics",
        "Each pixel of a mosaic is an edge; stacks leave cosmic rays out.",
    ),
    "no-solver": Code(
        _S.DOUBTFUL,
        "no coordinates: --solve needs solve-field of astrometry.net or ASTAP, and neither "
        "is installed ({found})",
        "The Tycho-2 index files serve fields of 22 arcminutes and more; smaller ones "
        "need those of the Gaia catalogue.  ASTAP's databases are on its own site.",
    ),
    "not-solved": Code(
        _S.DOUBTFUL,
        "no coordinates: the stars of {found} were not found in the sky",
        "Too few stars, or no index files (astrometry.net) or star database (ASTAP) for a "
        "field of this size.  Install those for smaller fields, or look at the stars of "
        "that light.",
    ),
    "no-electrons": Code(
        _S.DOUBTFUL,
        "in ADU, not in electrons: the gain is unknown",
        "`--electrons` needs the gain: of a header, of flats, or of the observer, as in "
        "`--set '*: egain=1.5'`.",
    ),
    "gain-overruled": Code(
        _S.DOUBTFUL,
        "the header's gain of {found} is not used: pairs of flats tell {expected}",
        "They differ by more than 5 errors and 10 %.  Where the camera averages the pixels "
        "that it bins, or its header is that of another mode, the flats are right; the "
        "option takes the header's.",
    ),
    "gain-disagrees": Code(
        _S.DOUBTFUL,
        "gain {found} as you say, but {expected} from pairs of flats",
        "The gain that the observer gave is used; errors of all pixels go by it.  "
        "Leave it out of `--set` to use that of the flats.",
    ),
    "read-noise-overruled": Code(
        _S.DOUBTFUL,
        "the header's read noise of {found} is not used: bias frames and flats tell "
        "{expected}",
        "They differ by more than 5 errors and 10 %; the option takes the header's.",
    ),
    "read-noise-disagrees": Code(
        _S.DOUBTFUL,
        "read noise {found} as you say, but {expected} from bias frames and flats",
        "The read noise that the observer gave is used; errors of all pixels go by "
        "it.  Leave it out of `--set` to use the measured one.",
    ),
    "not-in-curve": Code(
        _S.LEFT_OUT,
        "without a place, not in the light curve {found}",
        "A light that was not registered tells no flux of the field's stars.  "
        "`why_not` in `lights.csv` tells why it was not registered.",
    ),
    "no-curve": Code(
        _S.DOUBTFUL,
        "no curve: no two lights show the target and another star to compare it with",
        "Stars that are blended or saturated, or that one light in ten does not show, are "
        "compared with nothing.  Narrower circles, `--radius`, may part blended ones.",
    ),
    "target-unmeasured": Code(
        _S.DOUBTFUL,
        "the target is not measured in {found} lights: its circle holds full pixels or "
        "some without a value, or leaves the light",
        "The curve has no point there.  A star that saturates has no curve worth looking "
        "at: `--target` names another one.  Narrower circles, `--radius`, may help.",
    ),
    "curves-outdated": Code(
        _S.DOUBTFUL,
        "taken from lights that were made again since: out of date",
        "A run makes no light curves.  Lights, or where they lie on one another, are not "
        "those any more that this curve was taken from.",
    ),
    "no-photon-limit": Code(
        _S.DOUBTFUL,
        "errors of the light curve without the stars' own photons: no gain is known",
        "Errors and the photon limit hold sky and read noise alone; give the gain and "
        "reduce the night again.",
    ),
    "not-as-written": Code(
        _S.NOTE,
        "did not hold what had been written there, and was made again; what lay there "
        "is now {found}",
        "A product was damaged, or changed by hand, since it was made.  A master of "
        "your own is used from a library, or by `--set`.",
    ),
    "frames-edited": Code(
        _S.NOTE,
        "was edited since it was written, and this run did not use it: the edit is "
        "kept as {found}",
        "The frame table is yours to edit; a run takes it with `--frames`, and writes "
        "it anew.",
    ),
    "not-in-table": Code(
        _S.NOTE,
        "not listed in {found}, and used as the headers say",
        "The frame came after the table was written, or its row was deleted.  To leave a "
        "frame out set `use` to `False` in its row, or name it with `--exclude`.",
    ),
    "log-cut": Code(
        _S.DOUBTFUL,
        "is not complete: {found}",
        "The disk did not take all of the log; products are not concerned.  Make "
        "room on the disk.",
    ),
    "stale": Code(
        _S.NOTE,
        "no longer part of the plan, and moved to {expected}: {found}",
        "Products of earlier runs that today's plan does not make lie among the "
        "products no more.  Delete them, or keep them.",
    ),
    "stale-most": Code(
        _S.NOTE,
        "most products are no longer part of the plan, such as {found}: is a disk not "
        "mounted, or the night half copied?  They stay where they are",
        "More than half of the products of earlier runs would be moved away: nothing "
        "is, unless you say so.",
    ),
    # ----------------------------------------------------- what `verify` finds
    "interrupted": Code(
        _S.DOUBTFUL,
        "a run is under way here, or did not end: {found}; run it again",
        "What a run wrote before it was interrupted is not complete.  Run the same "
        "command again.",
    ),
    "no-ledger": Code(
        _S.DAMAGED,
        "what was written is not known: {found}; run the reduction again",
        "`ledger.json` is missing or damaged: only files with checksums can be "
        "read.  The same run again writes it anew.",
    ),
    "lost": Code(_S.DAMAGED, "is not there", "A file that a run wrote is gone.  The same run again makes it."),
    "changed": Code(
        _S.DAMAGED,
        "is not as it was written: {found}",
        "A file was damaged, or changed by hand.  The same run again keeps what "
        "lies there in `left_over/` and makes the product anew.",
    ),
    "input-changed": Code(
        _S.DAMAGED,
        "an input that is not as it was read: {found}",
        "A raw frame or a master of a library was damaged, or changed by hand.  "
        "Copy it from where it came from; or run again, if the change is meant.",
    ),
    # --------------------------------------------------------------- frames left out
    "unread": Code(
        _S.DAMAGED,
        "cannot be read: {found}",
        "The frame's pixels cannot be read.  Copy the file again from the camera."
    ),
    "unreadable": Code(
        _S.DAMAGED,
        "{found}",
        "The file is no FITS image, or damaged: it is not in the frame table.  Copy "
        "it again from the camera, or convert it to FITS.",
    ),
    "left-out": Code(
        _S.LEFT_OUT,
        "{found}",
        "The frame takes no part, for the reason in the table.  `--include` brings "
        "it back."
    ),
    "not-stacked": Code(
        _S.LEFT_OUT,
        "not stacked, {found}",
        "The light is calibrated, and its stack does without it.  `--include` "
        "stacks it in spite of that, if it has a place.",
    ),
    "own-product": Code(
        _S.LEFT_OUT,
        "made by autoreduce ({found})",
        "Our own output given as input.  Nothing is to be done; give another folder "
        "with `-o` to keep products apart from the night."
    ),
    "no-exposure": Code(
        _S.LEFT_OUT,
        "extension {found} is no exposure",
        "Masks, errors, weights and thumbnails in extensions are no frames.  "
        "Nothing is to be done.",
    ),
    "unplaced": Code(
        _S.LEFT_OUT,
        "no card such as DETSEC tells where extension {found} lies, as it does of others",
        "An image of the same file that is no part of the detector, or an amplifier "
        "whose card is missing: then the detector lacks it.",
    ),
    "several-images": Code(
        _S.LEFT_OUT,
        "holds {found} images that cannot be put together: {expected}",
        "Amplifiers have their own level and gain and show their own part of the "
        "sky: they are never combined with one another.  If they are amplifiers, a "
        "table of `[[amplifiers]]` in a dialect tells how they lie.",
    ),
    "amplifier-missing": Code(
        _S.LEFT_OUT,
        "{found} was read, where there is {expected}: an amplifier is missing",
        "The camera's other frames show more of the detector.  Without the file's lost "
        "extension, or the cards of an amplifier, what is left looks like a smaller "
        "camera: no master would fit it.  The way out takes it for one.",
    ),
    "several-strips": Code(
        _S.LEFT_OUT,
        "several amplifiers have read the image ({found}), and which pixels each has "
        "read is not told",
        "Each amplifier has its own level: one overscan would leave a step between the "
        "parts.  The way out reduces the frame without overscan.",
    ),
    "calibrated": Code(
        _S.LEFT_OUT,
        "calibrated already ({found})",
        "A card says that the frame is no raw one.  Give the raw frame; if it is "
        "raw, `--include` brings it back.",
    ),
    "several-exposures": Code(
        _S.LEFT_OUT,
        "made of {found} exposures ({expected})",
        "A card says that the frame is a stack.  Give the frames that it is made "
        "of; `--include` takes it as it is.",
    ),
    "cube": Code(
        _S.LEFT_OUT,
        "a cube of {found} pixels, not one exposure; combine its planes first",
        "The image has three axes.  `autoreduce combine --reduce-cubes` makes one "
        "image of the planes.",
    ),
    "three-planes": Code(
        _S.LEFT_OUT,
        "{found} pixels: a colour image of three planes, not the raw mosaic, or three "
        "exposures",
        "Capture programs in a mode called RGB, converters of photographs and programs that "
        "stack write red, green and blue beside one another.  Two of the three values of a "
        "pixel are made from its neighbours then, and bias, dark and flat no longer fit: "
        "capture in a raw mode (RAW8, RAW16), or convert the camera's raw files without "
        "debayering.  Of three exposures `autoreduce combine --reduce-cubes` makes one.",
    ),
    "too-large": Code(
        _S.LEFT_OUT,
        "{found} pixels take {expected} are allowed",
        "Its header declares more pixels than fit into the memory: a damaged "
        "header, a packed file that is nearly empty, or really a large frame.  If "
        "it is really so large, allow more with `--memory`.",
    ),
    "untyped": Code(
        _S.LEFT_OUT,
        "type unknown: {found}",
        "Neither header nor name nor pixels say what the frame is.  `--set "
        "'PATTERN: imagetyp=light'` says it.",
    ),
    "typed-other": Code(
        _S.LEFT_OUT,
        "type other, not for imaging ({found})",
        "Focus frames, arcs, tests.  `--set 'PATTERN: imagetyp=light'` takes it as "
        "a light.",
    ),
    "typed-master": Code(
        _S.LEFT_OUT,
        "type master, not a raw frame ({found}); masters are used from a library: "
        "autoreduce library add, --library",
        "A master of another program among the night's frames.",
    ),
    "typed-by-hand": Code(
        _S.LEFT_OUT,
        "type {found} by hand",
        "The observer gave the frame this type.  Nothing is to be done."
    ),
    "copy": Code(
        _S.LEFT_OUT,
        "byte for byte the same as {found}",
        "A frame that is there twice counts once.  Nothing is to be done.",
    ),
    "twin": Code(
        _S.LEFT_OUT,
        "calibrated already: the same exposure as {found}",
        "Another program's version of a raw frame that is there.  Nothing is to be "
        "done; to use it instead, `--exclude` the raw frame and `--include` this "
        "one.",
    ),
    "excluded": Code(
        _S.LEFT_OUT,
        "excluded by hand",
        "The observer left the frame out.  Nothing is to be done."
    ),
    "included": Code(
        _S.NOTE,
        "included by hand",
        "The observer asked for the frame."
    ),
    "kept": Code(
        _S.NOTE,
        "used in spite of this: {found}",
        "The observer asked for a frame that would have been left out.",
    ),
    "no-data": Code(
        _S.LEFT_OUT,
        "no data: {found}",
        "No pixel of the frame tells anything.  Nothing can be made of it; copy it "
        "again if it should have light."
    ),
    "saturated": Code(
        _S.LEFT_OUT,
        "{found} of the pixels are saturated, at most {expected} may be",
        "A flat that is too bright.  Take flats at half of the range of the camera.",
    ),
    "white": Code(
        _S.LEFT_OUT,
        "white: level {found}, and pixels are full at {expected}",
        "A dark or bias frame that is full all over, whatever its fellows are like.  "
        "Take it again with the shutter closed.",
    ),
    "wrapped": Code(
        _S.LEFT_OUT,
        "counts wrapped around: they reach {found}; signed numbers end at {expected}",
        "A program wrote unsigned counts as signed ones: what was above 32767 is "
        "negative now.  Save the frame again as unsigned numbers (BZERO = 32768), "
        "from where it came from.",
    ),
    "all-wrapped": Code(
        _S.LEFT_OUT,
        "all counts wrapped around: level {found}; signed numbers end at {expected}",
        "A program wrote unsigned counts as signed ones, and all of them were above 32767.  "
        "The way out adds 65536 to each pixel.",
    ),
    "bytes-swapped": Code(
        _S.LEFT_OUT,
        "the bytes of its pixels are swapped: their noise is {found}, in the other order "
        "{expected}",
        "FITS has the high byte first, and a program wrote it last, as processors have it: "
        "the pixels look like snow.  Write the frame again with its bytes swapped.",
    ),
    "shifted": Code(
        _S.LEFT_OUT,
        "counts below zero: level {found}; unsigned ones are written as signed ones, up to "
        "{expected}, without the BZERO = 32768 that says so",
        "Bias and dark frames are no light that went past 32767: a program left the card "
        "BZERO out, or dropped it.  The way out adds 32768 to each pixel.",
    ),
    "above-lights": Code(
        _S.LEFT_OUT,
        "level {found}, above that of the lights, {expected}: lit, or counted "
        "otherwise, or bias is taken out of the lights already",
        "A dark or bias frame is never brighter than a light of its exposure.  Take "
        "it again in the dark; if it is right, `--include` brings it back.  If all bias "
        "frames and darks are told, it is the lights: give them as the camera wrote them.",
    ),
    "starry": Code(
        _S.LEFT_OUT,
        "stars in it, {found}: a light, or taken with an open telescope",
        "A dark or bias frame sees no sky: the type was not set back after the darks, or "
        "the cover was not on.  The way out makes lights of frames that are lights; else "
        "take them again, covered.  Darks of a sensor that has such peaks of its own are "
        "taken with `--include`.",
    ),
    "closed-flat": Code(
        _S.LEFT_OUT,
        "no light: level {found}, other flats of the exposure have {expected}: a dark for "
        "flats, as it seems",
        "Programs that know no darks for flats call them flats.  The way out makes darks of "
        "them; if they are flats without light, nothing is to be done.",
    ),
    "below-bias": Code(
        _S.LEFT_OUT,
        "level {found}, below that of a closed shutter, {expected}: bias or dark is "
        "taken out already, or it is counted otherwise",
        "No raw frame lies below the bias frames of its camera and setting.  Give "
        "frames as the camera wrote them; if bias was taken out of all darks, leave "
        "the bias frames out.",
    ),
    "lit-dark": Code(
        _S.LEFT_OUT,
        "lit: level {found}, {expected} by the darks of other exposures",
        "A dark with many times the dark current of the others has seen light.  "
        "Take it again in the dark; if it is right, `--include` brings it back.",
    ),
    "offset-dark": Code(
        _S.LEFT_OUT,
        "{found} above the bias with the noise of {expected}: taken with another "
        "offset, or lit",
        "Dark current comes with noise; a level without it is another offset setting "
        "that no card tells.  If it is the bias frames that are off, exclude them and "
        "include the darks.",
    ),
    "offset-bias": Code(
        _S.LEFT_OUT,
        "level {found}, and by their noise darks and lights begin at {expected}: "
        "taken with another offset",
        "Light and dark current come with noise; what is left without it is the "
        "level of the closed shutter.  Take bias frames with the settings of the "
        "lights.",
    ),
    "cut-off": Code(
        _S.LEFT_OUT,
        "no data in {found} of the rows: they have one value, far off the others",
        "A download that broke off, or a file that was not written to its end; other "
        "frames of the camera have data there.  Copy it again from the camera; "
        "`--include` takes it as it is.",
    ),
    "half-dark": Code(
        _S.LEFT_OUT,
        "no dark current in {found} of the pixels, where other darks have {expected}",
        "A dark that was not read out, or not exposed, in a part of it.  Take it "
        "again.",
    ),
    "counts-differ": Code(
        _S.DOUBTFUL,
        "frames of one camera do not count alike, nothing is rescaled by guess and "
        "bias and darks serve their like only: {found}",
        "Levels in other steps or units, or from another zero, cannot be subtracted "
        "from each other.  The way out takes them for alike, if they are in truth, or "
        "takes out what BZERO added to floats.  Frames that a program scaled to 0 to 1, "
        "or cut to 8 bits, are to be saved again as the camera counts.",
    ),
    "counts-by-hand": Code(
        _S.DOUBTFUL,
        "frames of one camera are taken for alike by hand, though they do not count "
        "alike: {found}",
        "`--set '*: counts=alike'` was given.  Nothing is to be done if it is so.",
    ),
    "unlike-rates": Code(
        _S.DOUBTFUL,
        "dark current {found}, in the darks of the other exposure {expected}: these have "
        "seen light, or the others were not exposed",
        "Dark current does not depend on the exposure, and levels do not tell which of "
        "two is wrong.  Take darks again, in the dark; the way out does without those "
        "with the larger one.",
    ),
    "overscan-lit": Code(
        _S.DOUBTFUL,
        "the overscan that the header tells has levels of {found} where the image has "
        "{expected}: it sees light, and is not used",
        "The camera read a window of the sensor, or the section is that of another "
        "mode: what BIASSEC names is a part of the image.  A dialect tells the true "
        "one.",
    ),
    "same-pixels": Code(
        _S.LEFT_OUT,
        "pixel for pixel the same as {found}",
        "A frame that was saved again with other cards counts once.  Nothing is to "
        "be done.",
    ),
    "saturation-disproved": Code(
        _S.DOUBTFUL,
        "pixels reach {found}, so that the card that says they end at {expected} is wrong "
        "and not used",
        "SATURATE, MAXADU and the like, or DATAMAX where none of them is there.  The way "
        "out says that pixels are full at the end of their range; a lower level that is "
        "known is given in the same way.",
    ),
    "unlit": Code(
        _S.LEFT_OUT,
        "no light: level {found}, within its noise of the {expected} of bias",
        "A flat without light.  Take it again, brighter.",
    ),
    "too-dark": Code(
        _S.LEFT_OUT,
        "no light: level {found} once bias and dark are out",
        "A flat without light.  Take it again, brighter.",
    ),
    "odd-level": Code(
        _S.LEFT_OUT,
        "level {found}, the other {expected}",
        "The frame's level is far from that of the frames that it belongs with.  "
        "Look at it with `autoreduce show`; `--include` brings it back.",
    ),
    "odd-noise": Code(
        _S.LEFT_OUT,
        "noise {found}, the other {expected}",
        "The frame's noise is far from that of the frames that it belongs with.  "
        "Look at it with `autoreduce show`; `--include` brings it back.",
    ),
    "odd-pattern": Code(
        _S.LEFT_OUT,
        "a part is {found} off the others' pattern, at most {expected} would pass",
        "Light or interference in a part of a dark or bias frame.  Look at it with "
        "`autoreduce show`; `--include` brings it back.",
    ),
    "dim-flat": Code(
        _S.LEFT_OUT,
        "too little light: noise {found}, {expected}",
        "A flat with far more relative noise than the others.  Take longer flats; "
        "`--include` brings it back.",
    ),
    "full-flat": Code(
        _S.LEFT_OUT,
        "too little noise for a flat that is not saturated: {found}, {expected}",
        "A flat with far less relative noise than the others: it is full.  Take "
        "shorter flats.",
    ),
    "odd-shape": Code(
        _S.LEFT_OUT,
        "lit otherwise than the other flats: by {found} (rms), at most {expected} "
        "would pass",
        "A cloud, another lamp, or the dome in a flat.  Look at it with `autoreduce "
        "show`; `--include` brings it back.",
    ),
    "no-light": Code(
        _S.LEFT_OUT,
        "no light: sky {found} and hardly a star, the stack's other lights have a sky of "
        "{expected}",
        "The lens cap was on, shutter or dome were closed, or it is a dark: nothing shines "
        "in the light, which is calibrated and not stacked.  `--include` stacks it in "
        "spite of that; `--set 'FILE: imagetyp=dark'` makes it a dark.",
    ),
    "lit": Code(
        _S.LEFT_OUT,
        "lit: sky {found}, {expected} in the stack's median light",
        "The light is far brighter than its stack: it is calibrated and not "
        "stacked.  `--include` stacks it in spite of that.",
    ),
    "trailed": Code(
        _S.LEFT_OUT,
        "trailed: sources {found} times as long as wide, {expected} times in the "
        "stack's median light",
        "The telescope moved: the light is calibrated and not stacked.  `--include` "
        "stacks it in spite of that.",
    ),
    "out-of-focus": Code(
        _S.LEFT_OUT,
        "out of focus: stars {found} wide, {expected} in the stack's median light",
        "The light is calibrated and not stacked.  `--include` stacks it in spite "
        "of that.",
    ),
    "faint": Code(
        _S.LEFT_OUT,
        "clouded out: bright stars have {found} of the flux that they have in the "
        "stack's median light",
        "Clouds: the light is calibrated and not stacked.  `--include` stacks it in "
        "spite of that.",
    ),
    "few-stars": Code(
        _S.LEFT_OUT,
        "clouded out or not guided: stars seen: {found}, {expected} in the stack's median "
        "light",
        "The light is calibrated and not stacked.  `--include` stacks it in spite "
        "of that.",
    ),
    # ------------------------------------------------------------- lights on one another
    "no-place": Code(
        _S.LEFT_OUT,
        "{found} stars, which fit those of no other light of {expected}",
        "The light shows another field, or its stars are trailed or lost in clouds: "
        "it is calibrated and not stacked.  `--reference` names another light to "
        "lay it on; `--align wcs` takes coordinates.",
    ),
    "no-stars-to-place": Code(
        _S.LEFT_OUT,
        "too few stars ({found}) to tell the place, and no clear shift from the "
        "reference",
        "Neither its stars nor the whole image tell where the light lies: it is "
        "calibrated and not stacked.  `--align wcs` takes coordinates, if the "
        "header has them.",
    ),
    "drawn-out": Code(
        _S.LEFT_OUT,
        "light drawn out along rows or columns, as that of spectra or of glowing "
        "edges is",
        "A light with few stars whose light is one long thin object is taken for a "
        "spectrum: it is calibrated and not stacked.  If it is an image, `--align none` "
        "stacks it, pixel on pixel.",
    ),
    "no-coordinates": Code(
        _S.LEFT_OUT,
        "no coordinates in the header to align by ({found})",
        "Alignment by WCS was asked for; plate-solve the lights, or leave `--align wcs` "
        "out.",
    ),
    "alone": Code(
        _S.LEFT_OUT,
        "the only one of {found} in its field",
        "A stack needs two lights that show the same field.  Nothing is to be done.",
    ),
    "other-field": Code(
        _S.NOTE,
        "stars of {found} do not fit those of the reference: their stack is {expected}",
        "Panels of a mosaic, or two targets under one OBJECT: each field has a stack.",
    ),
    "other-scale": Code(
        _S.NOTE,
        "{found} show the stars of the reference: another focal length or binning, which no "
        "card tells; their stack is {expected}",
        "A reducer or a Barlow lens was put in, or a program binned or resized some of the "
        "lights.  Each scale has a stack; flats of one are none for the other.",
    ),
    "nothing-fits": Code(
        _S.FAILED,
        "no stack: {found}",
        "No two of its lights could be laid on one another, and a mean of lights "
        "that are not aligned is worth nothing.  `--align wcs` takes the "
        "coordinates of plate-solved lights, `--align none` lays pixel on pixel.",
    ),
    "flux-by-exposure": Code(
        _S.DOUBTFUL,
        "{found} scaled by exposure alone: fewer than {expected} stars are common with "
        "the reference",
        "Clouds and airmass are not taken out of these lights.  Nothing is to be "
        "done; `--exclude` leaves cloudy lights out.",
    ),
    "flux-uncertain": Code(
        _S.DOUBTFUL,
        "the flux scale is uncertain: {found} (1 sigma), as the stars in common disagree",
        "Few stars, clouds that cross the field, or variable stars: the light's "
        "scale in the stack is off by about as much.  `--exclude` leaves it out.",
    ),
    "many-rejected": Code(
        _S.DOUBTFUL,
        "far more samples are rejected than noise explains: {found}",
        "Something differs between the lights: hot pixels without a dark, bright "
        "satellites, clouds, trailed stars, a gain that is not true, a sky that is "
        "no plane, or a light that lies at the wrong place.  `INPUTS` in the stack tells "
        "how many of each light.  `--exclude` leaves a light out.",
    ),
    "sky-slopes": Code(
        _S.NOTE,
        "the sky of {found} slopes otherwise than that of the reference, which is taken "
        "out by a plane",
        "The Moon or a lamp lights the sky from one side, and the field turns or the Moon "
        "moves: with the planes, samples that would have been rejected are not.  The plane "
        "is that of what the lights differ by, so nebulae stay; the sky of the stack slopes "
        "as that of the reference does.  Nothing is to be done.",
    ),
    "by-image": Code(
        _S.NOTE,
        "{found} placed by the whole image, for want of stars",
        "The light was shifted to where its image agrees with the reference; it is not "
        "turned.",
    ),
    "mostly-outside": Code(
        _S.NOTE,
        "{found} show more beside the field of the reference than of it: the stack ends "
        "where that field does",
        "Panels of a mosaic that overlap, or lights that drifted far.  `area = \"all\"` "
        "of `[stack]` in a recipe shows all that they do.",
    ),
    "long-stars": Code(
        _S.DOUBTFUL,
        "stars are {expected} times as long as wide in {found}: the telescope moved, or "
        "its optics are out of line",
        "They are no worse than the median of the stack's lights, or nobody could say "
        "which are right, so they are stacked.  `--exclude` leaves them out.",
    ),
    "double-stars": Code(
        _S.DOUBTFUL,
        "each star is there twice, {expected} pixels apart, in {found}: the telescope moved "
        "at once while it was exposed",
        "A jump of the mount or of guiding, wind, or a mirror that slipped.  Such lights give "
        "no reference where others are there; the stack leaves second images out where most "
        "lights do not have them.  `--exclude` leaves these lights out.",
    ),
    "sharp-stars": Code(
        _S.DOUBTFUL,
        "stars are {found} pixels wide: below {expected} they are hardly told from hot pixels, "
        "few are found, and the brightest lose some of their light",
        "The pixels are too large for the image, as those of wide-angle lenses.  A little out "
        "of focus is better; places and fluxes are from fewer stars than there are.",
    ),
    "unlike-widths": Code(
        _S.NOTE,
        "stars are {expected} pixels wide: twice as wide as in the sharpest light, and more, in "
        "{found}",
        "Focus drifted, or seeing changed.  Fluxes of the stack are right, its stars as wide as "
        "those of its lights together.  `--exclude` of the wide ones makes it sharper.",
    ),
    "bent-field": Code(
        _S.DOUBTFUL,
        "stars in common lie up to {expected} pixels (rms) from one another in {found}: the "
        "optics bend the field, and stars of the stack are wide or lose light towards its edges",
        "Lights are laid on one another by a shift, a turn and a scale.  With wide-angle lenses "
        "no such fits all of the field once it has moved far or turned.  Smaller dithers, or "
        "`--exclude` of the lights that lie far from the others, make it better.",
    ),
    "nothing-moves": Code(
        _S.DOUBTFUL,
        "{found} placed where the reference lies, as nothing moves: the sensor's pattern "
        "may be all that they share",
        "Few stars, or none, stand at the same place in all lights, to a tenth of a "
        "pixel.  So they do where the telescope was guided without dithering; so do hot "
        "pixels, columns and glow, behind clouds.  The picture of the stack tells.",
    ),
    "sky-moves": Code(
        _S.DOUBTFUL,
        "{found} placed by up to {expected} stars that stand still while something moves "
        "in the images: if those are hot pixels, the stars of the stack are doubled",
        "An asteroid or comet moves among the stars of a guided series; stars move among "
        "hot pixels.  The picture of the stack tells.  Darks, or dithers larger than the "
        "stars, leave no doubt.",
    ),
    "moving-target": Code(
        _S.DOUBTFUL,
        "{expected} moves among the stars, {found}: stars lie on one another in this stack, "
        "and what moves among them is smeared, or rejected",
        "OBJECT names a comet or minor planet, as the Minor Planet Center does.  The way out "
        "is told where the telescope followed it: lights that lie pixel on pixel then show "
        "it sharp, and the stars as trails.  Else a program that lays lights on the moving "
        "body, such as Siril, takes the calibrated lights.",
    ),
    "gain-from-sky": Code(
        _S.NOTE,
        "gain taken from the noise of the sky: {found} electron/adu at least",
        "The header names no gain and there are no pairs of flats to measure it from.",
    ),
    "not-aligned": Code(
        _S.NOTE,
        "NOT ALIGNED: the lights lie pixel on pixel, as {found}",
        "Stars that moved between the lights stand there several times.",
    ),
    "no-stacks": Code(
        _S.NOTE,
        "no stacks are made, as asked",
        "`--no-stack` was given."
    ),
    "align-none": Code(
        _S.NOTE,
        "stacks are NOT ALIGNED, as recipe {found} asks",
        "Stars that moved between the lights stand there several times.",
    ),
    "spectra": Code(
        _S.NOTE,
        "spectra are calibrated and not stacked: {found}",
        "A grating is in the beam, or rows and columns are binned unlike, as behind a "
        "slit: a spectrum is no picture of stars.",
    ),
    "focus-run": Code(
        _S.FAILED,
        "no stack: a focus run ({found}; widths {expected})",
        "The focuser went through many positions and the stars' widths with it.  "
        "Nothing is to be done; if it is none, `--align none` stacks it.",
    ),
    "mosaics": Code(
        _S.NOTE,
        "mosaics whose colours are not red, blue, and green on a diagonal are "
        "calibrated and registered, but not stacked: {found}",
        "Their colours would be mixed.",
    ),
    "pattern-elsewhere": Code(
        _S.DOUBTFUL,
        "the sky is alike where the header's pattern {found} has red and blue, and not "
        "where it has green: colours are mixed; the pattern is {expected}",
        "The header's Bayer pattern is not that of the pixels, as where a part was cut "
        "out or the rows were turned.  The sky does not tell which of the two it is: "
        "where red and blue are swapped, it is the other one.  `--set '*: "
        "bayerpat=...'` says which it is.",
    ),
    "untold-colours": Code(
        _S.DOUBTFUL,
        "neighbouring pixels differ in level as red, green and blue ones do, and no card "
        "names a pattern: colours are mixed; the pattern is {found}",
        "Some programs write no BAYERPAT for a colour camera, and its frames are taken for "
        "those of one without colour filters.  The levels show where green is, and not "
        "which of the others is red: if the picture has red and blue swapped, it is the "
        "other pattern.",
    ),
    "odd-origin": Code(
        _S.DOUBTFUL,
        "the subframe begins at an odd row and an odd column of the sensor: if the header's "
        "pattern {found} is that of the sensor, the subframe's is {expected}, and red and "
        "blue are swapped",
        "Some programs write the pattern of the sensor, others that of the subframe, and "
        "the sky does not tell which.  Even origins leave no doubt.",
    ),
    "own-colours": Code(
        _S.NOTE,
        "each colour is that of its own pixels, nothing is interpolated: {found}",
        "Lights are dithered, and enough of them.  `colours` of `[stack]` in a recipe "
        "decides otherwise.",
    ),
    "between-colours": Code(
        _S.NOTE,
        "colours are interpolated within each light: {found}; without interpolation it "
        "takes {expected}",
        "More lights, or wider dithers, would make stars a little sharper.  `colours` "
        "of `[stack]` in a recipe decides otherwise.",
    ),
    # ------------------------------------------------------------- the night as a whole
    "no-frames": Code(_S.NOTE, "no frame is used", "Every frame is left out."),
    **{
        f"absent-{kind}": Code(
            _S.NOTE,
            f"there are no {frames} among the frames that are used{{found}}",
            "The night has no frames of this type; a library may fill in.",
            kind if kind in _MASTERS else "",
        )
        for kind, frames in {**_MASTERS, "light": "lights"}.items()
    },
    "several": Code(
        _S.NOTE,
        "frames of {found}",
        "Frames of several cameras, sizes or nights were given at once.",
    ),
    "detector-missing": Code(
        _S.NOTE,
        "without detector {found}, which {expected} other files of the camera have",
        "The extension was lost, or the detector was not read: what is there is reduced.",
    ),
    "other-formats": Code(
        _S.NOTE,
        "raw images of other formats are not read: {found}, such as {expected}",
        "Only FITS is read.  Convert what is to be reduced, as with Siril or the camera's "
        "own program; nothing is to be done if these are not of the night.",
    ),
    "type-unknown": Code(
        _S.NOTE,
        "left out: {found} of unknown type, such as {expected}: say what they are",
        "Nothing in header, name or pixels says what the frames are.",
    ),
    "off-set-point": Code(
        _S.DOUBTFUL,
        "{found} measured while the set point is {expected}: the cooler was not there "
        "yet, or failed",
        "The sensor was not at the temperature that it was to hold: masters are "
        "chosen by what it measured.  Take darks at that temperature, or wait for "
        "the cooler.",
    ),
    "off-the-others": Code(
        _S.DOUBTFUL,
        "{found} measured while most of the night was at {expected}: the cooler was not "
        "there yet, or failed, or there is none",
        "No card tells a set point, and the sensor held a temperature in most "
        "frames: masters are chosen by what it measured.  Take darks at that "
        "temperature, or wait for the cooler.",
    ),
    "overlapping": Code(
        _S.DOUBTFUL,
        "exposures of {found} that began every {expected}: exposure or start is not what "
        "the header says",
        "An exposure that is told in milliseconds without saying so, or the time of "
        "something else.  Darks are chosen and scaled by the exposure.  `--set "
        "'PATTERN: exptime=60'` says how long they are.",
    ),
    "no-date": Code(
        _S.DOUBTFUL,
        "when the exposure began is not known: {found} ({expected})",
        "Products have no date, no airmass and no place in light curves.  `--set 'FILE: "
        "date_obs=2024-03-01T20:15:00'` gives it, in UTC.",
    ),
    "two-times": Code(
        _S.DOUBTFUL,
        "two times: {found} is taken, but {expected}",
        "Cards of a header contradict each other by more than the exposure, as where one "
        "shows local time.  Dates, BJD_TDB and airmass go by the first; the way out moves "
        "the start to the other.",
    ),
    "two-places": Code(
        _S.DOUBTFUL,
        "two places in the sky: {found} is taken, but {expected}",
        "A mount that was not where its target is, or a card that is stale.  BJD_TDB and "
        "airmass go by it, and the search for coordinates; the way out takes the other.",
    ),
    "date-stopped": Code(
        _S.DOUBTFUL,
        "taken after midnight, and dated {found} as what was taken before",
        "A numbered series would go back by nearly a day: its date was not advanced.  "
        "Frames of one night would be of two; the way out advances it.",
    ),
    "ends-for-starts": Code(
        _S.DOUBTFUL,
        "{found} would begin while the one before is open: the times are those of the ends",
        "Taken for the ends of exposures none of them overlap.  Dates, BJD_TDB and airmass "
        "are late by the exposure; `--set 'PATTERN: date_obs=-60s'` moves the starts of "
        "those of 60 s.",
    ),
    "airmass-disagrees": Code(
        _S.DOUBTFUL,
        "airmass {found} is taken, but {expected}",
        "A card is stale, or site, pointing or time of the light is not what its header "
        "says, as where a clock shows local time: then BJD_TDB is wrong as well.  `--set "
        "'PATTERN: longitude=-105.8'`, latitude, ra, dec (deg) and date_obs (UTC) say "
        "what is right.",
    ),
    "below-horizon": Code(
        _S.DOUBTFUL,
        "what it was pointed at is below the horizon, by {found}: no airmass",
        "Site, pointing or time is not what the header says: a longitude of the wrong sign, local "
        "time for UTC, hours for degrees; then BJD_TDB is wrong as well.  `--set "
        "'PATTERN: longitude=-105.8'`, latitude, ra, dec (deg) and date_obs (UTC) say "
        "what is right.",
    ),
    "daylight": Code(
        _S.DOUBTFUL,
        "exposed with the Sun {found} high, by site and time: one of them is wrong",
        "A clock that shows local time, a longitude of the wrong sign, or the site of "
        "somebody else.  Dates, BJD_TDB and airmass are wrong by as much.  `--set "
        "'PATTERN: longitude=-105.8'`, latitude and date_obs (UTC) say what is right.",
    ),
    "no-section": Code(
        _S.DOUBTFUL,
        "{found} is no section of an image of {expected}, counted from 1 with both ends: "
        "it is not used",
        "Overscan columns stay in the image, or nothing is taken out by them.  `--set "
        "'PATTERN: biassec=[181:200,1:160]'`, or trimsec, tells them.",
    ),
    "two-exposures": Code(
        _S.DOUBTFUL,
        "two exposures: {found} is taken, but {expected}",
        "Cards of a header contradict each other.  Darks are chosen and scaled by the "
        "exposure, and lights by it where stars do not tell; the way out takes the other.",
    ),
    "doubled-card": Code(
        _S.DOUBTFUL,
        "a card twice: {found} is taken, but {expected}",
        "A program added a card to a header that had it.  Masters are chosen by it; the "
        "way out takes the other.",
    ),
    "airmass-overruled": Code(
        _S.NOTE,
        "airmass {found} is taken, and not {expected}",
        "Two of card, altitude, and site with pointing and time agree, and a stale card "
        "does not.  Nothing is to be done.",
    ),
    "counted-westward": Code(
        _S.NOTE,
        "the longitude {found} is taken for counted westward: {expected}",
        "With the other sign, which is used, cards and time agree, or the lights are of "
        "the night.  The way out says so beforehand.  If the sign is right, the clock is "
        "wrong: `--set '*: longitude=-105.8, date_obs=+7h'`.",
    ),
    "foreign-masters": Code(
        _S.NOTE,
        "{found} that another program made, such as {expected}, among the frames: "
        "masters are used from a library",
        "Masters of other programs are no raw frames.  `autoreduce library add` takes "
        "them, `--library` uses them.",
    ),
    "not-reduced": Code(
        _S.NOTE,
        "left out: {found} of type master or other, such as {expected}",
        "Masters and frames that are neither calibration frames nor lights.",
    ),
    "likely-filter": Code(
        _S.NOTE,
        "lights have filter {found} and flats have {expected}: if they are the same, "
        "say so",
        "Two spellings of one filter, perhaps: `--set` makes them one.",
    ),
    "turned": Code(
        _S.NOTE,
        "{found} are read with their rows turned{expected}",
        "Two programs stored the rows of one sensor in opposite order.",
    ),
    "pedestals": Code(
        _S.NOTE,
        "PEDESTAL differs and is taken out of each frame: {found}",
        "A program added a constant to some of the frames and says so.",
    ),
    "unnamed-filter": Code(
        _S.DOUBTFUL,
        "no card or name says the filter of {found}: runs of unlike level are kept "
        "apart, and serve only lights that name no filter either; other frames are of "
        "{expected}",
        "The flats of a night with several filters do not say which one they are of.  "
        "`--set 'PATTERN: filter=G'` names it, run by run; in the way out stands `NAME` "
        "where it cannot be told which.",
    ),
    "bare-flat": Code(
        _S.LEFT_OUT,
        "without bias, dark and overscan a flat keeps its zero level and would correct "
        "vignetting wrongly",
        "Take bias frames or flat-darks.",
    ),
    "bare-flats": Code(
        _S.NOTE,
        "{found} left out: without bias, dark and overscan a flat keeps its zero level "
        "and would correct vignetting wrongly",
        "Take bias frames or flat-darks.",
    ),
    "single-light": Code(
        _S.NOTE,
        "single lights are calibrated and not stacked: {found}",
        "A stack needs two lights.",
    ),
}  # fmt: skip
"""Every message: its stable word, how grave it is, its sentence, what it means."""


def messages_page() -> str:
    """Write the page of all messages, as docs/messages.md has it."""
    lines = [
        "# What you may be told",
        "",
        "Every message has a stable word: `code` in `plan.json`, and in `frames.csv` for",
        "frames that are left out.  `...` stands for what was found or expected; a way",
        "out, where there is one, is an option that can be pasted.",
    ]
    for severity in Severity:
        codes = {key: one for key, one in CODES.items() if one.severity is severity}
        lines += ["", f"## {severity.replace('-', ' ').capitalize()}", ""]
        lines += ["| code | message | what it means |", "|---|---|---|"]
        lines += [
            f"| `{key}` | {one.sentence.format(found='...', expected='...')} | "
            f"{one.meaning} |"
            for key, one in codes.items()
        ]
    return "\n".join(lines) + "\n"
