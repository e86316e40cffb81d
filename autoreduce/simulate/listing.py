"""Listings: what a simulated night holds, frame by frame, and with which camera.

A listing is a CSV file with one row per frame, and beside it a TOML file of the
same name with the detector, the sky and the header that the camera writes.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import SettingsError, TableError
from autoreduce.settings import SettingsText, build

FRAME_TYPES = ("bias", "dark", "flatdark", "flat", "light")
FAULTS = MappingProxyType(
    {
        "afterglow": "ADU at the centre: charge left behind by bright light",
        "light_leak": "ADU in the brightest corner",
        "level": "ADU added to every pixel",
        "warm": "degrees by which the sensor is warmer than it should be",
        "clouds": "fraction of the light that is lost",
        "glare": "factor on the light",
        "daylight": "ADU of daylight all over a light",
        "defocus": "factor on the width of a light's stars",
        "drift": "pixels by which a light's stars move along the rows",
        "satellite": "electrons per pixel along the trail of a satellite",
        "eclipse": "fraction of its light that the brightest star of a light loses",
        "zero": "any value: every pixel is 0",
    }
)
"""What can be wrong with a frame: words of the column ``fault``, as in ``warm=6``."""

NEEDED = ("name", "imagetyp", "object", "filter", "exptime", "ccd_temp", "date_obs")
OPTIONAL = ("fault", "setup", "set_temp", "rotation")

KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
"""What a keyword of a FITS header may be."""

Cards = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Amplifier:
    """A part of a detector that is read out by an amplifier of its own."""

    columns: tuple[float, float]
    """First and last column, in fractions of the detector's width."""
    rows: tuple[float, float]
    """First and last row, in fractions of its height."""
    gain_e_per_adu: float
    read_noise_e: float
    bias_level_adu: float
    turned: tuple[bool, bool] = (False, False)
    """Whether columns, and rows, are stored backwards."""
    told_gain: float | None = None
    """What the header says of the gain; None: the truth."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A camera as it is read out in one way; ADU are its data numbers."""

    size: tuple[int, int]
    """Columns and rows, without overscan."""
    gain_e_per_adu: float
    read_noise_e: float
    full_well_e: float
    set_temp_c: float
    """Temperature at which `dark_e_per_s` and `hot_e_per_s` hold."""
    bias_level_adu: float
    bias_level_jitter_adu: float = 0.0
    """1-sigma scatter of the level between frames."""
    bias_slope_adu: float = 0.0
    """Rise from the first column to the last."""
    bias_columns_adu: float = 0.0
    """1-sigma scatter of fixed column offsets."""
    bias_rows_adu: float = 0.0
    """Amplitude of a slow fixed wave along the rows."""
    bias_pixels_adu: float = 0.0
    """1-sigma scatter of fixed offsets of single pixels."""
    overscan_columns: int = 0
    """Columns right of the image that see no light and collect no dark current."""
    pixel_area: float = 1.0
    """Diffuse light that a pixel collects, relative to the filters' table."""
    dark_e_per_s: float = 0.0
    dark_scatter: float = 0.0
    """Relative 1-sigma scatter between ordinary pixels."""
    dark_doubling_c: float = 6.0
    """Warming that doubles the dark current."""
    dark_offset_adu: float = 0.0
    """Added to every exposure that is not a bias."""
    hot_fraction: float = 0.0
    hot_e_per_s: float = 0.0
    """Mean rate of a hot pixel; the rates have an exponential distribution."""
    glow_e_per_s: float = 0.0
    """Amplifier glow where it is brightest, in the last row and column."""
    glow_size: float = 0.1
    """Length in which the glow fades by a factor e, of the frame's width."""
    vignetting: float = 0.0
    """Fraction of the light that is lost in the corners."""
    pixel_response: float = 0.0
    """1-sigma scatter of the sensitivity of single pixels."""
    bayer: tuple[float, ...] = ()
    """Sensitivity of the four pixels of a colour filter array's cell, row by row; the
    card BAYERPAT belongs into `header`.  Empty: no colour filters."""
    mosaic: str = ""
    """Filters over the four pixels of a cell, row by row, each a letter that the table
    of filters has; the card BAYERPAT belongs into `header`.  Empty: no mosaic."""
    dust_rings: int = 0
    dust_depth: float = 0.0
    """Deepest loss in a dust ring; the rings vary from it down to a quarter."""
    nonlinear: float = 0.0
    """Part of the counts that is lost at full well, in proportion to them below."""
    shutter_s: float = 0.0
    """Time by which an iris shutter exposes the corners less than the centre."""
    cosmics_per_mpix_s: float = 0.0
    fwhm_pixels: float = 3.0
    pointing_pixels: float = 0.0
    """1-sigma scatter of the pointing between lights."""
    header: Cards = field(default_factory=dict)
    """Cards of frames read out in this way."""
    amplifiers: tuple[Amplifier, ...] = ()
    """Amplifiers that read it out, each with overscan columns of its own; then
    `gain_e_per_adu` is their mean.  Empty: a single one."""
    crosstalk: tuple[tuple[float, ...], ...] = ()
    """ADU that each amplifier (row) has for an ADU that each of all (columns) reads at the
    same time, in the order of `amplifiers`."""
    one_image: bool = False
    """Whether they write their pixels beside each other into one image, with cards
    that end in A, B, ...; else each writes an extension."""

    def scaled(self, factor: tuple[float, float]) -> tuple[int, int]:
        """Return (ny, nx) of a frame whose columns and rows are scaled."""
        nx, ny = (max(8, round(n * f)) for n, f in zip(self.size, factor, strict=True))
        return ny, nx


@dataclass(frozen=True, slots=True)
class Stars:
    """How many stars there are and how bright; e/s in an open filter."""

    stars_per_mpix: float = 0.0
    faintest_e_per_s: float = 1.0
    brightest_e_per_s: float = 1.0
    colours: float = 0.0
    """1-sigma scatter of the stars' colours, in magnitudes; see `Filter.red`."""


@dataclass(frozen=True, slots=True)
class Twilight(Stars):
    """The sky of the flats."""

    decline_s: float | None = None
    """Time in which the sky fades by a factor e; None: a steady light panel."""
    drift_pixels_per_s: tuple[float, float] = (0.0, 0.0)
    """Motion of the stars along columns and rows, telescope parked."""
    gradient: float = 0.0
    """1-sigma slope of the sky across the frame, drawn for each frame."""


@dataclass(frozen=True, slots=True)
class Target(Stars):
    """What the telescope points at."""

    crowding: float = 0.0
    """Fraction of the stars that are drawn towards the centre."""
    nebula_e_per_s: float = 0.0
    """Peak surface brightness, e/s/pixel."""
    nebula_size: float = 0.1
    """Extent (1 sigma) of the nebula, of the frame's width."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a filter lets through."""

    sky: float
    """Night sky, e/s/pixel."""
    twilight: float = 0.0
    """Twilight sky at the listing's first flat, e/s/pixel."""
    stars: float = 1.0
    """Factor on the stars' rates."""
    nebula: float = 1.0
    """Factor on the nebulae's surface brightness."""
    red: float = 0.0
    """Magnitudes by which a star of colour 1 is brighter than one of colour 0."""

    def light_of(self, colours: NDArray[np.float64] | float) -> Any:  # noqa: ANN401 -- like what is given
        """Give the factor on the rates of stars of some colours, magnitudes."""
        return self.stars * 10 ** (0.4 * self.red * colours)


@dataclass(frozen=True, slots=True)
class _Camera:
    """The TOML file beside a listing."""

    detector: Mapping[str, Any]
    setups: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    """What differs from `detector`, by the name that rows give."""
    twilight: Twilight = field(default_factory=Twilight)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    objects: Mapping[str, Target] = field(default_factory=dict)
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    imagetyp: Mapping[str, str] = field(default_factory=dict)
    header: Cards = field(default_factory=dict)
    mosaic: tuple[str, ...] = ()
    """Setups that are detectors of one camera: every frame shows all of them."""


@dataclass(frozen=True, slots=True)
class ListedFrame:
    """One row of a listing."""

    name: str
    imagetyp: str
    object: str
    filter: str
    exptime_s: float
    ccd_temp_c: float
    set_temp_c: float | None
    """Temperature the sensor is held at; None: as the detector's table says."""
    date_obs: datetime
    setup: str
    faults: Mapping[str, float]
    rotation_deg: float
    """Angle from x towards y by which the sky is turned: 180 after a meridian flip."""
    cards: Cards
    """Cards of this frame only: the listing's further columns."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A night that can be simulated."""

    frames: tuple[ListedFrame, ...]
    detectors: Mapping[str, Detector]
    """Detector of each setup."""
    twilight: Twilight
    filters: Mapping[str, Filter]
    targets: Mapping[str, Target]
    keywords: Mapping[str, tuple[str, ...]]
    """Header keywords of each fact, in the order in which they are written."""
    imagetyp: Mapping[str, str]
    """The camera's word for each type of frame."""
    header: Cards
    """Cards of every frame."""
    mosaic: tuple[str, ...] = ()
    """Setups that are detectors of one camera: every frame shows all of them."""

    def setups_of(self, frame: ListedFrame) -> tuple[str, ...]:
        """List the setups of the detectors that a frame shows."""
        return self.mosaic or (frame.setup,)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the largest frames."""
        return self.finest.size

    @property
    def finest(self) -> Detector:
        """The detector of the largest frames."""
        setups = {setup for frame in self.frames for setup in self.setups_of(frame)}
        return max(
            (self.detectors[one] for one in sorted(setups)), key=lambda one: one.size
        )

    def bands(self, frame: ListedFrame) -> tuple[str, ...]:
        """List the filters through which the pixels of a frame see, each once."""
        detector = self.detectors.get(frame.setup)
        mosaic = detector.mosaic if detector else ""
        return tuple(sorted(set(mosaic))) or (frame.filter,)

    @property
    def first_flat(self) -> datetime:
        """Time of the first flat, from which the twilight fades."""
        flats = [f.date_obs for f in self.frames if f.imagetyp == "flat"]
        return min(flats, default=self.frames[0].date_obs)


def listing_folder() -> Path:
    """Return the folder of the listings that come with autoreduce.

    An installed package carries them inside; a source tree (also one that is
    installed as editable) keeps them in ``sample_headers/nights``.
    """
    inside = Path(__file__).parent / "listings"
    source = Path(__file__).parents[2] / "sample_headers" / "nights"
    return inside if inside.is_dir() else source


def listing_names() -> list[str]:
    """List the nights that come with autoreduce."""
    return sorted(path.stem for path in listing_folder().glob("*.csv"))


def read_listing(name_or_path: str | Path) -> Listing:
    """Read a listing by name, or from a CSV file with its TOML file beside it.

    Parameters
    ----------
    name_or_path : str or Path
        One of `listing_names`, or the path of a CSV file.

    Returns
    -------
    Listing
        The frames in the listing's order, and their camera.

    Raises
    ------
    TableError
        If the listing does not exist or a row of it does not hold together.
    SettingsError
        If the TOML file is missing, not valid, or lacks something that a row needs.
    """
    path = _listing_path(name_or_path)
    camera = path.with_suffix(".toml")
    if not camera.is_file():
        msg = f"{path.name} needs a file {camera.name} beside it that tells the camera"
        raise SettingsError(msg)
    return _listing(_read_rows(path), SettingsText.of_file(camera, camera.name))


def _listing_path(name_or_path: str | Path) -> Path:
    if str(name_or_path) in listing_names():
        return listing_folder() / f"{name_or_path}.csv"
    path = Path(name_or_path)
    if not path.is_file():
        msg = (
            f"there is no listing {name_or_path}: give the path of a CSV file, or "
            f"one of {', '.join(listing_names())}"
        )
        raise TableError(msg)
    return path


def _read_rows(path: Path) -> tuple[ListedFrame, ...]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text: {error}"
        raise TableError(msg) from error
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    reader = csv.DictReader(lines, restkey="too many", restval="")
    names = list(reader.fieldnames or ())
    if lacking := [name for name in NEEDED if name not in names]:
        msg = f"{path.name} has no column {', '.join(lacking)}"
        raise TableError(msg)
    for name in names:
        if name not in NEEDED + OPTIONAL and not KEYWORD.fullmatch(name):
            msg = (
                f"{path.name}: column {name!r} is neither one of {', '.join(NEEDED)}, "
                f"{', '.join(OPTIONAL)} nor a header keyword in capitals"
            )
            raise TableError(msg)
    frames = tuple(_frame(row, path.name) for row in reader)
    if not frames:
        msg = f"{path.name} lists no frames"
        raise TableError(msg)
    seen: set[str] = set()
    for frame in frames:
        if frame.name in seen:
            msg = f"{path.name} lists {frame.name} twice"
            raise TableError(msg)
        seen.add(frame.name)
    return frames


def _frame(row: dict[str, str], where: str) -> ListedFrame:
    where = f"{where}: {row['name'] or 'a row without a name'}"
    name = row["name"]
    if "too many" in row:
        msg = f"{where}: the row has more values than there are columns"
        raise TableError(msg)
    if not name or Path(name).name != name:
        msg = f"{where}: name must be a plain file name"
        raise TableError(msg)
    if row["imagetyp"] not in FRAME_TYPES:
        msg = (
            f"{where}: imagetyp is {row['imagetyp']!r}; "
            f"there are {', '.join(FRAME_TYPES)}"
        )
        raise TableError(msg)
    try:
        return ListedFrame(
            name=name,
            imagetyp=row["imagetyp"],
            object=row["object"],
            filter=row["filter"],
            exptime_s=float(row["exptime"]),
            ccd_temp_c=float(row["ccd_temp"]),
            set_temp_c=float(row["set_temp"]) if row.get("set_temp") else None,
            date_obs=_utc(row["date_obs"]),
            setup=row.get("setup", ""),
            faults=_faults(row.get("fault", "")),
            rotation_deg=float(row.get("rotation") or 0),
            cards={
                key: _card_value(value)
                for key, value in row.items()
                if key not in NEEDED + OPTIONAL and value
            },
        )
    except ValueError as error:
        msg = f"{where}: {error}"
        raise TableError(msg) from error


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _faults(text: str) -> dict[str, float]:
    faults = {}
    for part in filter(None, (word.strip() for word in text.split(";"))):
        word, _, value = part.partition("=")
        if word not in FAULTS:
            msg = f"there is no fault {word!r}; there are {', '.join(FAULTS)}"
            raise ValueError(msg)
        faults[word] = float(value)
    return faults


def _card_value(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _listing(frames: tuple[ListedFrame, ...], text: SettingsText) -> Listing:
    camera = build(_Camera, text.table(), text)
    listing = Listing(
        frames=frames,
        detectors=_detectors(camera, text),
        twilight=camera.twilight,
        filters=camera.filters,
        targets=camera.objects,
        keywords=camera.keywords,
        imagetyp=camera.imagetyp,
        header=camera.header,
        mosaic=camera.mosaic,
    )
    for frame in frames:
        _check_frame(frame, listing, text.name)
    _check_cards(listing, text.name)
    return listing


def _check_cards(listing: Listing, where: str) -> None:
    tables: list[Mapping[str, object]] = [listing.header]
    tables += [detector.header for detector in listing.detectors.values()]
    tables += [dict.fromkeys(names, "") for names in listing.keywords.values()]
    for keyword, value in (card for table in tables for card in table.items()):
        if not KEYWORD.fullmatch(keyword) or isinstance(value, list | dict):
            msg = f"{where}: {keyword} = {value!r} cannot be a card of a FITS header"
            raise SettingsError(msg)


def _detectors(camera: "_Camera", text: SettingsText) -> dict[str, Detector]:
    return {
        name: build(
            Detector,
            {**camera.detector, **own},
            text,
            ("setups", name) if name else ("detector",),
        )
        for name, own in camera.setups.items()
    }


def _check_frame(frame: ListedFrame, listing: Listing, where: str) -> None:
    lit = frame.imagetyp in ("flat", "light")
    needs: list[tuple[str, str, Mapping[str, object]]]
    setups = listing.setups_of(frame)
    needs = [("setups", setup, listing.detectors) for setup in setups]
    needs += [("imagetyp", frame.imagetyp, listing.imagetyp)]
    for name in listing.bands(frame) if lit else ():
        needs += [("filters", name, listing.filters)]
    if frame.imagetyp == "light":
        needs += [("objects", frame.object, listing.targets)]
    for table, name, entries in needs:
        if name not in entries:
            msg = f"{where}: {frame.name} needs {name!r} in table [{table}]"
            raise SettingsError(msg)
