"""What is taken out of a frame, decided once the masters are there, and its cards."""

import math
from collections.abc import Collection
from dataclasses import replace

from autoreduce.calibration.bands import Correction
from autoreduce.calibration.dark_rates import DarkRates, read_fit
from autoreduce.calibration.workspace import Workspace
from autoreduce.fits.cards import Card
from autoreduce.pixels.darkcurrent import rate_scaling, ratio_error, ratio_scaling
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import DarkModel
from autoreduce.planning.use import DarkMethod, is_absolute
from autoreduce.remarks import Remark, remark


def correction(item: FrameInput, space: Workspace, made: Collection[str]) -> Correction:
    """Decide what is taken out of a frame, now that the masters are known.

    Parameters
    ----------
    item : FrameInput
        The frame and its calibration as planned.
    space : Workspace
        Where the masters are.
    made : set of str
        Outputs that could be made; the others are left out.

    Returns
    -------
    Correction
        Without a master that was planned but not made; a dark that is not exact
        needs its bias.
    """
    plan = item.calibration
    bias = plan.bias if plan.bias in made else None
    flat = plan.flat if plan.flat in made else None
    usable = plan.dark in made and (plan.bias is None or bias is not None)
    if not usable:
        # A frame that keeps its zero level is divided by no flat.
        lost_bias = plan.bias is not None and bias is None
        is_bare = bool(flat) and lost_bias and plan.overscan is None
        flat = None if is_bare else flat
        return Correction(bias=bias, flat=flat, cuts=plan.cuts, is_bare=is_bare)
    fix = Correction(
        bias=bias,
        dark=plan.dark,
        dark_scale=1.0 if plan.dark_scale is None else plan.dark_scale,
        dark_offset=plan.dark_offset,
        flat=flat,
        cuts=plan.cuts,
    )
    return (
        _fitted(fix, item, space, made) if plan.dark_method is DarkMethod.FIT else fix
    )


def _fitted(
    fix: Correction, item: FrameInput, space: Workspace, made: Collection[str]
) -> Correction:
    """Take the dark to the frame's exposure, by the night's fit and the model."""
    plan, model = item.calibration, space.recipe.dark.model
    t, master_t = item.exptime or 0.0, plan.dark_exptime or math.nan
    if not plan.dark_fit or plan.dark_fit not in made:
        return replace(fix, dark_scale=t / master_t)
    fit = read_fit(space.folder / plan.dark_fit)
    offset, slope = fit["offset"], fit["slope"]
    if model is DarkModel.RATIO and fit["linear"]:
        errors = fit["offset_error"], fit["slope_error"], fit["covariance"]
        return replace(
            fix,
            dark_scale=ratio_scaling(t, master_t, offset=offset, slope=slope).scale,
            scale_error=ratio_error(t, master_t, (offset, slope), errors),
        )
    scaling = rate_scaling(t, master_t, offset=offset if fit["linear"] else 0.0)
    fix = replace(fix, dark_scale=scaling.scale, dark_offset=scaling.offset)
    if model is DarkModel.RATE_MAP:
        rates = DarkRates.from_fit(fit)
        exptime = rates.equivalent_s(t, item.ccd_temp)
        return replace(fix, rates=rates, exptime=exptime, cuts=_all_cuts(plan, rates))
    error = abs(1 - scaling.scale) * fit["offset_error"] if fit["linear"] else 0.0
    return replace(fix, offset_error=error)


def _all_cuts(plan: Calibration, rates: DarkRates) -> tuple[tuple[str, str], ...]:
    """Cut all that the rates come from as the dark that was chosen."""
    cut = dict(plan.cuts).get(plan.dark or "")
    more = () if cut is None else tuple((output, cut) for output in rates.outputs)
    return tuple(dict.fromkeys((*plan.cuts, *more)))


def lost(item: FrameInput, fix: Correction) -> tuple[Remark, ...]:
    """Name the masters that were planned for a frame and are not taken out of it."""
    plan = item.calibration
    pairs = (
        ("bias", plan.bias, fix.bias),
        ("dark", plan.dark, fix.dark),
        ("flat", plan.flat, fix.flat),
    )
    return tuple(
        remark("bare-light")
        if need == "flat" and fix.is_bare
        else remark(f"{need}-lost", found=_not_there(planned))
        for need, planned, used in pairs
        if planned and not used
    )


def _not_there(output: str) -> str:
    return f"{output} could not be {'read' if is_absolute(output) else 'made'}"


def correction_cards(
    fix: Correction, item: FrameInput, space: Workspace, overscan: float | None
) -> list[Card]:
    """Say in cards what was taken out of a frame.

    Parameters
    ----------
    fix : Correction
        What was taken out.
    item : FrameInput
        The frame as planned.
    space : Workspace
        Where the dark fit is.
    overscan : float or None
        Level of the overscan that was subtracted, ADU.

    Returns
    -------
    list of Card
        CALSTAT (letters O, B, D, F), the masters, the dark's factor and the fit that
        gave it.
    """
    steps = {"O": overscan is not None, "B": fix.bias, "D": fix.dark, "F": fix.flat}
    letters = "".join(letter for letter, done in steps.items() if done)
    cards = [Card("CALSTAT", letters, "O overscan B bias D dark F flat: done")]
    if overscan is not None:
        cards.append(Card("OVERSCAN", overscan, "[adu] overscan level subtracted"))
    elif item.pedestal:
        cards.append(Card("PEDSUB", item.pedestal, "[adu] pedestal subtracted"))
    for keyword, output in (
        ("BIASFILE", fix.bias),
        ("DARKFILE", fix.dark),
        ("FLATFILE", fix.flat),
    ):
        if output:
            cards.append(Card(keyword, output, "master used"))
        if output and (cut := dict(fix.cuts).get(output)):
            cards.append(Card(f"{keyword[:4]}CUT", cut, "part of it that was used"))
    if fix.dark:
        cards += _dark_cards(fix, item, space)
    return cards


def _dark_cards(fix: Correction, item: FrameInput, space: Workspace) -> list[Card]:
    plan = item.calibration
    cards = [
        Card("DARKSCAL", fix.dark_scale, "factor on the master dark"),
        Card("DARKOFFS", fix.dark_offset, "[adu] added to the scaled dark"),
        Card("DARKMETH", plan.dark_method, "exact, fit or scaled"),
    ]
    if fix.rates is not None:
        cards.append(Card("DARKRATE", fix.rates.file, "rates used, pixel by pixel"))
    if plan.dark_method is DarkMethod.FIT and plan.dark_fit:
        fit = read_fit(space.folder / plan.dark_fit)
        cards += [
            Card("DFOFFSET", fit["offset"], "[adu] dark fit: counts at no exposure"),
            Card("DFOFFERR", fit["offset_error"], "[adu] its error"),
            Card("DFSLOPE", fit["slope"], "[adu/s] dark fit: dark current"),
            Card("DFSLOERR", fit["slope_error"], "[adu/s] its error"),
            Card("DFCHISQ", fit["chi_square"], "dark fit: chi-square"),
            Card("DFPOINTS", fit["n"], "dark fit: exposures"),
        ]
    return cards
