"""Simulate a night: every frame of a listing, and the truth behind it."""

import csv
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.header import read_headers
from autoreduce.simulate import detector as pixels
from autoreduce.simulate import sky
from autoreduce.simulate.amplifiers import Image, images_of, read_out
from autoreduce.simulate.listing import (
    Detector,
    Filter,
    ListedFrame,
    Listing,
    Target,
    read_listing,
)

Floats = NDArray[np.float32]
Row = dict[str, object]

TRUTH_COLUMNS = (
    "name",
    "imagetyp",
    "setup",
    "filter",
    "exptime",
    "level_adu",
    "median_scene_e",
    "dx",
    "dy",
    "fault",
)
COSMICS_COLUMNS = ("name", "row", "column", "electrons")
_TRUTH_TABLES = ("truth.csv", "cosmics.csv")
MARK = ("SIMULATE", True, "made by autoreduce simulate, not by a camera")
"""Card of every file that is simulated; none without it is ever replaced."""

SATELLITE_FWHM = 3.0


@dataclass(frozen=True, slots=True)
class Camera:
    """A detector's fixed patterns, drawn once for the night."""

    detector: Detector
    shape: tuple[int, int]
    """Rows and columns, without overscan."""
    bias_adu: Floats
    dark_e_per_s: Floats
    response: Mapping[str, Floats]
    """Relative sensitivity through each filter, mean 1."""
    twilight: sky.Catalogue
    """Stars that trail through the flats."""
    targets: Mapping[str, tuple[sky.Catalogue, Floats]]
    """Stars of each target, and its nebula in e/s/pixel."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One simulated frame and what went into it, without noise."""

    images: tuple[NDArray[np.uint16], ...]
    """(ny, nx + overscan) data numbers as the camera writes them, of each amplifier."""
    scene_e: Floats
    """(ny, nx) sky, stars and nebula of a flat or light, before the response."""
    trails_e: Floats
    """(ny, nx) part of `scene_e` that is star trails (flats only)."""
    cosmics: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]
    """Rows, columns and electrons of cosmic rays."""
    shift: tuple[float, float]
    """Pointing, pixels."""
    level_adu: float
    """Level added to the bias of this frame."""

    @property
    def raw(self) -> NDArray[np.uint16]:
        """What a single amplifier, or the first of several, writes."""
        return self.images[0]


@dataclass(frozen=True, slots=True)
class SimulatedNight:
    """A listing with its cameras drawn: ready to expose any of its frames."""

    listing: Listing
    seed: int
    cameras: Mapping[str, Camera]

    def expose(self, frame: ListedFrame) -> Exposure:
        """Simulate one frame; the same whatever was exposed before."""
        camera = self.cameras[frame.setup]
        chip = (frame.setup,) if self.listing.mosaic else ()
        rng = self.generator("frame", frame.name, *chip)
        scene, trails, shift = self._scene(frame, camera, rng)
        expected = (
            self._dark_e(frame, camera) if frame.imagetyp != "bias" else 0 * scene
        )
        if frame.filter in camera.response:
            light = scene * camera.response[frame.filter]
            if camera.detector.shutter_s:
                delay = pixels.shutter_delay(camera.detector, camera.shape)
                light *= 1 + delay / np.float32(frame.exptime_s)
            expected += light
        electrons = pixels.photon_noise(expected, rng)
        time = 0.0 if frame.imagetyp == "bias" else frame.exptime_s
        cosmics = pixels.cosmic_rays(camera.detector, camera.shape, time, rng)
        np.add.at(electrons, cosmics[:2], cosmics[2].astype(np.float32))
        electrons = pixels.compressed(camera.detector, electrons)
        level = rng.normal(0, camera.detector.bias_level_jitter_adu)
        level += frame.faults.get("level", 0.0)
        level += 0 if frame.imagetyp == "bias" else camera.detector.dark_offset_adu
        images = read_out(camera.detector, electrons, camera.bias_adu, level, rng)
        if "zero" in frame.faults:
            for image in images:
                image[:] = 0
        return Exposure(images, scene, trails, cosmics, shift, level)

    def generator(self, *names: str) -> np.random.Generator:
        """Return the source of random numbers that belongs to some name."""
        key = [zlib.crc32(name.encode()) for name in names]
        seeds = np.random.SeedSequence(self.seed, spawn_key=key)
        return np.random.Generator(np.random.SFC64(seeds))

    def _dark_e(self, frame: ListedFrame, camera: Camera) -> Floats:
        """Return dark current, afterglow and light leak, in electrons."""
        detector, faults = camera.detector, frame.faults
        reference = detector.set_temp_c
        held = reference if frame.set_temp_c is None else frame.set_temp_c
        warmer = held - reference + faults.get("warm", 0.0)
        factor = 2 ** (warmer / detector.dark_doubling_c)
        electrons = camera.dark_e_per_s * np.float32(factor * frame.exptime_s)
        ny, nx = camera.shape
        if glow := faults.get("afterglow"):
            y, x = np.ogrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j]
            shape = glow * (1 - 0.3 * (x**2 + y**2))
            electrons += (shape * detector.gain_e_per_adu).astype(np.float32)
        if leak := faults.get("light_leak"):
            y, x = np.ogrid[0 : 1 : ny * 1j, 0 : 1 : nx * 1j]
            shape = leak * (1 - x) ** 2 * (1 - 0.5 * y)
            electrons += (shape * detector.gain_e_per_adu).astype(np.float32)
        return electrons

    def _scene(
        self, frame: ListedFrame, camera: Camera, rng: np.random.Generator
    ) -> tuple[Floats, Floats, tuple[float, float]]:
        """Return the light of a frame, the trails in it, and its pointing."""
        dark = np.zeros(camera.shape, np.float32)
        if frame.imagetyp == "flat":
            return *self._flat_e(frame, camera, rng), (0.0, 0.0)
        if frame.imagetyp != "light":
            return dark, dark, (0.0, 0.0)
        dx, dy = rng.normal(0, camera.detector.pointing_pixels, 2)
        scene = self._light_e(frame, camera, (float(dx), float(dy)))
        if charge := frame.faults.get("satellite"):
            _add_satellite(scene, charge, rng)
        scene *= np.float32(_transmission(frame))
        return scene, dark, (float(dx), float(dy))

    def _flat_e(
        self, frame: ListedFrame, camera: Camera, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        twilight, detector = self.listing.twilight, camera.detector
        elapsed = (frame.date_obs - self.listing.first_flat).total_seconds()
        fade = np.exp(-elapsed / twilight.decline_s) if twilight.decline_s else 1.0
        # smaller frames have shorter trails: as many of them cross a pixel
        speed = camera.shape[1] / detector.size[0]
        vx, vy = (speed * v for v in twilight.drift_pixels_per_s)

        def stars(band: Filter) -> Floats:
            trails = np.zeros(camera.shape, np.float32)
            sky.add_trails(
                trails,
                camera.twilight.through(band),
                frame.exptime_s,
                detector.fwhm_pixels,
                (vx * elapsed, vy * elapsed),
                (vx * frame.exptime_s, vy * frame.exptime_s),
            )
            return trails

        def level(band: Filter) -> Floats:
            light = band.twilight * detector.pixel_area * fade * frame.exptime_s
            return np.full(camera.shape, light, np.float32)

        trails = self._through(frame, camera, stars)
        scene = self._through(frame, camera, level)
        scene *= sky.twilight_sky(twilight, camera.shape, rng)
        scene += trails
        scene *= np.float32(_transmission(frame))
        return scene, trails

    def _through(
        self, frame: ListedFrame, camera: Camera, draw: Callable[[Filter], Floats]
    ) -> Floats:
        """Draw the light of a frame, in which each pixel has its own filter."""
        filters, mosaic = self.listing.filters, camera.detector.mosaic
        if not mosaic:
            return draw(filters[frame.filter])
        scene = np.empty(camera.shape, np.float32)
        for band in self.listing.bands(frame):
            light = draw(filters[band])
            for place, name in enumerate(mosaic):
                if name == band:
                    own = slice(place // 2, None, 2), slice(place % 2, None, 2)
                    scene[own] = light[own]
        return scene

    def _light_e(
        self, frame: ListedFrame, camera: Camera, shift: tuple[float, float]
    ) -> Floats:
        stars, cloud = camera.targets[frame.object]
        stars = stars.turned(frame.rotation_deg, camera.shape)
        stars = stars.eclipsed(frame.faults.get("eclipse", 0.0))
        cloud = sky.turned(cloud, frame.rotation_deg)
        whole = (round(shift[1]), round(shift[0]))  # nebulae are smooth
        cloud = np.roll(cloud, whole, (0, 1))
        fwhm = camera.detector.fwhm_pixels * frame.faults.get("defocus", 1.0)

        def light(band: Filter) -> Floats:
            area = camera.detector.pixel_area * frame.exptime_s
            scene = np.full(camera.shape, band.sky * area, np.float32)
            scene += cloud * np.float32(band.nebula * area)
            scene += frame.faults.get("daylight", 0.0) * camera.detector.gain_e_per_adu
            seen = stars.through(band)
            if drift := frame.faults.get("drift"):
                ny, nx = camera.shape
                # `add_trails` counts from one frame's width left of the image
                above = replace(seen, x=seen.x + nx, y=seen.y + ny / 2)
                sky.add_trails(scene, above, frame.exptime_s, fwhm, shift, (drift, 0.0))
            else:
                sky.add_stars(scene, seen, frame.exptime_s, fwhm, shift)
            return scene

        return self._through(frame, camera, light)


def _transmission(frame: ListedFrame) -> float:
    return (1 - frame.faults.get("clouds", 0.0)) * frame.faults.get("glare", 1.0)


def _add_satellite(scene: Floats, charge: float, rng: np.random.Generator) -> None:
    ny, nx = scene.shape
    y0, y1 = rng.uniform(0.1 * ny, 0.9 * ny, 2)
    motion = (nx + 40.0, float(y1 - y0))
    length = float(np.hypot(*motion))
    crossing = sky.Catalogue(*(np.array([v]) for v in (nx - 20.0, y0 + ny / 2, charge)))
    # `add_trails` counts from one frame's width left of the image
    sky.add_trails(
        scene, crossing, SATELLITE_FWHM * length, SATELLITE_FWHM, (0, 0), motion
    )


def make_night(
    listing: Listing, *, seed: int = 1, size: tuple[int, int] | None = None
) -> SimulatedNight:
    """Draw the fixed patterns of a night's cameras.

    Parameters
    ----------
    listing : Listing
        What the night holds.
    seed : int
        Where all random numbers come from: the same seed, the same night.
    size : (nx, ny), optional
        Columns and rows of the largest frames; those of other setups scale alike.
        Default: as the listing says.

    Returns
    -------
    SimulatedNight
        The night, whose frames can be exposed in any order.
    """
    factor = (1.0, 1.0)
    if size is not None:
        factor = (size[0] / listing.size[0], size[1] / listing.size[1])
    night = SimulatedNight(listing, seed, {})
    cameras = {
        setup: _draw_camera(night, setup, factor)
        for setup in sorted(
            {setup for frame in listing.frames for setup in listing.setups_of(frame)}
        )
    }
    return SimulatedNight(listing, seed, cameras)


def _draw_camera(
    night: SimulatedNight, setup: str, factor: tuple[float, float]
) -> Camera:
    listing = night.listing
    detector = listing.detectors[setup]
    ny, nx = shape = detector.scaled(factor)
    lit = [
        frame
        for frame in listing.frames
        if setup in listing.setups_of(frame) and frame.imagetyp in ("flat", "light")
    ]
    targets = {frame.object for frame in lit if frame.imagetyp == "light"}
    # Detectors of a mosaic lie side by side; all else looks at the same sky.
    chip = setup if listing.mosaic else ""
    finest = detector if listing.mosaic else listing.finest
    fine = finest.scaled(factor)
    return Camera(
        detector=detector,
        shape=shape,
        bias_adu=pixels.bias_pattern(
            detector,
            (ny, nx + detector.overscan_columns),
            night.generator("bias", setup),
        ),
        dark_e_per_s=pixels.dark_rate(detector, shape, night.generator("dark", setup)),
        response={
            band: pixels.response(
                detector,
                shape,
                night.generator("response", setup),
                night.generator("response", setup, band),
            )
            for band in sorted({frame.filter for frame in lit})
        },
        twilight=sky.star_catalogue(
            listing.twilight, (2 * ny, 3 * nx), night.generator("twilight", setup)
        ),
        targets={
            name: _draw_target(
                listing.targets[name],
                shape,
                fine,
                night.generator("target", chip, name),
            )
            for name in sorted(targets)
        },
    )


def _draw_target(
    target: Target,
    shape: tuple[int, int],
    fine: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[sky.Catalogue, Floats]:
    """Draw a field; its stars on the finest pixels, whatever those of the frame are."""
    stars = sky.star_catalogue(target, fine, rng, target.crowding)
    ratio = fine[0] / shape[0], fine[1] / shape[1]
    return stars.on_pixels(ratio), sky.nebula(target, shape, rng)


def simulate_night(
    listing: str | Path,
    out: Path,
    *,
    seed: int = 1,
    size: tuple[int, int] | None = None,
    truth: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write the frames of a listing as FITS files, and if asked the truth.

    The night appears whole or not at all.  The truth is written beside it, in the
    folder ``<out>_truth``: per setup the noiseless bias (ADU) and dark rate (ADU/s,
    header card ``DARKOFF``: the dark offset in ADU) and per filter the flat (mean
    1); for each light the scene and for each flat the star trails (ADU, before the
    flat); ``truth.csv`` with what was drawn for each frame and ``cosmics.csv`` with every
    pixel that a cosmic ray hit.

    Parameters
    ----------
    listing : str or Path
        Name of a listing that comes with autoreduce, or the path of a CSV file.
    out : Path
        Folder of the night.  It must be empty or not exist.
    seed : int
        Where all random numbers come from.
    size : (nx, ny), optional
        Columns and rows of the largest frames, instead of the listing's.
    truth : bool
        Whether to write the truth.
    overwrite : bool
        Replace what is in `out` (and its truth), if that is this listing's night, and
        each file of it says that it was simulated.

    Returns
    -------
    list of Path
        The frames written, in the order of the listing.

    Raises
    ------
    TableError, SettingsError
        If the listing is not valid.
    InputError
        If `out` is not empty, or with `overwrite` holds what is not of this night.
    ProductError
        If it cannot be written.
    """
    night = make_night(read_listing(listing), seed=seed, size=size)
    names = [frame.name for frame in night.listing.frames]
    out = Path(out).absolute()
    truth_folder = out.with_name(f"{out.name}_truth")
    _check_free(out, names.__contains__, overwrite=overwrite)
    if truth:
        _check_free(truth_folder, _is_truth, overwrite=overwrite)
    whole_truth = _whole_folder(truth_folder) if truth else nullcontext()
    with _whole_folder(out) as frames, whole_truth as truths:
        rows, hits = _write_frames(night, frames, truths)
        if truths:
            _write_cameras(night, truths)
            _write_table(rows, truths / _TRUTH_TABLES[0], TRUTH_COLUMNS)
            _write_table(hits, truths / _TRUTH_TABLES[1], COSMICS_COLUMNS)
    return [out / name for name in names]


def _check_free(
    folder: Path, is_ours: Callable[[str], bool], *, overwrite: bool
) -> None:
    """Refuse a folder with files in it, unless they are ours to replace."""
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; give the name of a new folder"
        raise InputError(msg)
    there = sorted(folder.glob("*"))
    if there and not overwrite:
        msg = (
            f"{folder} is not empty; give the name of a new folder, "
            "or replace a simulated night with --overwrite"
        )
        raise InputError(msg)
    for path in there:
        if not is_ours(path.name):
            strange = "which is not of this simulated night"
        elif path.name not in _TRUTH_TABLES and not _is_simulated(path):
            strange = f"which does not say that it was simulated (no card {MARK[0]})"
        else:
            continue
        msg = (
            f"{folder} holds {path.name}, {strange}; "
            "nothing was replaced: give the name of a new folder"
        )
        raise InputError(msg)


def _is_simulated(path: Path) -> bool:
    try:
        return read_headers(path)[0].get(MARK[0]) is True
    except (InputError, OSError):
        return False


def _is_truth(name: str) -> bool:
    parts = ("bias", "dark_rate", "flat_", "scene", "trails")
    return name in _TRUTH_TABLES or name.startswith(parts)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write to that takes its place only when all went well."""
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        msg = (
            f"the folder {folder} cannot be written: {error.strerror or error}; name one "
            "in another place"
        )
        raise ProductError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_frames(
    night: SimulatedNight, frames: Path, truths: Path | None
) -> tuple[list[Row], list[Row]]:
    """Write every frame; return what was drawn for each, and the cosmic rays."""

    def write(frame: ListedFrame) -> tuple[list[Row], list[Row]]:
        rows: list[Row] = []
        hits: list[Row] = []
        hdus: list[Image] = []
        for setup in night.listing.setups_of(frame):
            camera, one = night.cameras[setup], replace(frame, setup=setup)
            exposure = night.expose(one)
            cards = _header(one, night.listing, camera)
            hdus += images_of(camera.detector, camera.shape, exposure.images, cards)
            if truths:
                tail = f"_{setup}" if night.listing.mosaic else ""
                gain = camera.detector.gain_e_per_adu
                _write_scene(one, exposure, gain, truths, tail)
            rows.append(_truth_row(one, exposure))
            hits += _hits(one, exposure)
        _write_file(frames / frame.name, hdus)
        return rows, hits

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = list(pool.map(write, night.listing.frames))
    rows = [row for rows, _ in written for row in rows]
    return rows, [hit for _, hits in written for hit in hits]


def _header(frame: ListedFrame, listing: Listing, camera: Camera) -> dict[str, Any]:
    """Return the cards of a frame: its facts, as its camera's program words them."""
    time = frame.date_obs.astimezone(UTC).replace(tzinfo=None)
    facts = {
        "imagetyp": listing.imagetyp[frame.imagetyp],
        "object": frame.object,
        "filter": frame.filter,
        "exptime": frame.exptime_s,
        "ccd_temp": frame.ccd_temp_c,
        "set_temp": frame.set_temp_c,
        "date_obs": time.isoformat(timespec="milliseconds").removesuffix(".000"),
    }
    cards = {
        keyword: facts[fact]
        for fact, keywords in listing.keywords.items()
        for keyword in keywords
        if facts[fact] not in ("", None)
    }
    if camera.detector.overscan_columns and not camera.detector.amplifiers:
        (ny, nx), all_nx = camera.shape, camera.bias_adu.shape[1]
        cards["BIASSEC"] = f"[{nx + 1}:{all_nx},1:{ny}]"
        cards["TRIMSEC"] = f"[1:{nx},1:{ny}]"
    return {**listing.header, **camera.detector.header, **cards, **frame.cards}


def _write_fits(path: Path, data: NDArray[Any], cards: Mapping[str, Any]) -> None:
    from astropy.io import fits

    header = fits.Header([*cards.items(), MARK])
    fits.PrimaryHDU(data, header).writeto(path)


def _write_file(path: Path, images: Sequence[Image]) -> None:
    """Write images: a single one as the primary one, several as extensions."""
    from astropy.io import fits

    if len(images) == 1:
        _write_fits(path, *images[0])
        return
    extensions = [
        fits.ImageHDU(data, fits.Header(list(cards.items()))) for data, cards in images
    ]
    primary = fits.PrimaryHDU(header=fits.Header([MARK]))
    fits.HDUList([primary, *extensions]).writeto(path)


def _write_scene(
    frame: ListedFrame,
    exposure: Exposure,
    gain_e_per_adu: float,
    truths: Path,
    tail: str,
) -> None:
    gain = np.float32(gain_e_per_adu)
    cards = {"BUNIT": "adu"}
    if frame.imagetyp == "light":
        _write_fits(
            truths / f"scene{tail}_{frame.name}", exposure.scene_e / gain, cards
        )
    if frame.imagetyp == "flat":
        _write_fits(
            truths / f"trails{tail}_{frame.name}", exposure.trails_e / gain, cards
        )


def _hits(frame: ListedFrame, exposure: Exposure) -> list[Row]:
    return [
        dict(zip(COSMICS_COLUMNS, (frame.name, row, column, f"{e:.0f}"), strict=True))
        for row, column, e in zip(*exposure.cosmics, strict=True)
    ]


def _truth_row(frame: ListedFrame, exposure: Exposure) -> Row:
    values = (
        frame.name,
        frame.imagetyp,
        frame.setup,
        frame.filter,
        frame.exptime_s,
        f"{exposure.level_adu:.3f}",
        f"{np.median(exposure.scene_e):.1f}",
        f"{exposure.shift[0]:.3f}",
        f"{exposure.shift[1]:.3f}",
        "; ".join(f"{key}={value:g}" for key, value in frame.faults.items()),
    )
    return dict(zip(TRUTH_COLUMNS, values, strict=True))


def _write_cameras(night: SimulatedNight, truths: Path) -> None:
    for setup, camera in night.cameras.items():
        detector, tail = camera.detector, f"_{setup}" if setup else ""
        gain = np.float32(detector.gain_e_per_adu)
        cards = {"EGAIN": detector.gain_e_per_adu, "RDNOISE": detector.read_noise_e}
        _write_fits(
            truths / f"bias{tail}.fits", camera.bias_adu, {"BUNIT": "adu", **cards}
        )
        _write_fits(
            truths / f"dark_rate{tail}.fits",
            camera.dark_e_per_s / gain,
            {"BUNIT": "adu/s", "DARKOFF": detector.dark_offset_adu, **cards},
        )
        for band, flat in camera.response.items():
            _write_fits(truths / f"flat_{band}{tail}.fits", flat, {"FILTER": band})


def _write_table(rows: list[Row], path: Path, columns: tuple[str, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
