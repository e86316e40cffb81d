"""What the images of a file are to one another: amplifiers, detectors, or neither."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from autoreduce.fits.sections import count_sections
from autoreduce.frames.frame import Frame
from autoreduce.frames.literals import whole_number
from autoreduce.remarks import ITSELF, remark

_COUNTS = ("NAMPS", "NAMP", "NAMPLIF")
"""Cards that count the amplifiers in use."""
_QUADRANTS = ("ASEC", "BSEC", "CSEC", "DSEC")
"""Cards that some cameras give the sections of amplifiers A to D by."""


def frames_of_detectors(name: str, images: Iterable[Frame]) -> Iterator[Frame]:
    """Tell what is a frame of its own among the images of one file.

    Parameters
    ----------
    name : str
        The file's name in the frame table.
    images : iterable of Frame
        All its images.

    Yields
    ------
    Frame
        Every image that is left out by itself; the one that is left; one for a file
        whose images cannot be told apart, left out with the reason.
    """
    raw = []
    for image in images:
        if image.why_not:
            yield image
        else:
            raw.append(image)
    if len(raw) > 1:
        why = remark("several-images", found=str(len(raw)))
        yield replace(raw[0], file=name, why_not=why)
    elif raw:
        yield _of_one_level(raw[0])


def _of_one_level(frame: Frame) -> Frame:
    """Leave out an image that several amplifiers have read, each with its own level."""
    found = _strips(frame)
    if not found:
        return frame
    way_out = f"--include '{ITSELF}' --set '{ITSELF}: biassec='"
    return replace(
        frame, why_not=remark("several-strips", found=found, way_out=way_out)
    )


def _strips(frame: Frame) -> str:
    """Return what says that an image has several overscans; empty if nothing does."""
    header = frame.header
    if (reading := frame.facts.get("biassec")) is not None:
        if count_sections(reading.literal) > 1:
            return f"{reading.keyword} = {reading.literal}"
        for keyword in _COUNTS:
            if reading.value and (whole_number(header.get(keyword)) or 0) > 1:
                return f"{keyword} = {header.get(keyword)}"
    for rule in frame.dialect.amplifiers:
        names = rule.names or str(header.get(rule.listed) or "").split()
        keywords = [rule.overscan.replace("*", name) for name in names]
        there = [one for one in keywords if count_sections(str(header.get(one)))]
        if len(there) > 1:
            return ", ".join(f"{one} = {header.get(one)}" for one in there)
    there = [one for one in _QUADRANTS if count_sections(str(header.get(one)))]
    return f"sections {', '.join(there)}" if len(there) > 1 else ""
