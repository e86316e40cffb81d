"""Calibrated lights, and their stacks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from autoreduce.calibration.bands import (
    Correction,
    Floats,
    MasterRows,
    RawFrame,
    bands,
    calibrated_rows,
)
from autoreduce.calibration.corrections import correction, correction_cards, lost
from autoreduce.calibration.members import dark_columns, raw_columns
from autoreduce.calibration.uncertainty import Uncertainty, light_uncertainty
from autoreduce.calibration.workspace import Made, Workspace
from autoreduce.fits.cards import Card
from autoreduce.fits.writer import ImageWriter
from autoreduce.pixels.measure import FrameStatistics, measure
from autoreduce.pixels.stars import (
    NOT_MEASURED,
    LightStatistics,
    central_part,
    measure_light,
)
from autoreduce.planning.plan import FrameInput, Task
from autoreduce.products.provenance import PLANE_CARDS, product_cards, shifted_wcs
from autoreduce.remarks import Remark

KEEP = "KEEP"
"""Keyword that tells the stack to use a light whatever it is like."""
LIGHT_BAND = 32 << 20
"""Bytes of a band of a light: it stays in the cache from the kernel to the disk."""


def make_light(
    task: Task, space: Workspace, digest: str, made: Collection[str]
) -> Made:
    """Calibrate one light.

    Parameters
    ----------
    task : Task
        The light.
    space : Workspace
        Where.
    digest : str
        Digest of the task.
    made : collection of str
        Outputs of other tasks that could be made; the light is calibrated without
        the others, and says so.

    Returns
    -------
    Made
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
    fix = correction(item, space, made)
    with RawFrame(space.root, item) as frame:
        raw = measure(frame.rows(0, frame.shape[0]), saturate=frame.saturate)
        uncertainty = light_uncertainty(frame, fix, space) if space.planes else None
        doubts = lost(item, fix)
        if uncertainty is not None and uncertainty.unknown:
            doubts = (*doubts, uncertainty.unknown)
        header = _LightHeader(task, space, digest, fix, frame, doubts)
        with ImageWriter(
            space.folder / task.output,
            frame.shape,
            header_cards=len(header.cards(NOT_MEASURED)),
            planes=() if uncertainty is None else uncertainty.planes,
            overwrite=True,
        ) as writer:
            centre = _write_rows(writer, frame, fix, space, uncertainty)
            light = measure_light(centre)
            writer.finish(header.cards(light), plane_cards=PLANE_CARDS)
    return Made(
        statistics=_statistics(light, fix),
        remarks=doubts,
        measured={item.file: {**_measured(raw, light), **dark_columns(fix)}},
        n_used=1,
    )


@dataclass(frozen=True, slots=True)
class _LightHeader:
    """The header of a calibrated light; its length does not depend on its pixels."""

    task: Task
    space: Workspace
    digest: str
    fix: Correction
    frame: RawFrame
    doubts: tuple[Remark, ...]

    def cards(self, light: LightStatistics) -> list[bytes]:
        """Give all cards, with what was measured."""
        item, frame = self.frame.item, self.frame
        extra = [
            *_exposure_cards(item),
            *correction_cards(self.fix, item, self.space, frame.overscan),
            *_light_cards(light),
            Card(KEEP, item.keep, "asked for: never left out of a stack"),
            Card("RECIPE", self.space.recipe.name, "recipe"),
            Card("DIGEST", self.digest, "state of all that it was made from"),
        ]
        base = shifted_wcs(frame.cards, frame.origin[1], frame.origin[0])
        past = [str(one) for one in (*self.task.missing, *self.doubts)]
        return product_cards(self.task, extra, base=base, history=past)


def _write_rows(
    writer: ImageWriter,
    frame: RawFrame,
    fix: Correction,
    space: Workspace,
    uncertainty: Uncertainty | None,
) -> Floats:
    """Calibrate a light and write it band by band; return the part that is measured."""
    rows, columns = central_part(frame.shape)
    centre = np.empty(
        (rows.stop - rows.start, columns.stop - columns.start), np.float32
    )
    memory = min(space.memory, LIGHT_BAND)
    with MasterRows(
        space.folder, fix.masters, cuts=fix.cuts, store=space.store
    ) as masters:
        masters.check(frame.shape)
        for start, stop in bands(*frame.shape, 2, memory):
            band = calibrated_rows(frame, fix, masters, start, stop)
            writer.write_rows(start, band)
            if uncertainty is not None:
                planes = uncertainty.rows(frame, band, start, stop)
                for name, plane in planes.items():
                    writer.write_rows(start, plane, plane=name)
            first, last = max(start, rows.start), min(stop, rows.stop)
            if first < last:
                part = band[first - start : last - start, columns]
                centre[first - rows.start : last - rows.start] = part
    return centre


def _exposure_cards(item: FrameInput) -> list[Card]:
    """Give the exposure as the frame table has it, which the observer may have set."""
    if item.exptime is None:
        return []
    return [Card("EXPTIME", item.exptime, "[s] exposure")]


def _light_cards(light: LightStatistics) -> list[Card]:
    return [
        Card("SKYLEVEL", _known(light.sky_adu), "[adu] sky level"),
        Card("SKYNOISE", _known(light.sky_noise_adu), "[adu] sky noise"),
        Card("NSTARS", light.stars, "stars found"),
        Card("FWHM", _known(light.fwhm_pixel), "[pixel] median width of the stars"),
        Card("ELONGAT", _known(light.elongation), "median length over width"),
        Card("STARFLUX", _known(light.flux_adu), "[adu] median of the brightest stars"),
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _statistics(light: LightStatistics, fix: Correction) -> Mapping[str, float]:
    numbers = {
        "sky": light.sky_adu,
        "sky_noise": light.sky_noise_adu,
        "stars": math.nan if light.stars is None else float(light.stars),
        "fwhm": light.fwhm_pixel,
        "elongation": light.elongation,
        "star_flux": light.flux_adu,
    }
    if fix.dark:
        numbers |= {"dark_scale": fix.dark_scale, "dark_offset": fix.dark_offset}
    return _finite(numbers)


def _measured(raw: FrameStatistics, light: LightStatistics) -> dict[str, float]:
    columns = {
        "sky": light.sky_adu,
        "stars": math.nan if light.stars is None else float(light.stars),
        "fwhm": light.fwhm_pixel,
        "elongation": light.elongation,
    }
    return {**raw_columns(raw), **_finite(columns)}


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Leave out what could not be measured: JSON has no NaN."""
    return {name: float(n) for name, n in numbers.items() if math.isfinite(n)}
