"""Calibrated lights, and their stacks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.calibration.bands import (
    Correction,
    Floats,
    MasterRows,
    RawFrame,
    bands,
    calibrated_rows,
)
from autoreduce.calibration.corrections import correction_cards, correction_for, lost
from autoreduce.calibration.members import dark_columns, raw_columns
from autoreduce.calibration.residuals import doubts_of_light
from autoreduce.calibration.uncertainty import Uncertainty, light_uncertainty
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.fits.cards import Card, without
from autoreduce.fits.writer import ImageWriter
from autoreduce.frames.measured import MEASURED, MeasuredColumn, known
from autoreduce.pixels.bayer import RGB, WHITE, Mosaic, is_known, mosaic
from autoreduce.pixels.demosaic import colour_model, demosaic
from autoreduce.pixels.measure import measure
from autoreduce.pixels.stars import Stars, find_stars, on_sensor, superpixels
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.products.barycentre import bjd_of_light
from autoreduce.products.gain import Gain, gain_of
from autoreduce.products.pointing import FOCUS_CARDS, airmass, pixel_scale_arcsec
from autoreduce.products.provenance import (
    PLANE_CARDS,
    exposure_times,
    product_cards,
)
from autoreduce.products.starlist import stars_extension
from autoreduce.products.wcs import moved_wcs, turned_wcs
from autoreduce.remarks import ITSELF, Remark

KEEP = "KEEP"
"""Keyword that tells the stack to use a light whatever it is like."""
_OF_ONE_AMPLIFIER = (
    "DETSEC*", "CCDSEC*", "AMPSEC*", "DATASEC*", "BIASSEC*", "TRIMSEC*", "POSTSEC*",
    "PRESEC*", "GAIN*", "RDNOISE*", "SATURAT*", "EXTNAME", "EXTVER", "AMPNAME", "ATM*",
    "ATV*", "DTM*", "DTV*",
)  # fmt: skip
"""Cards that hold for one of several amplifiers."""
QUANTISED = 1 / math.sqrt(12)
"""Noise that whole numbers have at the least, ADU."""
FILLED_BY_LIGHT = 0.5
"""Part of the level at which usual pixels are full that a pixel filled by light has."""
BANDS, SAMPLED = 8, 16
"""Bands of a light, and rows of each, that are held against its dark."""
LIGHT_BAND = 32 << 20
"""Bytes of a band of a light: it stays in the cache from the kernel to the disk."""


def _read_noise(gain: Gain, frame: RawFrame) -> float | None:
    """Give the read noise, electron; that of all pixels of several amplifiers."""
    if gain.rdnoise is not None or frame.joined is None:
        return gain.rdnoise
    own = frame.joined.rdnoise(0, frame.shape[0])
    return None if own is None else float(np.sqrt(np.nanmean(own**2)))


def make_light(
    task: Task, workspace: Workspace, digest: str, made: Collection[str]
) -> TaskResult:
    """Calibrate one light.

    Parameters
    ----------
    task : Task
        The light.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    made : collection of str
        Outputs of other tasks that could be made; the light is calibrated without
        the others, and says so.

    Returns
    -------
    TaskResult
        ``sky``, ``sky_noise`` (ADU), ``stars``, ``fwhm`` (pixel), ``elongation``,
        ``star_flux``, ``dark_scale`` and ``dark_offset`` (ADU) as statistics.

    Raises
    ------
    InputError
        If the raw frame cannot be read.
    ProductError
        If a master has another size, or the product cannot be written.
    """
    (item,) = task.frames
    correction = correction_for(item, workspace, made)
    gain = gain_of(item, correction, workspace.folder)
    with RawFrame(workspace.root, item) as frame:
        raw_data = frame.rows(0, frame.shape[0])
        raw = measure(raw_data, saturate=frame.saturate)
        found_full = frame.fill_at(raw.full_at)
        full = _full_pixels(raw_data, frame.saturate if raw.saturated else None)
        del raw_data
        uncertainty = (
            light_uncertainty(
                correction, workspace, gain.egain, _read_noise(gain, frame)
            )
            if workspace.planes
            else None
        )
        doubts = (*lost(item, correction), *frame.doubts, *gain.doubts())
        if found_full is not None:
            doubts = (*doubts, found_full)
        if uncertainty is not None and uncertainty.unknown:
            doubts = (*doubts, uncertainty.unknown)
        header = _LightHeader(task, workspace, digest, correction, gain, frame, doubts)
        with ImageWriter(
            workspace.folder / task.output,
            frame.shape,
            header_cards=len(header.cards({})),
            planes=() if uncertainty is None else uncertainty.planes,
            overwrite=True,
        ) as writer:
            data = _write_rows(writer, frame, correction, workspace, uncertainty)
            seen, found = _look(
                data,
                _full_level(data, full, raw.median, frame.saturate),
                frame,
                gain.egain,
                mosaic(str(task.facts.get("bayerpat") or ""), frame.origin),
            )
            doubts = (*doubts, *_harm(data, frame.item, correction, seen, workspace))
            header = replace(header, doubts=doubts)
            del data
            writer.finish(
                header.cards(seen),
                plane_cards=PLANE_CARDS,
                table=stars_extension(found),
            )
    return TaskResult(
        statistics=seen | _dark_numbers(correction),
        remarks=doubts,
        measured={item.file: {**raw_columns(raw), **seen, **dark_columns(correction)}},
        n_used=1,
    )


def _full_pixels(raw: NDArray[Any], saturate: float | None) -> tuple[Any, ...]:
    """Find the saturated pixels of a raw frame: rows and columns."""
    if saturate is None:
        return (np.empty(0, np.intp), np.empty(0, np.intp))
    return np.nonzero(raw >= saturate)


def _full_level(
    data: Floats, full: tuple[Any, ...], raw_median: float, saturate: float | None
) -> float | None:
    """Give the level of a calibrated light at which its pixels are full.

    A hot pixel may be filled by its own dark counts, and has little or less than nothing
    when these are out: it tells nothing of the pixels that light fills.
    """
    levels = data[full]
    if saturate is None or not len(levels):
        return None
    taken_out = raw_median - float(np.nanmedian(data))
    levels = levels[levels > FILLED_BY_LIGHT * (saturate - taken_out)]
    return float(np.percentile(levels, 1)) if len(levels) else None


def _look(
    data: Floats,
    saturate: float | None,
    frame: RawFrame,
    gain: float | None,
    pattern: Mosaic,
) -> tuple[dict[str, float], NDArray[Any]]:
    """Measure sky and stars of a calibrated light; of a mosaic, those of its green."""
    # Sky within one unit of whole numbers shows no scatter of its own.
    least = QUANTISED if frame.dtype.kind in "iu" else 0.0
    found = _stars_of(data, pattern, saturate, gain, least)
    light, table = found.statistics, found.table
    scale = pixel_scale_arcsec(frame.raw)
    return known(
        {
            "bjd_tdb": bjd_of_light(frame.item, frame.raw),
            "airmass": airmass(frame.raw),
            "focus": frame.raw.number(*FOCUS_CARDS),
            "sky": light.sky_adu,
            "sky_noise": light.sky_noise_adu,
            "stars": light.stars,
            "fwhm": light.fwhm_pixel,
            "fwhm_arcsec": scale and light.fwhm_pixel * scale,
            "elongation": light.elongation,
            "star_flux": light.flux_adu,
            "saturate": saturate,
        }
    ), table


def _stars_of(
    data: Floats,
    pattern: Mosaic,
    saturate: float | None,
    gain: float | None,
    least: float,
) -> Stars:
    """Find the stars of a light; of a mosaic in green, of unknown colours in their mean."""
    if pattern is WHITE:
        return find_stars(data, saturate=saturate, gain=gain, least_noise=least)
    if is_known(pattern):
        model = colour_model(data, pattern, math.inf if saturate is None else saturate)
        green = demosaic(data, 0, model, "G")
        found = find_stars(green, saturate=saturate, gain=gain, least_noise=least)
        noise = max(model.levels[RGB.index("G")].noise, least)
        return found._replace(statistics=found.statistics._replace(sky_noise_adu=noise))
    four = gain and 4 * gain
    found = find_stars(
        superpixels(data), saturate=saturate, gain=four, least_noise=least
    )
    table, light = on_sensor(found.table, 2), found.statistics
    table["flux"] *= 4
    table["flux_error"] *= 4
    return Stars(
        table,
        light._replace(
            sky_noise_adu=light.sky_noise_adu * 2,
            fwhm_pixel=light.fwhm_pixel * 2,
            flux_adu=light.flux_adu * 4,
        ),
    )


@dataclass(frozen=True, slots=True)
class _LightHeader:
    """The header of a calibrated light; its length does not depend on its pixels."""

    task: Task
    workspace: Workspace
    digest: str
    correction: Correction
    gain: Gain
    frame: RawFrame
    doubts: tuple[Remark, ...]

    def cards(self, seen: Mapping[str, float]) -> list[bytes]:
        """Give all cards, with what was measured."""
        item, frame = self.frame.item, self.frame
        extra = [
            *_exposure_cards(item),
            *self.gain.cards(),
            *exposure_times(item),
            *correction_cards(self.correction, item, self.workspace, frame.overscan),
            *frame.readout_cards,
            *_light_cards(seen),
            Card(KEEP, item.keep, "asked for: never left out of a stack"),
            Card("RECIPE", self.workspace.recipe.name, "recipe"),
            Card("DIGEST", self.digest, "state of all that it was made from"),
        ]
        base = _base(frame)
        past = [str(one) for one in (*self.task.missing, *self.doubts)]
        return product_cards(self.task, extra, base=base, history=past)


def _base(frame: RawFrame) -> list[bytes]:
    """Give the cards of the raw frame, their coordinates those of the product."""
    if frame.joined is None:
        return moved_wcs(frame.cards, frame.origin[1], frame.origin[0])
    first = frame.joined.readouts[0]
    kept = without(frame.cards, _OF_ONE_AMPLIFIER)
    if "CRPIX1" not in frame.joined.own_keywords:
        return kept
    (rows, columns), (y_turned, x_turned) = first.data, first.backwards
    turned = turned_wcs(
        kept,
        columns.start + columns.stop + 1 if x_turned else None,
        rows.start + rows.stop + 1 if y_turned else None,
    )
    y0, x0 = (
        data.start - place.start
        for data, place in zip(first.data, first.place, strict=True)
    )
    return moved_wcs(turned, x0, y0)


def _write_rows(
    writer: ImageWriter,
    frame: RawFrame,
    correction: Correction,
    workspace: Workspace,
    uncertainty: Uncertainty | None,
) -> Floats:
    """Calibrate a light and write it band by band; return it."""
    whole = np.empty(frame.shape, np.float32)
    memory = min(workspace.memory, LIGHT_BAND)
    with _masters(correction, workspace) as masters:
        masters.check(frame.shape)
        for start, stop in bands(*frame.shape, 2, memory):
            band = calibrated_rows(frame, correction, masters, start, stop)
            writer.write_rows(start, band)
            if uncertainty is not None:
                planes = uncertainty.rows(frame, band, start, stop)
                for name, plane in planes.items():
                    writer.write_rows(start, plane, plane=name)
            whole[start:stop] = band
    return whole


def _masters(correction: Correction, workspace: Workspace) -> MasterRows:
    """Open the masters that are taken out of a light."""
    return MasterRows(
        workspace.folder,
        correction.masters,
        cuts=correction.cuts,
        store=workspace.store,
    )


def _harm(
    data: Floats,
    item: FrameInput,
    correction: Correction,
    seen: Mapping[str, float],
    workspace: Workspace,
) -> tuple[Remark, ...]:
    """Say what some rows of a calibrated light tell against its masters."""
    ny = len(data)
    starts = np.linspace(0, max(0, ny - SAMPLED), BANDS).astype(int)
    spans = [(start, min(start + SAMPLED, ny)) for start in starts.tolist()]
    rows = np.concatenate([data[start:stop] for start, stop in spans])
    taken = None
    if correction.dark:
        with _masters(correction, workspace) as masters:
            taken = np.concatenate([masters.taken(correction, *span) for span in spans])
    sky, noise = (seen.get(name, math.nan) for name in ("sky", "sky_noise"))
    way_out = f"--set '{ITSELF}: dark=none'"
    return tuple(
        replace(one, way_out=way_out if one.need else "", subject=(item.file,))
        for one in doubts_of_light(rows, taken, sky, noise)
    )


def _exposure_cards(item: FrameInput) -> list[Card]:
    """Give the exposure as the frame table has it, which the observer may have set."""
    if item.exptime is None:
        return []
    return [Card("EXPTIME", item.exptime, "[s] exposure")]


def _light_cards(seen: Mapping[str, float]) -> list[Card]:
    """Tell what was measured; a level of saturation only where pixels are saturated."""
    return [
        Card(one.keyword, _value(one, seen), _comment(one))
        for one in MEASURED
        if one.keyword and (one.name in seen or one.name != "saturate")
    ]


def _value(one: MeasuredColumn, seen: Mapping[str, float]) -> float | int | None:
    value = seen.get(one.name)
    return int(value) if one.whole and value is not None else value


def _comment(one: MeasuredColumn) -> str:
    return f"[{one.unit}] {one.comment}" if one.unit else one.comment


def _dark_numbers(correction: Correction) -> dict[str, float]:
    if not correction.dark:
        return {}
    return {"dark_scale": correction.dark_scale, "dark_offset": correction.dark_offset}
