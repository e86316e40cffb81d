"""Calibrated lights, and their stacks."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

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
from autoreduce.calibration.residuals import ROWS_TURNED, doubts_of_light
from autoreduce.calibration.uncertainty import Uncertainty, light_uncertainty
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import InputError
from autoreduce.fits.cards import Card, format_card, without
from autoreduce.fits.images import open_image
from autoreduce.fits.sections import moved_pattern
from autoreduce.fits.writer import MASK, UNCERT, ImageWriter
from autoreduce.frames.measured import MEASURED, MeasuredColumn, known
from autoreduce.pixels.bayer import (
    CELL,
    RGB,
    WHITE,
    Mosaic,
    is_known,
    mosaic,
    seen_patterns,
)
from autoreduce.pixels.cosmics import Hits, find_cosmics
from autoreduce.pixels.demosaic import ColourModel, colour_model, demosaic
from autoreduce.pixels.flags import Flag, marked_pixels
from autoreduce.pixels.measure import measure
from autoreduce.pixels.order import finite_median, quantiles
from autoreduce.pixels.stars import (
    LightStatistics,
    Stars,
    find_stars,
    on_sensor,
    superpixels,
)
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.products.airmass import Air, air_of
from autoreduce.products.barycentre import bjd_of_light
from autoreduce.products.gain import Gain, gain_of
from autoreduce.products.pointing import FOCUS_CARDS, pixel_scale_arcsec, place_cards
from autoreduce.products.provenance import (
    PLANE_CARDS,
    exposure_times,
    product_cards,
)
from autoreduce.products.starlist import stars_extension
from autoreduce.products.wcs import moved_wcs, turned_wcs
from autoreduce.remarks import ITSELF, Remark, remark

ADU = "adu"
"""Unit of pixel values, unless electrons are asked for."""
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
LEVEL_PIXELS = 256 * 1024
"""Pixels from which the level of a light is taken at the most, about."""
BANDS, SAMPLED = 8, 16
"""Bands of a light, and rows of each, that are held against its dark and flat."""
LIGHT_BAND = 32 << 20
"""Bytes of a band of a light: it stays in the cache from the kernel to the disk."""


def _read_noise(gain: Gain, frame: RawFrame) -> float | None:
    """Give the read noise, electron; that of all pixels of several amplifiers."""
    if gain.rdnoise is not None or frame.joined is None:
        return gain.rdnoise
    own = frame.joined.rdnoise(0, frame.shape[0], gain.egain)
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
    gain = gain_of(item, correction, workspace.folder, made)
    with RawFrame(workspace.root, item) as frame:
        correction = _with_bad_pixels(correction, workspace, frame)
        frame.hold(frame.rows(0, frame.shape[0]))
        raw_data = frame.rows(0, frame.shape[0])
        raw = measure(raw_data, saturate=frame.saturate, step=frame.step)
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
        hits = _cosmics(task, frame, correction, workspace, gain.egain)
        air = air_of(item, frame.raw)
        doubts = (*doubts, *air.doubts)
        unit = _unit(gain, workspace)
        if unit.name == ADU and workspace.electrons:
            doubts = (*doubts, remark("no-electrons"))
        header = _LightHeader(
            task, workspace, digest, correction, gain, frame, doubts, unit, hits
        )
        with (
            _masters(correction, workspace) as masters,
            ImageWriter(
                workspace.folder / task.output,
                frame.shape,
                header_cards=len(header.cards({})),
                planes=() if uncertainty is None else uncertainty.planes,
                overwrite=True,
                fill=workspace.fill,
            ) as writer,
        ):
            masters.check(frame.shape)
            band = min(workspace.memory, LIGHT_BAND)
            data = _write_rows(
                writer, frame, correction, masters, band, uncertainty, unit.of_adu, hits
            )
            frame.hold(None)
            full_at = _full_level(data, full, raw.median, frame.saturate)
            pattern = mosaic(str(task.facts.get("bayerpat") or ""), frame.origin)
            model = _colours(data, pattern, full_at)
            seen, found = _look(data, task, full_at, frame, gain.egain, pattern, model)
            seen = known({**_of_sky(air, frame), **seen})
            doubts = (*doubts, *_harm(data, task, correction, masters, seen))
            if model is not None:
                doubts = (*doubts, *_pattern_doubts(task, model))
            elif not task.is_mosaic:
                untold = _untold_pattern(data, correction, masters, frame.origin)
                doubts = (*doubts, *untold)
            header = replace(header, doubts=doubts)
            del data
            writer.finish(
                header.cards(unit.of(seen)),
                plane_cards=PLANE_CARDS | {UNCERT: _of_errors(unit, correction)},
                table=stars_extension(found, *unit),
            )
    return TaskResult(
        statistics=unit.of(seen) | _dark_numbers(correction),
        remarks=doubts,
        measured={item.file: {**raw_columns(raw), **seen, **dark_columns(correction)}},
        n_used=1,
    )


def _with_bad_pixels(
    correction: Correction, workspace: Workspace, frame: RawFrame
) -> Correction:
    """Leave the observer's map out that is no image of the size of the frame."""
    if correction.bad_pixels is None:
        return correction
    try:
        with open_image(workspace.folder / correction.bad_pixels) as reader:
            fits = reader.shape == frame.shape
    except InputError:
        fits = False
    return correction if fits else replace(correction, bad_pixels=None)


class _Unit(NamedTuple):
    """What a light is written in."""

    name: str = ADU
    """Its name in FITS."""
    of_adu: float = 1.0
    """How many of it are an ADU."""

    @property
    def card(self) -> Card:
        """Its card."""
        return Card("BUNIT", self.name, "unit of the pixel values")

    def of(self, seen: Mapping[str, float]) -> dict[str, float]:
        """Turn what was measured in ADU into the unit."""
        return {
            name: value * self.of_adu if name in _IN_ADU else value
            for name, value in seen.items()
        }

    def cards(self, gain: Gain) -> list[Card]:
        """Give the unit and the gain: of electrons 1, that of ADU beside it."""
        cards = gain.cards()
        if self.name == ADU:
            return cards
        kept = [card for card in cards if card.keyword != "EGAIN"]
        return [
            self.card,
            Card("EGAIN", 1.0, "[electron] pixel values are electrons"),
            Card("GAINUSED", self.of_adu, "[electron/adu] they were multiplied by"),
            *kept,
        ]


_IN_ADU = {one.name for one in MEASURED if one.unit == ADU}
"""What is measured in ADU."""


def _unit(gain: Gain, workspace: Workspace) -> _Unit:
    if not workspace.electrons or gain.egain is None:
        return _Unit()
    return _Unit("electron", gain.egain)


def _of_errors(unit: _Unit, correction: Correction) -> list[bytes]:
    """Give the cards of UNCERT: its unit, and what was not done and is not in it."""
    steps = ("bias", "dark", "flat")
    missing = [step for step in steps if getattr(correction, step) is None]
    card = Card("NOTIN", ", ".join(missing), "masters whose errors are not in it")
    return [*format_card(*unit.card), *(format_card(*card) if missing else ())]


def _full_pixels(raw: NDArray[Any], saturate: float | None) -> tuple[Any, ...]:
    """Find the saturated pixels of a raw frame: rows and columns."""
    if saturate is None:
        return (np.empty(0, np.intp), np.empty(0, np.intp))
    # Integers are compared as they are, not as 8 bytes each.
    level = math.ceil(saturate) if raw.dtype.kind in "ui" else saturate
    return marked_pixels(raw >= level)


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
    # An odd distance, as rows of a mosaic differ in colour by turns.
    some = data[:: data.size // LEVEL_PIXELS | 1]
    taken_out = raw_median - finite_median(some)
    levels = levels[levels > FILLED_BY_LIGHT * (saturate - taken_out)]
    return float(quantiles(levels, [0.01])[0]) if len(levels) else None


def _colours(
    data: Floats, pattern: Mosaic, saturate: float | None
) -> ColourModel | None:
    """Measure the colours of a mosaic, if it is one of which they are known."""
    if not is_known(pattern):
        return None
    return colour_model(data, pattern, math.inf if saturate is None else saturate)


def _pattern_doubts(task: Task, model: ColourModel) -> Iterator[Remark]:
    """Say where the pattern may not be the header's: by the greens, or by the subframe.

    Greens do not tell whether red and blue are swapped.
    """
    told = str(task.facts["bayerpat"])
    origin = [int(task.facts.get(f"{axis}orgsubf") or 0) % CELL for axis in "yx"]
    steps = [tuple(origin)] if sum(origin) == 1 else [(1, 0), (0, 1)]
    if model.is_elsewhere:
        code = "pattern-elsewhere"
    elif all(origin):
        code, steps = "odd-origin", [(1, 1)]
    else:
        return
    patterns = [moved_pattern(told, *step) for step in steps]
    yield remark(
        code,
        found=told,
        expected=" or ".join(patterns),
        way_out=f"--set '*: bayerpat={patterns[0]}'",
    )


def _untold_pattern(
    data: Floats, correction: Correction, masters: MasterRows, origin: tuple[int, int]
) -> Iterator[Remark]:
    """Say that a light without a pattern shows colours: in its flat, else in its sky."""
    bands = [(start // CELL * CELL, stop) for start, stop in spans(len(data))]
    if correction.flat:
        parts = [masters.flat(correction, *span) for span in bands]
    else:
        parts = [data[start:stop] for start, stop in bands]
    whole = [part[: len(part) // CELL * CELL] for part in parts if part is not None]
    if patterns := seen_patterns(np.concatenate(whole), origin):
        way_out = f"--set '*: bayerpat={patterns[0]}'"
        yield remark("untold-colours", found=" or ".join(patterns), way_out=way_out)


def _look(
    data: Floats,
    task: Task,
    saturate: float | None,
    frame: RawFrame,
    gain: float | None,
    pattern: Mosaic,
    model: ColourModel | None,
) -> tuple[dict[str, float], NDArray[Any]]:
    """Measure sky and stars of a calibrated light; of a mosaic, those of its green.

    What stands out in a spectrum is no star: its sky alone is measured.
    """
    # Sky within one unit of whole numbers shows no scatter of its own.
    least = QUANTISED if frame.dtype.kind in "iu" else 0.0
    found = _stars_of(data, pattern, model, saturate, gain, least)
    light, table = found.statistics, found.table
    if task.is_spectrum:
        light = LightStatistics(light.sky_adu, light.sky_noise_adu, None, math.nan)
        table = table[:0]
    scale = pixel_scale_arcsec(frame.raw)
    return known(
        {
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


def _of_sky(air: Air, frame: RawFrame) -> dict[str, float | None]:
    """Tell when and through how much air a light was taken, and with what focus."""
    return {
        "bjd_tdb": bjd_of_light(air.item),
        "airmass": air.airmass,
        "focus": frame.raw.number(*FOCUS_CARDS),
    }


def _stars_of(
    data: Floats,
    pattern: Mosaic,
    model: ColourModel | None,
    saturate: float | None,
    gain: float | None,
    least: float,
) -> Stars:
    """Find the stars of a light; of a mosaic in green, of unknown colours in their mean."""
    if pattern is WHITE:
        return find_stars(data, saturate=saturate, gain=gain, least_noise=least)
    if model is not None:
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
    unit: "_Unit"
    hits: Hits | None

    def cards(self, seen: Mapping[str, float]) -> list[bytes]:
        """Give all cards, with what was measured."""
        item, frame = self.frame.item, self.frame
        extra = [
            *_exposure_cards(item),
            *self.unit.cards(self.gain),
            *_hit_cards(self.hits),
            *exposure_times(item),
            *place_cards(item, frame.raw),
            *correction_cards(self.correction, item, self.workspace, frame.overscan),
            *frame.readout_cards,
            *_light_cards(seen, self.unit.name),
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
        y_sum = frame.raw_shape[0] + 1 if frame.item.turned else None
        turned = turned_wcs(frame.cards, None, y_sum)
        return moved_wcs(turned, frame.origin[1], frame.origin[0])
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
    masters: MasterRows,
    memory: int,
    uncertainty: Uncertainty | None,
    scale: float,
    hits: Hits | None,
) -> Floats:
    """Calibrate a light and write it band by band, scaled; return it in ADU."""
    whole = np.empty(frame.shape, np.float32)
    for start, stop in bands(*frame.shape, 2, memory):
        band = calibrated_rows(
            frame, correction, masters, start, stop, whole[start:stop]
        )
        hit = None if hits is None else hits.within(start, stop)
        if hit is not None:
            band[hit.y, hit.x] = hit.value
        writer.write_rows(start, _scaled(band, scale))
        if uncertainty is not None:
            planes = dict(uncertainty.rows(frame, band, start, stop))
            if hit is not None:
                planes[MASK][hit.y, hit.x] |= np.uint8(_HIT)
            writer.write_rows(start, planes[MASK], plane=MASK)
            if UNCERT in planes:
                sigma = _scaled(planes[UNCERT], scale)
                writer.write_rows(start, sigma, plane=UNCERT)
    return whole


def _hit_cards(hits: Hits | None) -> list[Card]:
    if hits is None:
        return []
    return [Card("NCOSMIC", len(hits.y), "pixels hit by cosmic rays, repaired")]


_HIT = Flag.COSMIC_RAY | Flag.REPAIRED


def _cosmics(
    task: Task,
    frame: RawFrame,
    correction: Correction,
    workspace: Workspace,
    gain: float | None,
) -> Hits | None:
    """Look for cosmic rays, if that is asked for; not in mosaics, which are all edges."""
    if not workspace.recipe.light.cosmics or task.is_mosaic:
        return None
    with _masters(correction, workspace) as masters:
        data = calibrated_rows(frame, correction, masters, 0, frame.shape[0])
    stars = find_stars(data, saturate=None, gain=gain)
    return find_cosmics(data, stars, gain=gain, saturate=frame.saturate)


def _scaled(data: Floats, scale: float) -> Floats:
    return data if scale == 1 else data * np.float32(scale)


def _masters(correction: Correction, workspace: Workspace) -> MasterRows:
    """Open the masters that are taken out of a light."""
    maps = (correction.bad_pixels,) if correction.bad_pixels else ()
    return MasterRows(
        workspace.folder,
        (*correction.masters, *maps),
        cuts=correction.cuts,
        store=workspace.store,
    )


def _harm(
    data: Floats,
    task: Task,
    correction: Correction,
    masters: MasterRows,
    seen: Mapping[str, float],
) -> tuple[Remark, ...]:
    """Say what some rows of a calibrated light tell against its masters."""
    (item,), bands = task.frames, spans(len(data))
    rows = np.concatenate([data[start:stop] for start, stop in bands])
    taken = flat = bias = None
    if correction.dark:
        taken = np.concatenate([masters.taken(correction, *span) for span in bands])
    elif correction.bias:
        parts = [masters.rows(correction.bias, *span) for span in bands]
        bias = np.concatenate([part for part in parts if part is not None])
    # A spectrum has no sky that a flat makes even.
    if correction.flat and not task.is_spectrum:
        parts = [masters.flat(correction, *span) for span in bands]
        flat = np.concatenate([part for part in parts if part is not None])
    sky, noise = (seen.get(name, math.nan) for name in ("sky", "sky_noise"))
    pedestal = None if item.has_overscan else item.pedestal or 0.0
    return tuple(
        replace(one, way_out=one.way_out or _way_out(one, item), subject=(item.file,))
        for one in doubts_of_light(rows, taken, sky, noise, flat, pedestal, bias)
    )


def spans(ny: int) -> list[tuple[int, int]]:
    """Give bands of rows over a light, which lie alike when its rows are turned.

    Parameters
    ----------
    ny : int
        Rows of the light.

    Returns
    -------
    list of (int, int)
        First row and the one behind the last of each band by which its masters are judged.
    """
    last = max(0, ny - SAMPLED)
    lower = np.linspace(0, last / 2, BANDS // 2 + 1).astype(int)[:-1].tolist()
    starts = [*lower, *(last - start for start in reversed(lower))]
    return [(start, min(start + SAMPLED, ny)) for start in starts]


def _way_out(doubt: Remark, item: FrameInput) -> str:
    """Write what takes out the master that is doubted, or turns the light to it."""
    if doubt.code == "pedestal-not-added":
        return f"--set '{ITSELF}: pedestal=0'"
    if doubt.code == "dark-turned" and doubt.expected == ROWS_TURNED:
        return f"--set '{ITSELF}: turned={'no' if item.turned else 'yes'}'"
    return f"--set '{ITSELF}: {doubt.need}=none'" if doubt.need else ""


def _exposure_cards(item: FrameInput) -> list[Card]:
    """Give the exposure as the frame table has it, which the observer may have set."""
    if item.exptime is None:
        return []
    return [Card("EXPTIME", item.exptime, "[s] exposure")]


def _light_cards(seen: Mapping[str, float], unit: str) -> list[Card]:
    """Tell what was measured; a level of saturation only where pixels are saturated."""
    return [
        Card(one.keyword, _value(one, seen), _comment(one, unit))
        for one in MEASURED
        if one.keyword and (one.name in seen or one.name != "saturate")
    ]


def _value(one: MeasuredColumn, seen: Mapping[str, float]) -> float | int | None:
    value = seen.get(one.name)
    return int(value) if one.whole and value is not None else value


def _comment(one: MeasuredColumn, unit: str) -> str:
    shown = unit if one.unit == ADU else one.unit
    return f"[{shown}] {one.comment}" if shown else one.comment


def _dark_numbers(correction: Correction) -> dict[str, float]:
    if not correction.dark:
        return {}
    return {"dark_scale": correction.dark_scale, "dark_offset": correction.dark_offset}
