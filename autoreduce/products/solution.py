"""World coordinates found by a solver from the stars of a light, and carried to others.

A solution is a plane that touches the sky (TAN), with polynomials of distortion (SIP).
Under a similarity of the pixels it stays one: matrix and polynomials are those of the
other pixels.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.fits.cards import Card, format_card
from autoreduce.fits.header import RawHeader, read_headers
from autoreduce.fits.tables import table_extension
from autoreduce.fits.writer import write_image
from autoreduce.pixels.register import Transform

Matrix = NDArray[np.float64]
Terms = Mapping[tuple[int, int], float]
"""Coefficients of a polynomial by the powers of x and y."""

SOLVER = "solve-field"
"""Of astrometry.net; what ASTAP is asked only where it does not serve."""
ASTAP = ("astap_cli", "astap")
"""Programs of ASTAP, of which the first that is installed is asked."""
MOST_STARS = 200
"""Brightest stars that are handed over."""
SECONDS = 60
"""Time that a solver gets for an image."""
SCALE_ERROR = 0.15
"""Part by which the scale that a header tells may be wrong."""
NEAR_DEG = 10.0
"""How far from where the header points the image may lie, degrees."""
STAMP, WIDTH, BRIGHTEST, SKY, NOISE = 7, 1.8, 5e4, 1000.0, 5.0
"""Stars as they are drawn for ASTAP: half a stamp and 1 sigma, pixel; levels, ADU."""
POLYNOMIALS = ("A", "B", "AP", "BP")


class Hints(NamedTuple):
    """What is known of where an image lies."""

    scale_arcsec: float | None = None
    """Width of a pixel."""
    ra: float | None = None
    """Right ascension that it was pointed at, deg."""
    dec: float | None = None
    """The same: declination."""


@dataclass(frozen=True, slots=True)
class Solution:
    """World coordinates of an image, pixels counted from 0."""

    sky: tuple[float, float]
    """Right ascension and declination of the point that the plane touches, deg."""
    place: tuple[float, float]
    """Its pixel."""
    matrix: Matrix
    """(2, 2): degrees on the plane for a step of a pixel."""
    distortion: Mapping[str, Terms]
    """SIP polynomials by their letters; empty without."""

    @classmethod
    def of_header(cls, header: RawHeader) -> "Solution":
        """Read what a solver wrote."""

        def number(keyword: str) -> float:
            return header.number(keyword) or 0.0

        matrix = [[number(f"CD{i}_{j}") for j in (1, 2)] for i in (1, 2)]
        found: dict[str, dict[tuple[int, int], float]] = {}
        for name in POLYNOMIALS:
            order = int(number(f"{name}_ORDER"))
            powers = [(p, q) for p in range(order + 1) for q in range(order + 1 - p)]
            terms = {(p, q): number(f"{name}_{p}_{q}") for p, q in powers}
            if any(terms.values()):
                found[name] = terms
        return cls(
            (number("CRVAL1"), number("CRVAL2")),
            (number("CRPIX1") - 1, number("CRPIX2") - 1),
            np.array(matrix),
            found,
        )

    def carried(self, transform: Transform) -> "Solution":
        """Give the coordinates of an image that a transform takes to this one."""
        step = transform.matrix[:, :2]
        x, y = transform.inverse()(*map(np.float64, self.place))
        carried: dict[str, Terms] = {}
        for pair in (("A", "B"), ("AP", "BP")):
            if set(pair) <= set(self.distortion):
                first, second = (self.distortion[name] for name in pair)
                both = _carried_pair(first, second, step)
                carried |= dict(zip(pair, both, strict=True))
        matrix = self.matrix @ step
        return replace(
            self, place=(float(x), float(y)), matrix=matrix, distortion=carried
        )

    def cards(self) -> list[bytes]:
        """Write it as cards of a header."""
        kind = "-SIP" if self.distortion else ""
        cards = [
            Card("WCSAXES", 2),
            Card("CTYPE1", f"RA---TAN{kind}", "gnomonic, solved from the stars"),
            Card("CTYPE2", f"DEC--TAN{kind}", "gnomonic, solved from the stars"),
            Card("CUNIT1", "deg"),
            Card("CUNIT2", "deg"),
            Card("CRVAL1", self.sky[0], "[deg] right ascension"),
            Card("CRVAL2", self.sky[1], "[deg] declination"),
            Card("CRPIX1", self.place[0] + 1, "[pixel] where that is"),
            Card("CRPIX2", self.place[1] + 1, "[pixel] where that is"),
            Card("RADESYS", "ICRS"),
        ]
        for (i, j), value in np.ndenumerate(self.matrix):
            cards.append(Card(f"CD{i + 1}_{j + 1}", float(value), "[deg/pixel]"))
        for name, terms in self.distortion.items():
            order = max(p + q for p, q in terms)
            cards.append(Card(f"{name}_ORDER", order, "SIP distortion"))
            cards += [Card(f"{name}_{p}_{q}", v) for (p, q), v in terms.items()]
        return [line for card in cards for line in format_card(*card)]


def _carried_pair(a: Terms, b: Terms, step: Matrix) -> tuple[Terms, Terms]:
    """Take polynomials to other pixels: f'(u) = step^-1 f(step u), term by term.

    Of as many points as there are terms, and more, least squares give these exactly.
    """
    order = max(p + q for terms in (a, b) for p, q in terms)
    powers = [(p, q) for p in range(order + 1) for q in range(order + 1 - p)]
    side = np.linspace(-1, 1, 2 * order + 1)
    v, u = (axis.ravel() for axis in np.meshgrid(side, side))
    x, y = step @ np.array([u, v])
    values = np.array(
        [sum(c * x**p * y**q for (p, q), c in terms.items()) for terms in (a, b)]
    )
    design = np.stack([u**p * v**q for p, q in powers], axis=1)
    found, *_ = np.linalg.lstsq(design, np.linalg.solve(step, values).T, rcond=None)
    own, other = (
        {power: float(c) for power, c in zip(powers, column, strict=True) if c}
        for column in found.T
    )
    return own, other


def is_installed() -> bool:
    """Tell whether there is a solver."""
    return shutil.which(SOLVER) is not None or _astap() is not None


def _astap() -> str | None:
    return next(filter(shutil.which, ASTAP), None)


def solve(stars: NDArray[Any], shape: tuple[int, int], hints: Hints) -> Solution | None:
    """Have the coordinates of an image found from its stars.

    Parameters
    ----------
    stars : (n,) array of `autoreduce.pixels.stars.STAR`
        Its stars, the brightest first.
    shape : (ny, nx)
        Its size.
    hints : Hints
        What its header tells.  If it is not found there, it is looked for anywhere.

    Returns
    -------
    Solution or None
        None if neither astrometry.net nor ASTAP found it.
    """
    chosen = stars[:MOST_STARS]
    with tempfile.TemporaryDirectory(prefix="autoreduce-") as name:
        folder = Path(name)
        return _of_astrometry_net(folder, chosen, shape, hints) or _of_astap(
            folder, chosen, shape, hints
        )


def _of_astrometry_net(
    folder: Path, stars: NDArray[Any], shape: tuple[int, int], hints: Hints
) -> Solution | None:
    table = table_extension(
        "STARS", {"X": stars["x"] + 1, "Y": stars["y"] + 1, "F": stars["flux"]}
    )
    write_image(folder / "stars.fits", np.zeros((1, 1), np.uint8), [], table=table)
    for options in dict.fromkeys((_hinted(hints), ())):
        if _run(folder, shape, options):
            (header, *_) = read_headers(folder / "stars.wcs")
            return Solution.of_header(header)
    return None


def _of_astap(
    folder: Path, stars: NDArray[Any], shape: tuple[int, int], hints: Hints
) -> Solution | None:
    """Have ASTAP solve a picture of the stars: it takes no table."""
    program = _astap()
    if program is None:
        return None
    write_image(folder / "drawn.fits", _drawn(stars, shape), [])
    for options in dict.fromkeys((_hinted_astap(hints, shape), ("-r", "180"))):
        _call([program, "-f", "drawn.fits", "-o", "drawn", *options], folder)
        found = _told(folder / "drawn.ini")
        if found.get("PLTSOLVD") == "T":
            return _of_words(found)
    return None


def _drawn(stars: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Draw stars of one width over noise, their range compressed, order kept."""
    image = np.random.default_rng(0).normal(SKY, NOISE, shape).astype(np.float32)
    y, x = np.mgrid[-STAMP : STAMP + 1, -STAMP : STAMP + 1]
    for star in stars:
        column, row = round(float(star["x"])), round(float(star["y"]))
        if not (STAMP <= row < shape[0] - STAMP and STAMP <= column < shape[1] - STAMP):
            continue
        square = (x + column - star["x"]) ** 2 + (y + row - star["y"]) ** 2
        peak = BRIGHTEST * np.sqrt(max(star["flux"] / stars["flux"].max(), 0))
        stamp = peak * np.exp(-square / (2 * WIDTH**2))
        image[row - STAMP : row + STAMP + 1, column - STAMP : column + STAMP + 1] += (
            stamp
        )
    return np.asarray(np.clip(np.rint(image), 0, 65535), np.uint16)


def _hinted_astap(hints: Hints, shape: tuple[int, int]) -> tuple[str, ...]:
    options: tuple[str, ...] = ()
    if hints.scale_arcsec:
        options += ("-fov", f"{hints.scale_arcsec * shape[0] / 3600:.6g}")
    if hints.ra is None or hints.dec is None:
        return (*options, "-r", "180")
    options += ("-ra", f"{hints.ra / 15:.6f}", "-spd", f"{hints.dec + 90:.6f}")
    return (*options, "-r", f"{NEAR_DEG:g}")


def _told(path: Path) -> dict[str, str]:
    """Read what ASTAP says of its solution, line by line; nothing without a file."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text("latin-1").splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _of_words(found: Mapping[str, str]) -> Solution | None:
    try:
        sky, place, matrix = (
            [float(found[name]) for name in names]
            for names in (
                ("CRVAL1", "CRVAL2"),
                ("CRPIX1", "CRPIX2"),
                ("CD1_1", "CD1_2", "CD2_1", "CD2_2"),
            )
        )
    except (KeyError, ValueError):
        return None
    return Solution(
        (sky[0], sky[1]),
        (place[0] - 1, place[1] - 1),
        np.reshape(matrix, (2, 2)),
        {},
    )


def _hinted(hints: Hints) -> tuple[str, ...]:
    options: tuple[str, ...] = ()
    if hints.scale_arcsec:
        low, high = (hints.scale_arcsec * (1 + s * SCALE_ERROR) for s in (-1, 1))
        options += ("--scale-units", "arcsecperpix")
        options += ("--scale-low", f"{low:.6g}", "--scale-high", f"{high:.6g}")
    if hints.ra is not None and hints.dec is not None:
        options += ("--ra", f"{hints.ra:.6f}", f"--dec={hints.dec:.6f}")
        options += ("--radius", f"{NEAR_DEG:g}")
    return options


def _run(folder: Path, shape: tuple[int, int], options: Sequence[str]) -> bool:
    """Run solve-field; tell whether it wrote a solution."""
    ny, nx = shape
    words = [
        *(SOLVER, "--overwrite", "--no-plots", "--cpulimit", str(SECONDS)),
        *("--width", str(nx), "--height", str(ny), "--sort-column", "F"),
        *("--x-column", "X", "--y-column", "Y", *options, "stars.fits"),
    ]
    _call(words, folder)
    return (folder / "stars.wcs").is_file()


def _call(words: Sequence[str], folder: Path) -> None:
    """Run a program, which may be a script that waits for what is typed."""
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=4 * SECONDS,
            check=False,
        )
