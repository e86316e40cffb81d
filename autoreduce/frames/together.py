"""What only the whole night tells: silent types, duplicates, spellings, dates."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from autoreduce.fits.header import RawHeader
from autoreduce.frames.bounds import TOO_LARGE
from autoreduce.frames.facts import Reading, is_closed, lone_date
from autoreduce.frames.frame import Frame
from autoreduce.frames.imagetype import (
    BY_NAME_ALONE,
    CALIBRATIONS,
    DARK_OF_0_S,
    LIGHT_OF_0_S,
)
from autoreduce.frames.lacking import leave_out_lacking
from autoreduce.frames.names import hear_names
from autoreduce.frames.pixeltype import STARRY, Known, Look, judge, look_at
from autoreduce.frames.schema import ImageType
from autoreduce.frames.spelling import SPELT, commonest_spellings
from autoreduce.frames.turning import TURNED_WITH_ROWS, with_rows_turned
from autoreduce.remarks import ITSELF, remark

_ASKED = ("BITPIX", "CTYPE1")
"""Keywords that are asked for beside those of dates."""
_HALF_DAY = timedelta(hours=12)
COUNTED_WESTWARD = "counted westward: eastward, the lights would be of the day"
"""Rule of a longitude that was turned."""
_SUMMER_TIME = timedelta(hours=2)
"""By so much, about, clocks differ from the Sun."""
_PAUSE = timedelta(hours=1)
"""Bias frames and darks that follow one another faster are of one run."""
_CLOSED = (ImageType.BIAS, ImageType.DARK, ImageType.FLATDARK)
_OF_0_S = {DARK_OF_0_S: ImageType.DARK, LIGHT_OF_0_S: ImageType.LIGHT}
"""What frames of 0 s were called that are taken for bias frames, by rule."""
_LOOKS = 3
"""Frames of a type and exposure whose pixels are looked at for comparison."""
_LEAST_DARK_ADU = 3.0
"""Level above bias that is no mere drift of the bias."""
_OF_MASTERS = ("calibrated", "several-exposures")
"""Why frames are no raw ones that any master is left out for."""
_LAMP = re.compile(
    r"(?<![a-z])(panel|lamp|led|screen|dome|twi(light)?|dusk|dawn)(?![a-z])"
)
SHORTEST_S = 1.0
"""Sun, Moon and planets are exposed for less by day."""
_ONE_START_S = 1.0
"""Exposures of this length, and the same start, are the same exposure."""
_RAW_TYPES = (*CALIBRATIONS, ImageType.LIGHT)


def decide_together(frames: list[Frame]) -> None:
    """Decide what needs the other frames of the night."""
    _settle_unknown_types(frames)
    _doubt_dark_names(frames)
    _doubt_lights_of_panels(frames)
    hear_names(frames)
    _tell_from_bias(frames)
    _forget_exposures_of_no_light(frames)
    _turn_rows(frames)
    _share_patterns(frames)
    # Copies first: a type that is set by hand later makes no second frame of one.
    _leave_out_duplicates(frames)
    _leave_out_by_type(frames)
    _leave_out_processed_twins(frames)
    leave_out_lacking(frames)
    for fact in SPELT:
        _unify_spellings(frames, fact)
    _name_nights(frames)


def without_cards(frame: Frame) -> Frame:
    """Return a frame whose header has no cards but those that are asked for here.

    A night of thousands of frames has some hundred megabytes of the others.
    """
    header, dates = frame.header, frame.dialect.facts["date_obs"].keywords
    frame.header = RawHeader(header.hdu, header.raw((*_ASKED, *dates)))
    return frame


def _camera(frame: Frame) -> tuple[object, ...]:
    return (frame.value("instrume"), frame.shape[:2])


def _settle_unknown_types(frames: list[Frame]) -> None:
    """Decide the types that no witness gave, by comparison with those that are known.

    First the pixels are asked.  Where they leave a doubt and the night names its
    calibration frames (two or more types of bias, dark and flat, of the same
    camera), an exposed frame behind an open filter that no witness calls anything
    is what those calibrations were taken for; so is one that shows a target.
    """
    unknown = [frame for frame in frames if _is_silent(frame)]
    named: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames if unknown else ():
        if frame.value("imagetyp") in _RAW_TYPES and not frame.why_not:
            named[_camera(frame)].append(frame)
    known = {key: _looks(named[key]) for key in {_camera(frame) for frame in unknown}}
    for frame in unknown:
        reading = _by_pixels(frame, known[_camera(frame)])
        frame.facts["imagetyp"] = reading or _by_elimination(
            frame, named[_camera(frame)]
        )


def _tell_from_bias(frames: Sequence[Frame]) -> None:
    """Tell darks and lights whose card says 0 s from bias frames, by their level."""
    called = [
        frame
        for frame in frames
        if frame.facts["imagetyp"].value == ImageType.BIAS and not frame.why_not
    ]
    doubted = [frame for frame in called if frame.facts["imagetyp"].rule in _OF_0_S]
    bias: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in called if doubted else ():
        if frame.facts["imagetyp"].rule not in _OF_0_S:
            bias[_electronics(frame)].append(frame)
    known: dict[tuple[object, ...], list[float]] = {}
    for frame in doubted:
        key = _electronics(frame)
        if key not in known:
            looks = map(_look, bias[key][:_LOOKS])
            known[key] = [look.level for look in looks if look is not None]
        levels = known[key]
        look = _look(frame) if levels else None
        if look is None:
            continue
        above = look.level - median(levels)
        if above > max(_LEAST_DARK_ADU, look.noise):
            rule = f"its card says 0 s, but it is {above:.0f} ADU above the bias frames"
            told = frame.facts["imagetyp"]
            kind = _OF_0_S[told.rule].value
            frame.facts["imagetyp"] = told._replace(value=kind, rule=rule)


def _forget_exposures_of_no_light(frames: Iterable[Frame]) -> None:
    """Take an exposure of 0 s for unknown where a light was taken."""
    for frame in frames:
        if frame.value("imagetyp") == ImageType.LIGHT and frame.value("exptime") == 0:
            rule = "0 s is no exposure of a light: not known"
            told = frame.facts["exptime"]._replace(value=None, rule=rule)
            frame.facts["exptime"] = told


def _electronics(frame: Frame) -> tuple[object, ...]:
    """Name all that a bias level depends on, but for the temperature."""
    return (*_camera(frame), *map(frame.value, ("gain", "offset", "readoutm")))


def _doubt_dark_names(frames: Sequence[Frame]) -> None:
    """Hold darks that only their names call so against the pixels.

    A name alone does not beat the card that says light: a frame with stars, or of
    another level than the darks of its exposure, is the light that its card says.
    """
    doubted = [
        frame
        for frame in frames
        if frame.facts["imagetyp"].rule == BY_NAME_ALONE
        and frame.value("imagetyp") == ImageType.DARK
    ]
    cameras: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames if doubted else ():
        cameras[_camera(frame)].append(frame)
    looks: dict[tuple[object, ...], list[Known]] = {}
    for frame in doubted:
        reading, camera = frame.facts["imagetyp"], _camera(frame)
        if camera not in looks:
            others = [
                one
                for one in cameras[camera]
                if one.value("imagetyp") in _RAW_TYPES
                and one.facts["imagetyp"].rule != BY_NAME_ALONE
            ]
            looks[camera] = _looks(others)
        known, look = looks[camera], _look(frame)
        if look is None:
            continue
        exptime = _as_float(frame.value("exptime"))
        comparable = any(
            one.kind == ImageType.DARK and one.exptime == exptime for one in known
        )
        kind, _ = judge(look, exptime, known, 2.0**16)
        if look.stars >= STARRY or (comparable and kind != ImageType.DARK):
            rule = f"typed as light, named as a dark: its level is {look.level:.0f} ADU"
            rule += f", with {look.stars:.0f} stars per megapixel"
            said = f"{reading.keyword}={reading.literal}"
            frame.facts["imagetyp"] = Reading(
                ImageType.LIGHT.value, "pixels", "", rule, (said,)
            )
            del looks[camera]  # it is one of the others from now on


def _doubt_lights_of_panels(frames: Sequence[Frame]) -> None:
    """Hold lights without an object that are named for a lamp against the pixels.

    Programs that drive a panel themselves take flats as lights; a panel may be one of
    a mosaic as well, which has no more sky than other lights.
    """
    usable = [frame for frame in frames if not frame.why_not]
    lamps = [frame for frame in usable if _is_named_for_lamp(frame)]
    cameras: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in usable if lamps else ():
        if frame.value("imagetyp") in _RAW_TYPES and not _is_named_for_lamp(frame):
            cameras[_camera(frame)].append(frame)
    known = {camera: _looks(cameras[camera]) for camera in {*map(_camera, lamps)}}
    for frame in lamps:
        told, look = frame.facts["imagetyp"], _look(frame)
        if look is None:
            continue
        exptime, others = _as_float(frame.value("exptime")), known[_camera(frame)]
        # Grains of a panel may look like stars: its light is what tells it.
        kind, _ = judge(replace(look, stars=0.0), exptime, others, _full_scale(frame))
        if kind is ImageType.FLAT:
            said = (f"{told.keyword}={told.literal}",)
            literal = f"level {look.level:.0f}"
            rule = "named for a lamp, without an object, and as bright as one"
            frame.facts["imagetyp"] = Reading(kind.value, "pixels", literal, rule, said)


def _is_named_for_lamp(frame: Frame) -> bool:
    if frame.value("imagetyp") != ImageType.LIGHT or frame.value("object") is not None:
        return False
    return _LAMP.search(frame.file.rpartition("/")[2].lower()) is not None


def _is_silent(frame: Frame) -> bool:
    """Tell whether no witness gave a type, not even one that is not understood."""
    reading = frame.facts["imagetyp"]
    return reading.value is None and not reading.keyword


def _looks(frames: Iterable[Frame]) -> list[Known]:
    """Look at a few frames of every type and exposure that are known."""
    looks: dict[tuple[object, object], list[Known]] = defaultdict(list)
    for frame in frames:
        kind, exptime = frame.value("imagetyp"), frame.value("exptime")
        alike = looks[kind, exptime]
        if len(alike) < _LOOKS and (look := _look(frame)) is not None:
            alike.append(Known(ImageType(str(kind)), _as_float(exptime), look))
    return [known for alike in looks.values() for known in alike]


def _look(frame: Frame) -> Look | None:
    mosaic = frame.value("bayerpat") is not None
    return look_at(frame.path, frame.header, mosaic=mosaic)


def _as_float(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _by_pixels(frame: Frame, known: list[Known]) -> Reading | None:
    look = _look(frame) if known and not frame.why_not else None
    if look is None:
        return None
    exptime = _as_float(frame.value("exptime"))
    kind, rule = judge(look, exptime, known, _full_scale(frame))
    if kind is None or (kind is ImageType.DARK and _names_the_sky(frame)):
        return None
    literal = f"level {look.level:.0f}, noise {look.noise:.1f}, stars {look.stars:.0f}"
    return Reading(kind.value, "pixels", literal, rule)


def _full_scale(frame: Frame) -> float:
    """Give the level at which pixels saturate, as far as the header tells it, ADU."""
    bits = frame.header.get("BITPIX")
    saturate = _as_float(frame.value("saturate"))
    return saturate or (2.0**bits if bits in (8, 16) else 2.0**16)


def _names_the_sky(frame: Frame) -> bool:
    """Tell whether a header knows of filter or target, as no dark's need to."""
    return frame.value("filter") is not None or frame.value("object") is not None


def _by_elimination(frame: Frame, named: list[Frame]) -> Reading:
    types = {str(one.value("imagetyp")) for one in named} & set(CALIBRATIONS)
    if len(types) >= 2 and _is_exposed(frame):
        rule = (
            f"no witness, but exposed behind filter {frame.value('filter')} by a "
            f"camera whose {' and '.join(sorted(types))} frames are named in this night"
        )
        return _light(frame, rule)
    if target := _target(frame):
        return _light(frame, f"no witness, but {target}")
    return frame.facts["imagetyp"]


def _light(frame: Frame, rule: str) -> Reading:
    exposure = frame.facts["exptime"]
    return Reading(
        ImageType.LIGHT.value,
        exposure.keyword,
        exposure.literal,
        rule,
        frame.facts["imagetyp"].disagree,
    )


def _is_exposed(frame: Frame) -> bool:
    exposure, name = frame.value("exptime"), frame.value("filter")
    if not isinstance(exposure, float) or exposure <= 0 or name is None:
        return False
    return not is_closed(str(name), frame.dialect.facts["filter"])


def _target(frame: Frame) -> str:
    """Return what of the sky an exposed frame shows; empty if that is not known."""
    exposure = frame.value("exptime")
    if not isinstance(exposure, float) or exposure <= 0:
        return ""
    pointed = frame.value("ra") is not None and frame.value("dec") is not None
    if pointed and frame.value("object") is not None:
        return f"exposed on a target, {frame.value('object')}"
    if str(frame.header.get("CTYPE1")).startswith("RA---"):
        return "exposed, and its stars were found: it has celestial coordinates"
    return ""


def _turn_rows(frames: Sequence[Frame]) -> None:
    """Bring the rows of a camera's frames into the order of most of its lights.

    A frame whose card says the other order is read from its last row on; its sections
    and its colour pattern are told as they then are.  A frame that does not say lies as
    it lies.
    """
    orders: dict[tuple[object, ...], Counter[object]] = defaultdict(Counter)
    for frame in frames:
        if (order := frame.value("roworder")) and frame.value("imagetyp") == "light":
            orders[_camera(frame)][order] += 1
    for frame in frames if orders else ():
        order = frame.value("roworder")
        wanted = orders[_camera(frame)].most_common(1)
        if order is None or not wanted or wanted[0][0] == order:
            continue
        rule = f"rows turned: the camera's lights are {wanted[0][0]}"
        frame.facts["turned"] = frame.facts["roworder"]._replace(value=True, rule=rule)
        _turn_facts(frame, rule)


def _turn_facts(frame: Frame, rule: str) -> None:
    for fact in TURNED_WITH_ROWS:
        if (value := frame.value(fact)) is not None:
            turned = with_rows_turned(fact, str(value), frame.shape[1])
            frame.facts[fact] = frame.facts[fact]._replace(value=turned, rule=rule)


def _share_patterns(frames: Sequence[Frame]) -> None:
    """Give a camera's colour pattern to its frames whose headers leave it out.

    The array lies on the sensor whatever program wrote the frame; its first pixel is
    the same where the frame is read from the same corner with the same binning.
    """
    told: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames if any(frame.value("bayerpat") for frame in frames) else ():
        told[_readout(frame)].append(frame)
    for alike in told.values():
        patterns = {frame.value("bayerpat") for frame in alike} - {None}
        if len(patterns) != 1:
            continue
        witness = next(frame for frame in alike if frame.value("bayerpat"))
        rule = f"no card gives it; as in {witness.file} of the same camera"
        for frame in alike:
            if frame.value("bayerpat") is None:
                frame.facts["bayerpat"] = witness.facts["bayerpat"]._replace(rule=rule)


def _readout(frame: Frame) -> tuple[object, ...]:
    how = ("xbinning", "ybinning", "xorgsubf", "yorgsubf")
    return (*_camera(frame), *map(frame.value, how))


def _leave_out_by_type(frames: Iterable[Frame]) -> None:
    for frame in frames:
        kind, reading = frame.value("imagetyp"), frame.facts["imagetyp"]
        # Of a master it says more that it is one than that it was calibrated.
        is_master = kind == ImageType.MASTER
        if frame.why_not and not (is_master and frame.why_not.code in _OF_MASTERS):
            continue
        if kind is None:
            said = f"{reading.keyword} = {reading.literal}; " if reading.keyword else ""
            frame.why_not = remark(
                "untyped",
                found=f"{said}{reading.rule}",
                way_out=f"--set '{ITSELF}: imagetyp=light'",
            )
        elif kind == ImageType.OTHER:
            card = f"{reading.keyword} = {reading.literal}"
            frame.why_not = remark("typed-other", found=card)
        elif is_master:
            card = f"{reading.keyword} = {reading.literal}"
            frame.why_not = remark("typed-master", found=card)


def _leave_out_duplicates(frames: Sequence[Frame]) -> None:
    alike: dict[int, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.why_not is None or frame.why_not.code != TOO_LARGE:
            alike[frame.cards_hash].append(frame)
    for candidates in alike.values():
        if len(candidates) < 2 or len({frame.path for frame in candidates}) < 2:
            continue
        first: dict[tuple[bytes, int], Frame] = {}
        # ``a.fit`` goes before ``Copy of a.fit`` and ``a (1).fit``.
        for frame in sorted(candidates, key=lambda one: len(one.file)):
            with Path(frame.path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            original = first.setdefault((digest, frame.header.hdu), frame)
            if original is not frame and not frame.why_not:
                frame.why_not = remark("copy", found=original.file)


def _leave_out_processed_twins(frames: Iterable[Frame]) -> None:
    """Leave out what has the time of a raw frame, but pixels no camera writes."""
    alike: dict[tuple[object, object, float, object], list[Frame]] = defaultdict(list)
    for frame in frames:
        start, exptime = frame.value("date_obs"), frame.value("exptime")
        if not frame.why_not and start is not None and isinstance(exptime, float):
            key = (frame.value("instrume"), start, exptime, frame.value("imagetyp"))
            alike[key].append(frame)
    for (*_, exptime, _kind), twins in alike.items():
        if len(twins) < 2 or exptime < _ONE_START_S:
            continue
        raw = [frame.file for frame in twins if _is_raw(frame)]
        for frame in twins if raw else ():
            if not _is_raw(frame):
                frame.why_not = remark("twin", found=raw[0])


def _is_raw(frame: Frame) -> bool:
    bits = frame.header.get("BITPIX")
    return isinstance(bits, int) and bits > 0


def _unify_spellings(frames: Sequence[Frame], fact: str) -> None:
    """Give each name its commonest spelling."""
    names = [frame.value(fact) for frame in frames]
    told = (str(name) for name in names if name is not None)
    best = commonest_spellings(told, SPELT[fact])
    for frame, name in zip(frames, names, strict=True):
        if name is not None and best[str(name)] != name:
            rule = f"spelt {best[str(name)]} as on most frames of the night"
            frame.facts[fact] = frame.facts[fact]._replace(
                value=best[str(name)], rule=rule
            )


def _name_nights(frames: Sequence[Frame]) -> None:
    known: dict[tuple[object, ...], Counter[timedelta]] = defaultdict(Counter)
    offsets = [_utc_offset(frame) for frame in frames]
    for frame, offset in zip(frames, offsets, strict=True):
        if offset is not None:
            # Lights tell on which side of Greenwich a longitude is.
            weight = 1000 if frame.value("imagetyp") == ImageType.LIGHT else 1
            known[_camera(frame)][offset] += weight
    usuals = {
        camera: min(counts, key=lambda one: (-counts[one], one))
        for camera, counts in known.items()
    }
    for frame, told in zip(frames, offsets, strict=True):
        usual = usuals.get(_camera(frame))
        _count_eastward(frame, usual)
        rule = "local date of the evening"
        if usual is not None and told in (None, -usual):
            rule += ", local time as for other frames of the camera"
        elif told is None:
            rule = "UTC date of the evening: neither local time nor longitude is known"
        else:
            usual = told
        _name_night(frame, usual or timedelta(), rule)
    _join_over_noon(frames)


def _count_eastward(frame: Frame, offset: timedelta | None) -> None:
    """Turn a longitude that is counted westward, as the camera's lights tell."""
    told = frame.facts.get("longitude")
    if told is None or offset is None or frame.value("date_loc") is not None:
        return  # a clock may show the time of any place
    east = timedelta(hours=_east(float(str(told.value))) / 15)
    if abs(offset + east) + _SUMMER_TIME < abs(offset - east):
        rule = COUNTED_WESTWARD
        frame.facts["longitude"] = told._replace(
            value=-float(str(told.value)), rule=rule
        )


def sun_offset(longitude: float) -> timedelta:
    """Give by how many whole hours the Sun's time is ahead of UTC at a longitude, deg."""
    return timedelta(hours=round(_east(longitude) / 15))


def _east(longitude: float) -> float:
    """Give a longitude between -180 and 180 deg."""
    return (longitude + 180) % 360 - 180


def _join_over_noon(frames: Sequence[Frame]) -> None:
    """Give bias frames and darks that are taken over noon one night.

    It is that of the lights beside them, else that in which they began.
    """
    lights = {
        (_camera(frame), frame.value("night"))
        for frame in frames
        if frame.value("imagetyp") == ImageType.LIGHT
    }
    dark = [
        frame
        for frame in frames
        if frame.value("imagetyp") in _CLOSED
        and isinstance(frame.value("date_obs"), datetime)
        and frame.value("night") is not None
    ]
    dark.sort(key=lambda one: (str(_camera(one)), _start(one)))
    for run in _runs(dark):
        nights = list(dict.fromkeys(frame.value("night") for frame in run))
        length = _start(run[-1]) - _start(run[0])
        if len(nights) < 2 or length > 2 * _HALF_DAY:
            continue
        lit = [night for night in nights if (_camera(run[0]), night) in lights]
        night = str((lit or nights)[0])
        for frame in run:
            rule = "of the night of the bias frames and darks taken with it, over noon"
            frame.facts["night"] = frame.facts["night"]._replace(value=night, rule=rule)


def _runs(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Part frames in order of time where a camera pauses."""
    run: list[Frame] = []
    for frame in frames:
        if run and (
            _camera(frame) != _camera(run[-1])
            or _start(frame) - _start(run[-1]) > _longest_step(run[-1])
        ):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _start(frame: Frame) -> datetime:
    found = frame.value("date_obs")
    assert isinstance(found, datetime)
    return found


def _longest_step(frame: Frame) -> timedelta:
    return _PAUSE + timedelta(seconds=_as_float(frame.value("exptime")) or 0.0)


def evening(start: datetime, offset: timedelta = timedelta()) -> str:
    """Give the date on which the night of an exposure began; offset is local time minus UTC."""
    return (start + offset - _HALF_DAY).date().isoformat()


def _name_night(frame: Frame, offset: timedelta, rule: str) -> None:
    reading = frame.facts.get("date_obs")
    if reading is not None and isinstance(reading.value, datetime):
        night = evening(reading.value, offset)
        frame.facts["night"] = Reading(night, reading.keyword, reading.literal, rule)
        return
    local = frame.facts.get("date_loc")
    if local is not None and isinstance(local.value, datetime):
        night = evening(local.value)
        rule = "local date of the evening, by a local time"
        frame.facts["night"] = local._replace(value=night, rule=rule)
        return
    alone = lone_date(frame.header, frame.dialect.facts["date_obs"])
    if alone is not None and isinstance(alone.value, datetime):
        # A date of a card is nearer to the truth than one of a name.
        night = alone.value.date().isoformat()
        frame.facts["night"] = alone._replace(value=night)


def _utc_offset(frame: Frame) -> timedelta | None:
    """Return local time minus UTC, from a local time or from the longitude."""
    start, local = frame.value("date_obs"), frame.value("date_loc")
    if isinstance(start, datetime) and isinstance(local, datetime):
        quarters = round((local - start) / timedelta(minutes=15))
        if abs(quarters) <= 14 * 4:
            return quarters * timedelta(minutes=15)
    longitude = frame.value("longitude")
    if isinstance(longitude, float):
        offset = sun_offset(longitude)
        return -offset if _in_daylight(frame, offset) else offset
    return None


def _in_daylight(frame: Frame, offset: timedelta) -> bool:
    """Tell whether a light is of the day, unless its longitude is counted west."""
    start = frame.value("date_obs")
    if not isinstance(start, datetime) or frame.value("imagetyp") != ImageType.LIGHT:
        return False
    exptime = _as_float(frame.value("exptime"))
    if exptime is not None and exptime < SHORTEST_S:
        return False
    hour, mirrored = (start + offset).hour, (start - offset).hour
    return 8 <= hour < 16 and not 7 <= mirrored < 17
