"""Whether the darks of a night bear being taken to a longer exposure than their own."""

from functools import lru_cache
from pathlib import Path

from autoreduce.calibration.dark_rates import read_fit
from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.images import open_image
from autoreduce.pixels.darkcurrent import Structure, large_scale_structure
from autoreduce.planning.phrases import number_text
from autoreduce.planning.plan import FrameInput
from autoreduce.planning.use import DarkMethod
from autoreduce.remarks import Remark, remark

GLOW_SHARE = 2.0
"""Light of the electronics is more than so many times the dark's level: dark current by
itself differs over a sensor, by 1.6 times the level on an old Apogee ..."""
GLOW_NOISE = 0.25
"""... and what it gains with the exposure more than this part of one frame's noise."""


def longer_dark(item: FrameInput) -> Remark | None:
    """Tell that a frame's dark is made from shorter ones; None if it is not."""
    plan, t = item.calibration, item.exptime or 0.0
    if plan.dark_method in (None, DarkMethod.EXACT) or not plan.dark_exptime:
        return None
    if t <= plan.dark_exptime:
        return None
    one = plan.dark_method is DarkMethod.SCALED
    longest = number_text("exptime", plan.dark_exptime)
    found = f"one dark of {longest}" if one else f"darks of up to {longest}"
    return remark("longer-dark", found=found, expected=number_text("exptime", t))


def refusal(item: FrameInput, workspace: Workspace) -> Remark | None:
    """Say why a dark is not taken to a longer exposure; None if it may be.

    Parameters
    ----------
    item : FrameInput
        A frame whose dark and its fit, if one is planned, are made.
    workspace : Workspace
        Where they are.

    Returns
    -------
    Remark or None
        The darks do not lie on a line, or the only one shows light of the electronics,
        which grows otherwise than the dark current.  None where the observer asked for
        longer exposures.
    """
    plan = item.calibration
    if not plan.dark_unasked or plan.dark is None:
        return None
    found = (
        _bent(plan.dark_fit, workspace) if plan.dark_fit else _glowing(item, workspace)
    )
    if not found:
        return None
    return remark(
        "dark-refused",
        found=found,
        expected=number_text("exptime", item.exptime),
        way_out="--extrapolate-darks",
    )


def _bent(output: str, workspace: Workspace) -> str:
    fit = read_fit(workspace.folder / output)
    if fit["linear"]:
        return ""
    numbers = f"chi-square {fit['chi_square']:.1f}, {fit['n']} exposures"
    return f"the shorter darks do not lie on a line ({numbers})"


def _glowing(item: FrameInput, workspace: Workspace) -> str:
    plan = item.calibration
    path = workspace.folder / str(plan.dark)
    seen, noise = _structure(path, path.stat().st_mtime_ns)
    gained = seen.excess * ((plan.dark_scale or 1.0) - 1)
    if seen.excess <= GLOW_SHARE * abs(seen.level) or gained <= GLOW_NOISE * noise:
        return ""
    t = number_text("exptime", plan.dark_exptime)
    return (
        f"the only dark, of {t}, glows: a part of it is {seen.excess:.1f} ADU above its "
        f"level of {seen.level:.1f} ADU, and that need not grow with the exposure"
    )


@lru_cache(maxsize=64)
def _structure(path: Path, _changed: int) -> tuple[Structure, float]:
    """Measure a master dark once; its structure, and the noise of one frame, ADU."""
    with open_image(path) as reader:
        noise = reader.raw.number("NOISEADU") or 0.0
        return large_scale_structure(reader.rows(0, reader.shape[0])), noise
