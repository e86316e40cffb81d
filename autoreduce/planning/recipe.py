"""The recipe: how pixels are treated.  TOML in, frozen values out."""

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from autoreduce.errors import SettingsError
from autoreduce.fits.sections import parse_section
from autoreduce.pixels.combination import Combination, Rejection
from autoreduce.pixels.linearity import Linearity
from autoreduce.settings import Limit, NotNegative, SettingsText, build


class DarkModel(StrEnum):
    """How a master dark of another exposure is made to fit."""

    RATE_MAP = "rate_map"
    """offset + rate * t: the pixel's own rate, from the darks of all exposures."""
    RATE = "rate"
    """offset + (dark - offset) * t / t0: the pixel's own rate, from one master."""
    RATIO = "ratio"
    """dark * (offset + slope t) / (offset + slope t0), as in the notes."""
    EXACT = "exact"
    """Never: only darks of the same exposure are used."""


class FlatLevel(StrEnum):
    """What the frames of a flat are scaled by before they are combined."""

    MEAN = "mean"
    MEDIAN = "median"


class StackLevel(StrEnum):
    """How the lights of a stack are brought to one level."""

    NONE = "none"
    SKY = "sky"
    """An offset to the first frame's sky, so that clipping sees like with like."""


@dataclass(frozen=True, slots=True)
class DarkRecipe:
    """How darks are combined and fitted to other exposures."""

    combine: Combination = field(default_factory=Combination)
    """Combination of the darks of one exposure."""
    model: DarkModel = DarkModel.RATE_MAP
    """How a dark of another exposure is made."""
    section: str = "central"
    """Where dark counts are measured: FITS text, or "central" (middle quarter)."""
    statistic: str = "median"
    """Level of a master dark in that section: "mean" or "median"."""
    weighted: bool = True
    """Whether the fit weights the levels by their errors, where those are known."""
    longer: float = 3.0
    """Up to so many times the longest dark's exposure a dark is made by
    `DarkModel.RATE_MAP`, if the levels lie on a line; 1: never longer unasked ..."""
    longer_alone: float = 2.0
    """... and from one dark alone, if it does not glow."""
    temperature: bool = False
    """Whether `DarkModel.RATE_MAP` takes darks to the frame's temperature, by a doubling
    temperature fitted to darks that span some degrees."""

    def __post_init__(self) -> None:
        if self.section != "central":
            parse_section(self.section)


@dataclass(frozen=True, slots=True)
class FlatRecipe:
    """How flats are combined."""

    combine: Combination = field(default_factory=Combination)
    """Combination of the scaled flats."""
    level: FlatLevel = FlatLevel.MEDIAN
    """What each frame is scaled by, and the master is normalised to."""
    per_colour: bool = True
    """Scale and normalise each colour of a colour filter array by itself: calibrated
    lights keep the colour balance of the sensor."""
    mask_moving: bool = True
    """Mask stars and trails that move between frames before combining."""
    smallest: float = 0.05
    """Relative response below which a pixel is flagged, not divided by."""
    illuminated: float = 0.1
    """The level is that of the pixels above this fraction of the brightest (99th
    percentile): of the lit part; 0 takes all pixels."""
    hot_sigma: float = 7.0
    """A pixel that stands so many sigma out of its neighbourhood and is hot in the
    dark (or no dark was subtracted) gets the neighbours' median; 0 repairs none."""
    warn_unclean: float = 0.01
    """Fraction of pixels with too few samples free of stars that is worth a word ..."""
    max_unclean: float = 0.25
    """... and beyond which there is no master."""

    def __post_init__(self) -> None:
        fractions = (self.illuminated, self.warn_unclean, self.max_unclean)
        if min(fractions) < 0 or max(fractions) > 1 or self.hot_sigma < 0:
            msg = (
                "illuminated, warn_unclean and max_unclean lie between 0 and 1 and "
                f"hot_sigma is 0 or more, not {fractions} and {self.hot_sigma}"
            )
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class OverscanRecipe:
    """How the overscan is taken out of frames."""

    rows: bool = False
    """Whether each row has a level of its own, smoothed along the rows: for a level that
    drifts while a frame is read, which no master bias knows."""


@dataclass(frozen=True, slots=True)
class Crosstalk:
    """What an amplifier has of what another one of its detector reads at the same time."""

    victim: Annotated[int, Limit("the number of an amplifier", lambda v: v >= 1)]
    """Number of the amplifier that it is taken out of, as in the cards AMP1, AMP2, ..."""
    source: Annotated[int, Limit("the number of an amplifier", lambda v: v >= 1)]
    """Number of the one whose pixels are multiplied."""
    times: float
    """ADU of the victim for each ADU of the source."""
    detector: str = ""
    """The detector that it holds for; empty: all."""

    def __post_init__(self) -> None:
        """Refuse an amplifier that would hear itself."""
        if self.victim == self.source:
            msg = f"amplifier {self.victim} is no victim of itself"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class AmplifierRecipe:
    """What is done to detectors that several amplifiers read."""

    crosstalk: tuple[Crosstalk, ...] = ()
    """What is taken out of amplifiers."""
    measure: bool = True
    """Whether gains that are not told, or told wrongly, are taken from flats."""


@dataclass(frozen=True, slots=True)
class LightRecipe:
    """How lights are calibrated, beside their masters."""

    bad_pixels: str = ""
    """FITS image that is not 0 where a pixel is bad: lights have no value there.  Its
    path begins at the recipe's folder."""
    cosmics: bool = False
    """Whether cosmic rays are looked for in each light, and repaired."""
    together: bool = False
    """Whether the lights of a mosaic's detectors are put together in one file for each
    exposure, beside those of each detector."""


class Align(StrEnum):
    """How the lights of a stack are laid on one another."""

    AUTO = "auto"
    """By their stars; where there are none, by their whole images."""
    WCS = "wcs"
    """By the coordinates in their headers."""
    NONE = "none"
    """Not at all: pixel on pixel."""


class Area(StrEnum):
    """Which part of the sky a stack shows."""

    REFERENCE = "reference"
    """That of the reference light: all stacks of an object lie on one grid."""
    COMMON = "common"
    """What all its lights show."""
    ALL = "all"
    """What any of its lights shows."""


class ColourSource(StrEnum):
    """What the colours of a stack of colour mosaics are made of."""

    AUTO = "auto"
    """Of their own pixels where there are enough dithered lights, else interpolated."""
    OWN = "own"
    """Each colour of its own pixels only."""
    INTERPOLATED = "interpolated"
    """Of colours that are interpolated within each light."""


def _clipped_mean() -> Combination:
    return Combination(rejection=Rejection.SIGMA, low=4.0, high=4.0)


@dataclass(frozen=True, slots=True)
class StackRecipe:
    """How calibrated lights are stacked."""

    make: bool = True
    """Whether there are stacks at all."""
    combine: Combination = field(default_factory=_clipped_mean)
    """Combination of the lights.  The limits of a clipped mean of aligned lights are
    in sigma of the noise that a sample should have."""
    level: StackLevel = StackLevel.SKY
    """How the lights are brought to one level."""
    align: Align = Align.AUTO
    """How they are laid on one another."""
    area: Area = Area.REFERENCE
    """Which part of the sky is shown."""
    change: NotNegative = 0.08
    """Part of a star's light by which seeing and guiding may change it (1 sigma)."""
    colours: ColourSource = ColourSource.AUTO
    """What the colours of a colour camera's stack are made of."""


class Palette(StrEnum):
    """Which filters make the colours of a picture."""

    AUTO = "auto"
    """Red, green and blue (hydrogen into red, luminance as brightness); else SHO, else
    HOO, else the deepest filter in grey."""
    RGB = "RGB"
    """Red, green and blue."""
    SHO = "SHO"
    """Sulphur red, hydrogen green, oxygen blue."""
    HOO = "HOO"
    """Hydrogen red, oxygen green and blue."""
    GREY = "grey"
    """The deepest filter."""


@dataclass(frozen=True, slots=True)
class PictureRecipe:
    """How the picture of an object is made."""

    make: bool = True
    """Whether there are pictures at all."""
    palette: Palette = Palette.AUTO
    """Which filters make its colours; one that cannot be made is as ``auto``."""
    soft: NotNegative = 6.0
    """Brightness, of the noise of the sky, up to which shades are proportional to light:
    smaller values lift what is faint."""
    deep: bool = False
    """Whether shades have 16 bits; else 8."""

    def __post_init__(self) -> None:
        if self.soft <= 0:
            msg = f"soft is above 0, not {self.soft}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class QualityRecipe:
    """When a frame is left out of a combination automatically."""

    check: bool = True
    """Whether frames are left out automatically at all."""
    n_sigma: float = 8.0
    """A level or noise farther from its group than this many scales is odd."""
    tolerance: float = 0.02
    """... but never a level within this fraction of the group's."""
    max_saturated: float = 0.02
    """A flat with a larger fraction of saturated pixels is left out."""
    max_elongation: float = 2.0
    """A light whose stars are so many times as elongated as the others' is trailed ..."""
    max_fwhm: float = 2.5
    """... whose stars are so many times as wide is out of focus ..."""
    min_stars: float = 0.2
    """... with a smaller fraction of their number of stars is clouded out ..."""
    min_flux: float = 0.1
    """... as one whose bright stars have a smaller fraction of their flux is ..."""
    max_sky: float = 10.0
    """... and with so many times their sky level is lit: stacks do without it."""

    def __post_init__(self) -> None:
        factors = (self.max_elongation, self.max_fwhm, self.max_sky)
        fractions = (self.min_stars, self.min_flux)
        if min(factors) <= 1 or min(fractions) < 0 or max(fractions) >= 1:
            msg = (
                "max_elongation, max_fwhm and max_sky are above 1, min_stars and "
                f"min_flux lie between 0 and 1, not {factors} and {fractions}"
            )
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pixels are treated, from bias to stack."""

    name: str
    """Name of the recipe: ``default``, ``notes``, or of the user's file."""
    overscan: OverscanRecipe = field(default_factory=OverscanRecipe)
    """Overscan of all frames."""
    linearity: Linearity = field(default_factory=Linearity)
    """What makes the counts of a camera linear."""
    amplifiers: AmplifierRecipe = field(default_factory=AmplifierRecipe)
    """Detectors of several amplifiers."""
    bias: Combination = field(default_factory=Combination)
    """Combination of bias frames."""
    dark: DarkRecipe = field(default_factory=DarkRecipe)
    """Darks and their scaling."""
    flat: FlatRecipe = field(default_factory=FlatRecipe)
    """Flats."""
    light: LightRecipe = field(default_factory=LightRecipe)
    """Calibrated lights."""
    stack: StackRecipe = field(default_factory=StackRecipe)
    """Stacks of lights."""
    picture: PictureRecipe = field(default_factory=PictureRecipe)
    """Pictures of objects."""
    quality: QualityRecipe = field(default_factory=QualityRecipe)
    """Automatic exclusion."""
    options: str = ""
    """Options of the command line by which it differs, as ``--align none``; no key of a
    file."""

    @property
    def title(self) -> str:
        """Its name, and the options: whose choice something was."""
        return f"{self.name} with {self.options}" if self.options else self.name


def recipe_names() -> list[str]:
    """List the recipes that come with autoreduce."""
    folder = resources.files("autoreduce.planning") / "recipes"
    return sorted(
        Path(item.name).stem for item in folder.iterdir() if item.name.endswith("toml")
    )


def load_recipe(name_or_path: str = "default") -> Recipe:
    """Read a recipe by name, or from a TOML file.

    Parameters
    ----------
    name_or_path : str
        One of `recipe_names`, or the path of a TOML file.

    Returns
    -------
    Recipe
        The recipe.  What a file does not say is as in the recipe that it begins with,
        ``recipe = "notes"`` at its top, else as in ``default``.

    Raises
    ------
    SettingsError
        If there is no such recipe, or the file is not valid TOML, or it holds a
        name or value that a recipe does not have.
    """
    if name_or_path in recipe_names():
        return _recipe(_that_comes_along(name_or_path), name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        there = [*recipe_names(), *map(str, path.parent.glob("*.toml"))]
        near = get_close_matches(name_or_path, there, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = (
            f"there is no recipe {name_or_path}: give one of "
            f"{', '.join(recipe_names())}, or the path of a TOML file{hint}"
        )
        raise SettingsError(msg)
    source = SettingsText.of_file(path, f"recipe {path}")
    table = source.table()
    base = table.pop(_BASE, "default")
    if base not in recipe_names():
        raise source.wrong((_BASE,), base, f"one of {', '.join(recipe_names())}")
    table = _laid_over(_that_comes_along(base).table(), table)
    return _with_files(build(Recipe, table, source, name=path.stem, options=""), path)


_BASE = "recipe"
"""Key at the top of an observer's recipe: the one that it begins with."""


def _that_comes_along(name: str) -> SettingsText:
    folder = resources.files("autoreduce.planning") / "recipes"
    text = (folder / f"{name}.toml").read_text("utf-8")
    return SettingsText(f"recipe {name}", text)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key."""
    both = below | above
    for key, value in below.items():
        if isinstance(value, dict) and isinstance(both[key], dict):
            both[key] = _laid_over(value, both[key])
    return both


def _with_files(recipe: Recipe, path: Path) -> Recipe:
    """Find the files that a recipe names, from the folder on in which it lies."""
    if not recipe.light.bad_pixels:
        return recipe
    file = (path.parent / recipe.light.bad_pixels).resolve()
    if not file.is_file():
        msg = f"recipe {path}: there is no file {file}, named as light.bad_pixels"
        raise SettingsError(msg)
    light = replace(recipe.light, bad_pixels=file.as_posix())
    return replace(recipe, light=light)


def parse_recipe(text: str, name: str) -> Recipe:
    """Read a recipe from TOML text; errors as in `load_recipe`."""
    return _recipe(SettingsText(f"recipe {name}", text), name)


def _recipe(source: SettingsText, name: str) -> Recipe:
    return build(Recipe, source.table(), source, name=name, options="")
