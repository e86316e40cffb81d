"""Small nights of one camera, each with a fault of its counts, and what is to be said."""

import numpy as np
from astropy.io import fits
from small_night import SHAPE, make_pixels, write_frame

from autoreduce.planning.plan import Action
from autoreduce.prepare import Choices, prepare_night

PLAN = (("bias", 0.0, 5), ("dark", 60.0, 4), ("flat", 2.0, 4), ("light", 60.0, 4))


def write_level_night(folder, change=None, plan=PLAN, write=None, **cards):
    """Write a night whose pixels pass through `change(kind, n, pixels)`.

    `change` may return any type of array; `write(kind, path, pixels)` may replace the
    file that was written.
    """
    number = 0
    for kind, exptime, n_frames in plan:
        for n in range(n_frames):
            number += 1
            rng = np.random.default_rng([number, int(exptime)])
            pixels = make_pixels(kind, exptime, rng)
            if change is not None:
                pixels = change(kind, n, pixels.astype(np.float64))
            if pixels.dtype == np.float64:
                pixels = np.clip(np.rint(pixels), 0, 65535).astype(np.uint16)
            name = f"{kind}_{exptime:g}s_{number:03d}.fit"
            path = write_frame(folder, name, kind, exptime, pixels=pixels, **cards)
            if write is not None:
                write(kind, path, pixels)
    return folder


def on(kinds, function):
    """Change the pixels of some types only; of ``dark 0`` the first dark only."""

    def change(kind, n, pixels):
        is_meant = kind in kinds or f"{kind} {n}" in kinds
        return function(pixels) if is_meant else pixels

    return change


def as_floats_with_bzero(*kinds):
    """Save frames of some types as floats that keep the BZERO of integers."""

    def write(kind, path, pixels):
        if kind in kinds:
            _with_bzero(path, pixels.astype(">f4"))

    return write


def _with_bzero(path, floats):
    """Write floats as they are, under a header that has BZERO = 32768."""
    keep = fits.getheader(path).copy(strip=True)
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        f"NAXIS1  = {floats.shape[1]:20d}",
        f"NAXIS2  = {floats.shape[0]:20d}",
        "BZERO   =                32768",
        "BSCALE  =                    1",
        *(str(card) for card in keep.cards),
        "END",
    ]
    head = "".join(f"{card:80s}" for card in cards).encode()
    body = floats.tobytes()
    pad = (b" " * (-len(head) % 2880), b"\0" * (-len(body) % 2880))
    path.write_bytes(head + pad[0] + body + pad[1])


def lit_upper_half(pixels):
    """Let light into the upper half of a frame."""
    pixels[SHAPE[0] // 2 :] += 500.0
    return pixels


def planned(folder, **choices):
    prepared = prepare_night([folder], Choices(**choices))
    frames = prepared.frames.set_index("file")
    left = frames.loc[~frames["use"]]
    codes = {name: set(part["code"]) for name, part in left.groupby("imagetyp")}
    notes = [one for one in prepared.plan.notes if one.code in SAID]
    return prepared, codes, notes


SAID = ("counts-differ", "counts-by-hand", "saturation-disproved")


def masters_of(prepared, kind):
    (need,) = {
        (item.calibration.bias, item.calibration.dark)
        for task in prepared.plan.tasks
        for item in task.frames
        if task.action is {"light": Action.CALIBRATE, "flat": Action.FLAT}[kind]
    }
    return tuple(output is not None for output in need)
