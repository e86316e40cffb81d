"""Frames without amplifiers that the camera's other frames have: no smaller camera."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.fits.sections import (
    Section,
    parse_section,
    parse_turned,
    section_shape,
)
from autoreduce.frames.frame import Frame
from autoreduce.remarks import ITSELF, remark

_CAMERA = ("instrume", "detector", "xbinning", "ybinning")


class _Layout(NamedTuple):
    """What was read of a detector."""

    n: int
    """By how many amplifiers."""
    place: str
    """Where, in pixels without binning; empty if no card tells."""
    size: tuple[int, int]
    """Rows and columns that are kept."""

    def __str__(self) -> str:
        where = self.place or "{1}x{0} pixels".format(*self.size)
        return f"{where} by {self.n} amplifier" + ("s" if self.n > 1 else "")


def leave_out_lacking(frames: Sequence[Frame]) -> None:
    """Leave out frames that lack amplifiers which others of their camera have.

    A camera that reads a part of its detector on purpose has calibration frames of that
    part, too: what is left out is of one type only, and not the greater part.
    """
    cameras: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames if any("amplifiers" in one.facts for one in frames) else ():
        if not frame.why_not:
            cameras[tuple(map(frame.value, _CAMERA))].append(frame)
    for members in cameras.values():
        if not any(frame.value("amplifiers") for frame in members):
            continue
        layouts: dict[_Layout, list[Frame]] = defaultdict(list)
        for frame in members:
            layouts[_layout(frame)].append(frame)
        whole = max(layouts, key=lambda one: (one.n, len(layouts[one])))
        for layout, those in layouts.items():
            types = {frame.value("imagetyp") for frame in those}
            few = len(types) == 1 and len(those) < len(layouts[whole])
            if few and _is_part(layout, whole, layouts[whole][0]):
                for frame in those:
                    frame.why_not = remark(
                        "amplifier-missing",
                        found=str(layout),
                        expected=f"{whole} in {len(layouts[whole])} others",
                        way_out=f"--include '{ITSELF}'",
                    )


def _layout(frame: Frame) -> _Layout:
    text, place = frame.value("amplifiers"), frame.value("place")
    size = frame.shape[1], frame.shape[0]
    trim = frame.value("trimsec")
    if trim is not None and not text:
        size = section_shape(parse_section(str(trim)))
    n = len(read_amplifiers(str(text))) if text else 1
    return _Layout(n, "" if place is None else str(place), size)


def _is_part(layout: _Layout, whole: _Layout, frame: Frame) -> bool:
    """Tell whether some of the amplifiers of a whole frame have read this."""
    if layout.n >= whole.n:
        return False
    if not (layout.place and whole.place):
        return layout.size != whole.size
    part, (rows, columns) = (parse_turned(one.place)[0] for one in (layout, whole))
    if part == (rows, columns) or not _lies_within(part, (rows, columns)):
        return False
    # A window ends anywhere, an amplifier where the next one begins.
    places = [
        parse_turned(one.place)[0]
        for one in read_amplifiers(str(frame.value("amplifiers")))
    ]
    for own, all_of_it, step, axis in zip(
        part, (rows, columns), _binning(frame), (0, 1), strict=True
    ):
        edges = [
            all_of_it.start + step * edge
            for place in places
            for edge in (place[axis].start, place[axis].stop)
        ]
        if any(
            min(abs(end - edge) for edge in edges) >= step
            for end in (own.start, own.stop)
        ):
            return False
    return True


def _binning(frame: Frame) -> tuple[int, int]:
    y, x = (int(str(frame.value(f"{axis}binning") or 1)) for axis in "yx")
    return y, x


def _lies_within(part: Section, whole: Section) -> bool:
    return all(
        outer.start <= own.start and own.stop <= outer.stop
        for own, outer in zip(part, whole, strict=True)
    )
