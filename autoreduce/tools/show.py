"""Pictures of images: on the screen, in a file, in the terminal, in motion."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.header import begins_at_top
from autoreduce.fits.images import open_image
from autoreduce.pixels.stretch import (
    BAND_PIXELS,
    Sample,
    slope_of,
    tone_of,
    whole_numbers,
)
from autoreduce.tools.files import STILL_SUFFIXES, picture_format, replacing
from autoreduce.tools.regions import Region

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
Floats = NDArray[np.float64]

TIFF_SUFFIXES = (".tif", ".tiff")
MOVING_SUFFIXES = (".gif", ".mp4")
MOST_PIXELS = 1 << 28
"""Pixels of a PNG file at most, which are drawn in 1 GB of memory."""
HISTOGRAM_BINS = 200
_PANEL_INCHES = 5.0
_LABEL_INCHES = 0.4
_GREY_STEPS = 24
_FIRST_GREY = 232
_CUBE_STEPS = 5
_FIRST_OF_CUBE = 16


class Limits(StrEnum):
    """How the values shown as black and white are chosen."""

    ZSCALE = "zscale"
    """The algorithm of IRAF's display."""
    RMS = "rms"
    """The mean, and n standard deviations to both sides."""
    MINMAX = "minmax"
    PERCENTILE = "percentile"
    """So that a percentage of the pixels lies between them."""
    RANGE = "range"
    """Two numbers that are given."""


class Stretch(StrEnum):
    """How values between the limits become shades."""

    LINEAR = "linear"
    SQRT = "sqrt"
    LOG = "log"
    ASINH = "asinh"


@dataclass(frozen=True, slots=True)
class Display:
    """How images are drawn."""

    limits: Limits = Limits.ZSCALE
    """How black and white are chosen."""
    n_rms: float = 3.0
    """Standard deviations to both sides of the mean (RMS)."""
    percentile: float = 99.5
    """Percentage of the pixels between the limits (PERCENTILE)."""
    span: tuple[float, float] = (0.0, 1.0)
    """The limits (RANGE)."""
    stretch: Stretch = Stretch.LINEAR
    """How values become shades."""
    cmap: str = "gray"
    """Colour map of matplotlib."""
    y_scale: float = 1.0
    """Height of a pixel in widths."""
    title: str | None = None
    """Title; the names of the images if None."""
    marginals: bool = False
    """Whether the means along x and y are plotted beside the image."""
    histogram: bool = False
    """Whether a histogram of the values is plotted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image, or a section of one, to be shown."""

    name: str
    """What stands over it."""
    data: Array
    """(ny, nx) values, or (3, ny, nx) red, green and blue."""
    corner: tuple[int, int] = field(default=(0, 0))
    """First column and row in the whole image, zero based."""
    from_top: bool = False
    """Whether the first row is the upper one."""


def read_pictures(images: Sequence[str], region: Region | None = None) -> list[Picture]:
    """Read images to be shown; each plane of a cube is a picture, unless it is a colour.

    Raises
    ------
    InputError
        If an image cannot be read, or the region does not lie within it.
    """
    pictures = []
    for image in images:
        with open_image(image) as reader:
            data, colours = reader.read(), reader.colours
            from_top = begins_at_top(reader.raw)
        name, corner = Path(image).name, (0, 0)
        first = 1
        if region is not None:
            data = region.cut(data, image)
            corner = (region.section[1].start, region.section[0].start)
            first += region.planes.start if region.planes else 0
        if data.ndim == 2 or (colours and len(data) == len(colours)):
            pictures.append(Picture(name, data, corner, from_top))
        else:
            pictures += [
                Picture(f"{name} plane {number}", plane, corner, from_top)
                for number, plane in enumerate(data, start=first)
            ]
    return pictures


def merge_rgb(pictures: Sequence[Picture]) -> Picture:
    """Make one colour picture of a red, a green and a blue one.

    Raises
    ------
    InputError
        If there are not three, or they differ in size.
    """
    if len(pictures) != 3 or len({picture.data.shape for picture in pictures}) != 1:
        sizes = ", ".join(
            "x".join(map(str, reversed(picture.data.shape))) for picture in pictures
        )
        msg = f"colours need three images (or planes) of one size, not {sizes}"
        raise InputError(msg)
    name = "\n".join(dict.fromkeys(picture.name for picture in pictures))
    data = np.stack([picture.data for picture in pictures])
    return Picture(name, data, pictures[0].corner, pictures[0].from_top)


def display_limits(data: Array, display: Display) -> tuple[float, float]:
    """Return the values that are shown as black and white.

    Parameters
    ----------
    data : array
        Values; those that are not finite do not count.
    display : Display
        How the limits are chosen.

    Returns
    -------
    tuple of float
        Lower and upper limit; the upper one is always above the lower one.
    """
    values = data[np.isfinite(data)].astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    low, high = _raw_limits(values.reshape(-1), display)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _raw_limits(values: Floats, display: Display) -> tuple[float, float]:
    if display.limits is Limits.RANGE:
        return display.span
    if display.limits is Limits.MINMAX:
        return float(values.min()), float(values.max())
    if display.limits is Limits.RMS:
        mean, rms = float(values.mean()), float(values.std())
        return mean - display.n_rms * rms, mean + display.n_rms * rms
    if display.limits is Limits.PERCENTILE:
        edge = (100 - display.percentile) / 2
        low, high = np.percentile(values, [edge, 100 - edge])
        return float(low), float(high)
    from astropy.visualization import ZScaleInterval

    low, high = ZScaleInterval().get_limits(values)
    return float(low), float(high)


def shades(data: Array, display: Display) -> Floats:
    """Return values as shades from 0 to 1, NaN where they are not finite."""
    from astropy.visualization import (
        AsinhStretch,
        LinearStretch,
        LogStretch,
        SqrtStretch,
    )

    stretches: dict[Stretch, Any] = {
        Stretch.LINEAR: LinearStretch(),
        Stretch.SQRT: SqrtStretch(),
        Stretch.LOG: LogStretch(),
        Stretch.ASINH: AsinhStretch(),
    }
    low, high = display_limits(data, display)
    values = np.where(np.isfinite(data), data, np.nan).astype(np.float64)
    scaled = np.clip((values - low) / (high - low), 0, 1)
    stretched: Floats = stretches[display.stretch](scaled)
    return stretched


def draw(
    pictures: Sequence[Picture], display: Display, *, screen: bool = False
) -> "Figure":
    """Draw pictures side by side.

    Parameters
    ----------
    pictures : sequence of Picture
        At least one.
    display : Display
        How they are drawn.
    screen : bool
        Whether the figure shall be shown in a window.

    Returns
    -------
    Figure
        Of matplotlib.
    """
    n_columns = int(np.ceil(np.sqrt(len(pictures))))
    n_rows = -(-len(pictures) // n_columns)
    height = _PANEL_INCHES * (1.3 if display.histogram else 1.0)
    size = (_PANEL_INCHES * n_columns + 1, height * n_rows)
    figure = _new_figure(size, screen=screen)
    if display.marginals or display.histogram:
        # What is cut off the axes has labels, for which the layout leaves no room.
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=_LABEL_INCHES / 2, h_pad=_LABEL_INCHES)
    for number, picture in enumerate(pictures, start=1):
        axes = figure.add_subplot(n_rows, n_columns, number)
        _draw_panel(axes, picture, display)
    if display.title is not None:
        figure.suptitle(_plain(display.title), parse_math=False)
    return figure


def _new_figure(size: tuple[float, float], *, screen: bool) -> "Figure":
    if screen:
        from matplotlib import pyplot as plt

        return plt.figure(figsize=size, layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _draw_panel(axes: Any, picture: Picture, display: Display) -> Any:  # noqa: ANN401 -- matplotlib's
    """Draw a picture with its plots; return what imshow made of it."""
    from mpl_toolkits.axes_grid1 import (  # type: ignore[import-untyped]
        make_axes_locatable,
    )

    drawn = _draw_image(axes, picture, display)
    axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
    name = "" if display.title is not None else _plain(picture.name)
    # Axes that are cut off the image keep to its edges whatever its shape.
    divider = make_axes_locatable(axes)
    if display.marginals:
        above = divider.append_axes("top", "20%", pad=0.1, sharex=axes)
        beside = divider.append_axes("right", "20%", pad=0.1, sharey=axes)
        _draw_marginals(above, beside, picture)
        above.set_title(name, fontsize=9, parse_math=False)
    else:
        axes.set_title(name, fontsize=9, parse_math=False)
    if display.histogram:
        below = divider.append_axes("bottom", "25%", pad=0.6)
        _draw_histogram(below, picture, display)
    return drawn


def _draw_image(axes: Any, picture: Picture, display: Display) -> Any:  # noqa: ANN401 -- matplotlib's
    # FITS counts pixels from one, and their centres are whole numbers.
    x0, y0 = (start + 0.5 for start in picture.corner)
    ny, nx = picture.data.shape[-2:]
    return axes.imshow(
        _coloured(picture, display),
        cmap=display.cmap,
        vmin=0,
        vmax=1,
        origin="lower",
        aspect=display.y_scale,
        extent=(x0, x0 + nx, y0, y0 + ny),
        interpolation="nearest" if max(nx, ny) < 400 else "antialiased",
    )


def _plain(name: str) -> str:
    """Return a name as it can be drawn: what is not in UTF-8 is marked."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _coloured(picture: Picture, display: Display) -> Floats:
    """Return (ny, nx) shades, or (ny, nx, 3) colours.

    Colours are shown as in the pictures of objects, unless limits or a stretch are asked
    for: each has limits of its own then.
    """
    if picture.data.ndim == 2:
        return shades(picture.data, display)
    if (display.limits, display.stretch) == (Limits.ZSCALE, Stretch.LINEAR):
        upright = replace(picture, from_top=True)
        return full_size(upright).astype(np.float64) / np.iinfo(np.uint16).max
    planes = [np.nan_to_num(shades(plane, display)) for plane in picture.data]
    return np.stack(planes, axis=-1)


def _draw_marginals(above: Any, beside: Any, picture: Picture) -> None:  # noqa: ANN401 -- matplotlib's
    x0, y0 = (start + 1 for start in picture.corner)
    for plane, colour in _channels(picture):
        along_x, along_y = marginals(plane)
        above.plot(x0 + np.arange(along_x.size), along_x, color=colour, lw=0.7)
        beside.plot(along_y, y0 + np.arange(along_y.size), color=colour, lw=0.7)
    above.tick_params(labelbottom=False)
    beside.tick_params(labelleft=False)
    beside.tick_params(axis="x", labelrotation=90)


def _channels(picture: Picture) -> list[tuple[Array, str]]:
    """Return each plane with the colour in which it is plotted."""
    if picture.data.ndim == 2:
        return [(picture.data, "black")]
    return list(zip(picture.data, ("red", "green", "blue"), strict=True))


def marginals(data: Array) -> tuple[Floats, Floats]:
    """Return the mean of each column and of each row, over finite pixels."""
    good = np.isfinite(data)
    values = np.where(good, data, 0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        along_x = values.sum(axis=0) / good.sum(axis=0)
        along_y = values.sum(axis=1) / good.sum(axis=1)
    return along_x, along_y


def _draw_histogram(axes: Any, picture: Picture, display: Display) -> None:  # noqa: ANN401 -- matplotlib's
    for plane, colour in _channels(picture):
        low, high = display_limits(plane, display)
        finite = plane[np.isfinite(plane)]
        width = high - low
        counts, edges = np.histogram(
            finite, HISTOGRAM_BINS, range=(low - width / 4, high + width / 4)
        )
        axes.stairs(counts, edges, color=colour)
        for limit in (low, high):
            axes.axvline(limit, color=colour, ls=":", lw=0.7)
    axes.set_yscale("symlog")
    axes.set_xlabel("value")


def check_suffix(path: Path, *, moving: bool) -> None:
    """Raise `ProductError` if pictures are not written under names that end so.

    Parameters
    ----------
    path : Path
        Of the file that shall be written.
    moving : bool
        Whether the pictures follow each other, as a GIF or MP4.
    """
    still = (*STILL_SUFFIXES, *TIFF_SUFFIXES[:1])
    known = MOVING_SUFFIXES if moving else (*still, *TIFF_SUFFIXES)
    suffix = path.suffix.lower()
    if suffix in known:
        return
    what, those = (
        ("pictures in motion are", known) if moving else ("a picture is", still)
    )
    msg = f"{path}: {what} written as {', '.join(those)}"
    if suffix in MOVING_SUFFIXES:
        msg += f"; with --animate as {', '.join(MOVING_SUFFIXES)}"
    raise ProductError(msg)


def is_empty(picture: Picture) -> bool:
    """Tell whether no pixel of a picture has a value that could be drawn."""
    return not np.isfinite(picture.data).any()


def has_screen() -> bool:
    """Say whether windows can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_figure(figure: "Figure") -> None:
    """Show a figure that was drawn for the screen, until its window is closed."""
    from matplotlib import pyplot as plt

    plt.show()
    plt.close(figure)


def save_figure(
    figure: "Figure", path: Path, *, dpi: int = 120, overwrite: bool = False
) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of its name.

    Raises
    ------
    ProductError
        If the suffix is another one, the picture would be too large, or the file exists
        or cannot be written.
    """
    form = picture_format(path)
    width, height = (round(inches * dpi) for inches in figure.get_size_inches())
    if form == "png" and width * height > MOST_PIXELS:
        msg = f"{path} would have {width} x {height} pixels; give a smaller --dpi"
        raise ProductError(msg)
    with replacing(path, overwrite=overwrite) as part:
        figure.savefig(part, format=form, dpi=dpi, bbox_inches="tight")


def save_tiff(picture: Picture, path: Path, *, overwrite: bool = False) -> None:
    """Write an image as a TIFF file of 16 bits: full size, no axes, sky neutral.

    Raises
    ------
    ProductError
        If the file exists or cannot be written, or tifffile is not installed.
    """
    try:
        from tifffile import imwrite
    except ImportError as error:
        msg = f"{path}: TIFF needs tifffile: pip install tifffile"
        raise ProductError(msg) from error
    pixels = full_size(picture)
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    with replacing(path, overwrite=overwrite) as part:
        imwrite(part, pixels, photometric=kind, compression="zlib", predictor=True)


def full_size(picture: Picture) -> NDArray[np.uint16]:
    """Stretch an image as the pictures of objects are: sky neutral, faint things lifted.

    Returns
    -------
    (ny, nx) or (ny, nx, 3) array of uint16
        Its top first.
    """
    channels = [picture.data] if picture.data.ndim == 2 else list(picture.data)
    ny, nx = channels[0].shape
    sample = Sample.of((ny, nx))
    known = sample.rows, sample.columns
    read = [one[np.ix_(*known)].astype(np.float32, copy=False) for one in channels]
    slopes = [slope_of(one, *known) for one in read]

    def levelled(
        images: Sequence[Array], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> list[Array]:
        each = zip(slopes, images, strict=True)
        return [slope.levelled(one, rows, columns) for slope, one in each]

    tone = tone_of(levelled(read, *known), apart=sample.apart)
    shape = (ny, nx) if len(channels) == 1 else (ny, nx, 3)
    pixels = np.empty(shape, np.uint16)
    height = max(1, BAND_PIXELS // nx)
    for start in range(0, ny, height):
        rows = np.arange(start, min(start + height, ny))
        band = [one[rows].astype(np.float32, copy=False) for one in channels]
        shades = tone.shades(levelled(band, rows, np.arange(nx)))
        pixels[rows] = whole_numbers(shades, 16)
    return pixels if picture.from_top else pixels[::-1]


def animate(
    pictures: Sequence[Picture],
    path: Path,
    display: Display,
    *,
    interval_ms: int = 500,
    overwrite: bool = False,
) -> None:
    """Write pictures one after the other as a GIF or, where ffmpeg is there, an MP4.

    All have the limits of the first one, so that they can be blinked.

    Parameters
    ----------
    pictures : sequence of Picture
        Of one size.
    path : Path
        ``.gif`` or ``.mp4``.
    display : Display
        How they are drawn.
    interval_ms : int
        Time that each is shown, milliseconds.
    overwrite : bool
        Whether a file that stands there is replaced.

    Raises
    ------
    InputError
        If they differ in size.
    ProductError
        If the file is neither, exists, or there is no ffmpeg for an MP4.
    """
    from matplotlib import animation

    if len({picture.data.shape for picture in pictures}) != 1:
        msg = "pictures that are animated must have one size; give a section"
        raise InputError(msg)
    writer = _writer(path, interval_ms)
    span = display_limits(pictures[0].data, display)
    fixed = replace(display, limits=Limits.RANGE, span=span)
    figure = _new_figure((_PANEL_INCHES + 1, _PANEL_INCHES), screen=False)
    axes = figure.add_subplot()
    drawn = _draw_panel(axes, pictures[0], replace(fixed, marginals=False))

    def turn(number: int) -> list[Any]:
        drawn.set_data(_coloured(pictures[number], fixed))
        title = _plain(display.title or pictures[number].name)
        drawn.axes.set_title(title, fontsize=9, parse_math=False)
        return [drawn]

    motion = animation.FuncAnimation(
        figure, turn, frames=len(pictures), interval=interval_ms, cache_frame_data=False
    )
    with replacing(path, overwrite=overwrite) as part:
        motion.save(part, writer=writer)


def _writer(path: Path, interval_ms: int) -> Any:  # noqa: ANN401 -- matplotlib's
    from matplotlib import animation

    check_suffix(path, moving=True)
    fps: Any = 1000 / interval_ms  # declared int, and divided by
    if path.suffix.lower() == ".gif":
        return animation.PillowWriter(fps=fps)
    if not animation.FFMpegWriter.isAvailable():
        msg = f"{path}: MP4 needs ffmpeg, which is not installed; write a .gif"
        raise ProductError(msg)
    return animation.FFMpegWriter(fps=fps)


def terminal_preview(
    picture: Picture,
    display: Display,
    *,
    columns: int | None = None,
    true_colour: bool | None = None,
) -> str:
    """Draw a picture with coloured half blocks, two pixels to a character.

    Parameters
    ----------
    picture : Picture
        What is drawn.
    display : Display
        How.
    columns : int, optional
        Width in characters; that of the terminal if absent.
    true_colour : bool, optional
        Whether the terminal has 24-bit colours and not 256; by default as
        COLORTERM says.

    Returns
    -------
    str
        Lines of text with colours, the last row of the image on top.
    """
    from matplotlib import colormaps

    if columns is None:
        columns = shutil.get_terminal_size().columns
    if true_colour is None:
        true_colour = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
    ny, nx = picture.data.shape[-2:]
    width = min(columns, nx)
    height = max(2, round(width * ny / nx * display.y_scale / 2) * 2)
    small = picture.data[..., _sampled(ny, height)[:, None], _sampled(nx, width)]
    lit = display_limits(picture.data, display)
    fixed = replace(display, limits=Limits.RANGE, span=lit)
    cells = _coloured(
        Picture(picture.name, small), display if small.ndim == 3 else fixed
    )
    if cells.ndim == 2:
        cells = colormaps[display.cmap](np.nan_to_num(cells))[..., :3]
    colours = (cells[::-1] * 255).round().astype(int)
    lines = [
        "".join(
            _half_block(top, bottom, true_colour=true_colour)
            for top, bottom in zip(above, below, strict=True)
        )
        for above, below in zip(colours[::2], colours[1::2], strict=True)
    ]
    limits = f"{picture.name}: {nx} x {ny}, {lit[0]:.6g} to {lit[1]:.6g}"
    return "\n".join([*(f"{line}\x1b[0m" for line in lines), limits]) + "\n"


def _sampled(size: int, count: int) -> NDArray[np.intp]:
    return ((np.arange(count) + 0.5) * size / count).astype(np.intp)


def _half_block(
    top: NDArray[np.int_], bottom: NDArray[np.int_], *, true_colour: bool
) -> str:
    if true_colour:
        upper, lower = (";".join(map(str, colour)) for colour in (top, bottom))
        return f"\x1b[38;2;{upper};48;2;{lower}m▀"
    return f"\x1b[38;5;{_palette(top)};48;5;{_palette(bottom)}m▀"


def _palette(colour: NDArray[np.int_]) -> int:
    """Return the nearest of the 256 colours: 24 greys, or a cube of six steps."""
    red, green, blue = (int(part) for part in colour)
    if max(red, green, blue) - min(red, green, blue) < 10:
        return _FIRST_GREY + round((_GREY_STEPS - 1) * green / 255)
    steps = [round(_CUBE_STEPS * part / 255) for part in (red, green, blue)]
    return _FIRST_OF_CUBE + 36 * steps[0] + 6 * steps[1] + steps[2]
