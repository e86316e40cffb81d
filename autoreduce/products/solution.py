"""World coordinates found by a solver from the stars of a light, and carried to others.

A solution is a plane that touches the sky (TAN), with polynomials of distortion (SIP).
Under a similarity of the pixels it stays one: matrix and polynomials are those of the
other pixels.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
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
MOST_STARS = 200
"""Brightest stars that are handed over."""
SECONDS = 60
"""Time that a solver gets for an image."""
SCALE_ERROR = 0.15
"""Part by which the scale that a header tells may be wrong."""
NEAR_DEG = 10.0
"""How far from where the header points the image may lie, degrees."""
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
    return shutil.which(SOLVER) is not None


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
        None if it was not found.
    """
    with tempfile.TemporaryDirectory(prefix="autoreduce-") as name:
        folder = Path(name)
        chosen = stars[:MOST_STARS]
        table = table_extension(
            "STARS", {"X": chosen["x"] + 1, "Y": chosen["y"] + 1, "F": chosen["flux"]}
        )
        write_image(folder / "stars.fits", np.zeros((1, 1), np.uint8), [], table=table)
        for options in dict.fromkeys((_hinted(hints), ())):
            if _run(folder, shape, options):
                (header, *_) = read_headers(folder / "stars.wcs")
                return Solution.of_header(header)
    return None


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
    """Run the solver; tell whether it wrote a solution."""
    ny, nx = shape
    words = [
        *(SOLVER, "--overwrite", "--no-plots", "--cpulimit", str(SECONDS)),
        *("--width", str(nx), "--height", str(ny), "--sort-column", "F"),
        *("--x-column", "X", "--y-column", "Y", *options, "stars.fits"),
    ]
    # It may be a script that waits for what is typed.
    try:
        subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=4 * SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return (folder / "stars.wcs").is_file()
