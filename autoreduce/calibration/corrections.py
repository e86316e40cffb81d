"""What is taken out of a frame, decided once the masters are there, and its cards."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TypedDict

from autoreduce.calibration.bands import Correction
from autoreduce.calibration.dark_rates import DarkRates, read_fit
from autoreduce.calibration.flat_shutter import read_shutter
from autoreduce.calibration.longer_darks import longer_dark, refusal
from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.cards import Card
from autoreduce.pixels.darkcurrent import rate_scaling, ratio_error, ratio_scaling
from autoreduce.pixels.shutter import Shutter
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import DarkModel
from autoreduce.planning.use import DarkMethod, is_absolute
from autoreduce.remarks import Remark, remark


def correction_for(
    item: FrameInput, workspace: Workspace, made: Collection[str]
) -> Correction:
    """Decide what is taken out of a frame, now that the masters are known.

    Parameters
    ----------
    item : FrameInput
        The frame and its calibration as planned.
    workspace : Workspace
        Where the masters are.
    made : set of str
        Outputs that could be made; the others are left out.

    Returns
    -------
    Correction
        Without a master that was planned but not made; a dark that is not exact
        needs its bias, one that is taken to a longer exposure darks that bear it, and
        a flat a frame whose zero level is out.
    """
    plan = item.calibration
    bias = plan.bias if plan.bias in made else None
    flat = plan.flat if plan.flat in made else None
    bad = plan.bad_pixels if plan.bad_pixels in made else None
    zeroed = bias is not None or item.has_overscan
    linearity = plan.linearity if zeroed else None
    usable = plan.dark in made and (plan.bias is None or bias is not None)
    refused: tuple[Remark, ...] = ()
    if plan.linearity and not zeroed:
        refused = (remark("not-linearised"),)
    if usable and plan.dark_unasked:
        there = plan.dark_fit is None or plan.dark_fit in made
        why = refusal(item, workspace) if there else None
        usable, refused = there and why is None, (*refused, *((why,) if why else ()))
    of_flat = _flat(flat, item, workspace)
    if not usable:
        planned = plan.bias or plan.dark
        if flat and planned and not bias and not plan.overscan:
            of_flat, refused = {}, (*refused, remark("flat-refused"))
        return Correction(
            bias=bias,
            bad_pixels=bad,
            linearity=linearity,
            cuts=plan.cuts,
            refused=refused,
            **of_flat,
        )
    correction = Correction(
        bias=bias,
        dark=plan.dark,
        dark_scale=1.0 if plan.dark_scale is None else plan.dark_scale,
        dark_offset=plan.dark_offset,
        bad_pixels=bad,
        linearity=linearity,
        cuts=plan.cuts,
        refused=refused,
        **of_flat,
    )
    return (
        _fitted(correction, item, workspace, made)
        if plan.dark_method is DarkMethod.FIT
        else correction
    )


class _OfFlat(TypedDict, total=False):
    """The flat of a frame, in a `Correction`."""

    flat: str | None
    shutter: Shutter | None
    shutter_exptime: float


def _flat(output: str | None, item: FrameInput, workspace: Workspace) -> _OfFlat:
    """Take a flat to the frame's exposure, if its shutter has a pattern."""
    if output is None or not item.exptime:
        return {"flat": output}
    shutter = read_shutter(workspace.folder / output)
    if shutter is None:
        return {"flat": output}
    return {"flat": output, "shutter": shutter, "shutter_exptime": item.exptime}


def _fitted(
    correction: Correction,
    item: FrameInput,
    workspace: Workspace,
    made: Collection[str],
) -> Correction:
    """Take the dark to the frame's exposure, by the night's fit and the model."""
    plan, model = item.calibration, workspace.recipe.dark.model
    t, master_t = item.exptime or 0.0, plan.dark_exptime or math.nan
    if not plan.dark_fit or plan.dark_fit not in made:
        return replace(correction, dark_scale=t / master_t)
    fit = read_fit(workspace.folder / plan.dark_fit)
    offset, slope = fit["offset"], fit["slope"]
    if model is DarkModel.RATIO and fit["linear"]:
        errors = fit["offset_error"], fit["slope_error"], fit["covariance"]
        return replace(
            correction,
            dark_scale=ratio_scaling(t, master_t, offset=offset, slope=slope).scale,
            scale_error=ratio_error(t, master_t, (offset, slope), errors),
        )
    scaling = rate_scaling(t, master_t, offset=offset if fit["linear"] else 0.0)
    correction = replace(
        correction, dark_scale=scaling.scale, dark_offset=scaling.offset
    )
    if model is DarkModel.RATE_MAP:
        rates = DarkRates.from_fit(fit)
        exptime = rates.equivalent_s(t, item.ccd_temp)
        return replace(
            correction, rates=rates, exptime=exptime, cuts=_all_cuts(plan, rates)
        )
    error = abs(1 - scaling.scale) * fit["offset_error"] if fit["linear"] else 0.0
    return replace(correction, offset_error=error)


def _all_cuts(plan: Calibration, rates: DarkRates) -> tuple[tuple[str, str], ...]:
    """Cut all that the rates come from as the dark that was chosen."""
    cut = dict(plan.cuts).get(plan.dark or "")
    more = () if cut is None else tuple((output, cut) for output in rates.outputs)
    return tuple(dict.fromkeys((*plan.cuts, *more)))


def lost(item: FrameInput, correction: Correction) -> tuple[Remark, ...]:
    """Name the masters that were planned for a frame and are not taken out of it.

    A dark that is taken out of a longer frame than its own is named, too.
    """
    plan = item.calibration
    pairs = (
        ("bias", plan.bias, correction.bias),
        ("dark", plan.dark, correction.dark),
        ("flat", plan.flat, correction.flat),
    )
    told = {one.need for one in correction.refused}
    longer = longer_dark(item) if correction.dark else None
    return (
        *(
            remark(f"{need}-lost", found=_not_there(planned))
            for need, planned, used in pairs
            if planned and not used and need not in told
        ),
        *correction.refused,
        *_bad_pixels_lost(plan.bad_pixels, correction),
        *((longer,) if longer else ()),
    )


def _bad_pixels_lost(planned: str | None, correction: Correction) -> tuple[Remark, ...]:
    if planned is None or correction.bad_pixels is not None:
        return ()
    return (remark("no-bad-pixels", found=planned),)


def _not_there(output: str) -> str:
    return f"{output} could not be {'read' if is_absolute(output) else 'made'}"


def correction_cards(
    correction: Correction,
    item: FrameInput,
    workspace: Workspace,
    overscan: float | None,
) -> list[Card]:
    """Say in cards what was taken out of a frame.

    Parameters
    ----------
    correction : Correction
        What was taken out.
    item : FrameInput
        The frame as planned.
    workspace : Workspace
        Where the dark fit is.
    overscan : float or None
        Level of the overscan that was subtracted, ADU.  What several amplifiers
        have read is said in `autoreduce.calibration.joined.amplifier_cards`.

    Returns
    -------
    list of Card
        CALSTAT (letters O, B, D, F), the masters, the dark's factor and the fit that
        gave it.
    """
    steps = {
        "O": overscan is not None,
        "B": correction.bias,
        "D": correction.dark,
        "F": correction.flat,
    }
    letters = "".join(letter for letter, done in steps.items() if done)
    cards = [Card("CALSTAT", letters, "O overscan B bias D dark F flat: done")]
    if overscan is not None and not item.amplifiers:
        cards.append(Card("OVERSCAN", overscan, "[adu] overscan level subtracted"))
        if item.calibration.overscan_rows:
            cards.append(Card("OVERROWS", True, "of each row by itself, smoothed"))
    elif item.pedestal:
        cards.append(Card("PEDSUB", item.pedestal, "[adu] pedestal subtracted"))
    if correction.linearity is not None:
        card = Card("LINCORR", str(correction.linearity), "made the counts linear")
        cards.append(card)
    for keyword, output in (
        ("BIASFILE", correction.bias),
        ("DARKFILE", correction.dark),
        ("FLATFILE", correction.flat),
        ("BADFILE", correction.bad_pixels),
    ):
        if output:
            cards.append(Card(keyword, output, "master used"))
        if output and (cut := dict(correction.cuts).get(output)):
            cards.append(Card(f"{keyword[:4]}CUT", cut, "part of it that was used"))
    if correction.shutter is not None:
        cards.append(Card("SHUTCORR", True, "flat taken to the exposure: its SHUTTER"))
    if correction.dark:
        cards += _dark_cards(correction, item, workspace)
    return cards


def _dark_cards(
    correction: Correction, item: FrameInput, workspace: Workspace
) -> list[Card]:
    plan = item.calibration
    cards = [
        Card("DARKSCAL", correction.dark_scale, "factor on the master dark"),
        Card("DARKOFFS", correction.dark_offset, "[adu] added to the scaled dark"),
        Card("DARKMETH", plan.dark_method, "exact, fit or scaled"),
    ]
    if correction.rates is not None:
        cards.append(
            Card("DARKRATE", correction.rates.file, "rates used, pixel by pixel")
        )
    if plan.dark_method is DarkMethod.FIT and plan.dark_fit:
        fit = read_fit(workspace.folder / plan.dark_fit)
        cards += [
            Card("DFOFFSET", fit["offset"], "[adu] dark fit: counts at no exposure"),
            Card("DFOFFERR", fit["offset_error"], "[adu] its error"),
            Card("DFSLOPE", fit["slope"], "[adu/s] dark fit: dark current"),
            Card("DFSLOERR", fit["slope_error"], "[adu/s] its error"),
            Card("DFCHISQ", fit["chi_square"], "dark fit: chi-square"),
            Card("DFPOINTS", fit["n"], "dark fit: exposures"),
        ]
    return cards
