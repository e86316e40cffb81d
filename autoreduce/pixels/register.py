"""Register lights on one another by their stars, or by their whole images.

Pure arrays.  Triangles of bright stars, told by the ratios of their sides, suggest
transforms; those on which most triangles agree are tried on all stars, and the one is
taken whose agreement is least likely to be chance.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.pixels.stars import BLENDED, EDGE, MASKED, SATURATED

Floats = NDArray[np.float64]
Places = Floats | np.float64
Complex = NDArray[np.complex128]
Indices = NDArray[np.intp]
Table = NDArray[Any]

BRIGHT = (20, 45)
"""Brightest stars whose triangles are compared; more where fewer do not suffice."""
CANDIDATES = 300
"""Brightest stars on which a transform is tried before all are used."""
SCALES = (0.8, 1.25)
"""Scale of one light over that of another: focal reducers change it by more."""
RATIO_ERROR = 0.004
"""How much a ratio of sides may differ between lights."""
SHORTEST = 0.05
"""Longest side of a triangle at least, of the extent of the stars: short ones lie."""
FLATTEST = 0.15
"""Sum of the shorter sides over the longest, less 1: flat triangles are all alike."""
PAIRED = 3.0
"""Distance, in pixels, at which a star is looked for where a transform puts it."""
PAIRED_NEAR = 1.5
"""The same where stars are so dense that others lie as near: in small frames."""
AGREE = 4.0
"""Distance, in pixels, at which transforms agree over the field."""
TRIED = 6
"""Transforms that are tried on the stars."""
REJECTED = 4.0
"""A pair whose stars are so many times their error apart is none."""
ROUNDS = 12
FAR = 3.0
"""Distance, of the usual one, beyond which a pair takes no part in the rms."""
LEAST_ERROR = 0.003
"""Error that any centre has, in pixels."""
DOUBTFUL_ERROR = {EDGE: 0.5, SATURATED: 0.3, MASKED: 0.2, BLENDED: 0.1}
"""Error of centres whose star has a flag, in pixels."""
FALSE_ALARM, CERTAIN = 1e-3, 1e-30
"""Probability of agreement by chance with which a match is no longer trusted, and with
which no other is looked for."""
FEWEST = 3
"""Stars that a match needs."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A similarity that gives pixels of the reference for those of a light."""

    dx: float = 0.0
    """Where pixel (0, 0) of the light lies on the reference: x, in pixels."""
    dy: float = 0.0
    """The same: y."""
    rotation: float = 0.0
    """Angle from x towards y by which the light is turned, in degrees."""
    scale: float = 1.0
    """Pixels of the reference in one of the light."""
    mirrored: bool = False
    """Whether y is reversed before the light is turned."""

    @property
    def length(self) -> float:
        """How far it shifts the first pixel."""
        return float(np.hypot(self.dx, self.dy))

    @property
    def matrix(self) -> Floats:
        """Give the (2, 3) matrix that is multiplied by (x, y, 1)."""
        angle = np.deg2rad(self.rotation)
        c, s = self.scale * np.cos(angle), self.scale * np.sin(angle)
        sign = -1.0 if self.mirrored else 1.0
        return np.array([[c, -s * sign, self.dx], [s, c * sign, self.dy]])

    def __call__(self, x: Places, y: Places) -> tuple[Places, Places]:
        """Give the places on the reference of places in the light."""
        (a, b, dx), (c, d, dy) = self.matrix
        return a * x + b * y + dx, c * x + d * y + dy

    def inverse(self) -> "Transform":
        """Give the transform from the reference to the light."""
        (a, b, dx), (c, d, dy) = self.matrix
        x, y = np.linalg.solve([[a, b], [c, d]], [-dx, -dy])
        turn = self.rotation if self.mirrored else -self.rotation
        return Transform(float(x), float(y), turn, 1 / self.scale, self.mirrored)

    def then(self, after: "Transform") -> "Transform":
        """Give the transform that does this one first and `after` next."""
        dx, dy = after.matrix @ (self.dx, self.dy, 1)
        sign = -1.0 if after.mirrored else 1.0
        return Transform(
            float(dx),
            float(dy),
            _turn(after.rotation + sign * self.rotation),
            self.scale * after.scale,
            self.mirrored != after.mirrored,
        )


def _turn(degrees: float) -> float:
    """Give an angle between -180 (not included) and 180 degrees."""
    return 180.0 - (180.0 - degrees) % 360.0


class Registration(NamedTuple):
    """How a light lies on another, and how well that is known."""

    transform: Transform
    pairs: NDArray[np.intp]
    """(n, 2): rows of the light's table and of the reference's."""
    rms: float
    """Distance of the stars from where the transform puts them: 2-d, in pixels; a few
    that are far off, faint ones that are not the same, do not count."""
    error: float
    """1-sigma error of a place, 2-d mean over the field of the stars, in pixels."""
    chance: float
    """Probability that so many stars agree by chance; never more than `FALSE_ALARM`."""

    @property
    def n(self) -> int:
        """Give the number of stars in common."""
        return len(self.pairs)


class _Similarity(NamedTuple):
    """``z' = turn * z + shift``, with z conjugate where mirrored."""

    turn: complex
    shift: complex
    mirrored: bool

    def __call__(self, z: Complex) -> Complex:
        return self.turn * (np.conj(z) if self.mirrored else z) + self.shift

    def transform(self) -> Transform:
        return Transform(
            self.shift.real,
            self.shift.imag,
            float(np.rad2deg(np.angle(self.turn))),
            abs(self.turn),
            self.mirrored,
        )


class _Places(NamedTuple):
    """Where the stars of a table are, the brightest first, and how well that is known."""

    z: Complex
    error: Floats
    rows: Indices

    def first(self, n: int) -> "_Places":
        return _Places(self.z[:n], self.error[:n], self.rows[:n])


def match(
    stars: Table, reference: Table, *, scales: tuple[float, float] = SCALES
) -> Registration | None:
    """Match the stars of a light with those of another.

    Parameters
    ----------
    stars, reference : (n,) arrays of `STAR`
        Stars of both, in pixels of the same size or nearly; the brightest need not be
        the same, but some have to be common to both.
    scales : tuple of float
        The least and the greatest scale that the light can have.

    Returns
    -------
    Registration or None
        A similarity: any shift, any rotation, mirrored or not, a scale of `scales`.
        Weighted least squares after Umeyama, with pairs off by more than `REJECTED`
        times their error left out.  None if fewer than `FEWEST` stars agree, or if so
        many could agree by chance.

    References
    ----------
    .. [1] Groth (1986), AJ 91, 1244; Valdes et al. (1995), PASP 107, 1119.
    .. [2] Umeyama (1991), IEEE Trans. Pattern Anal. Mach. Intell. 13, 376.
    """
    light, other = _places(stars), _places(reference)
    for n in BRIGHT:
        found = []
        for guess in _suggested(light.first(n), other.first(n), scales):
            tried = _tried(guess, light, other)
            tried = tried or _tried(guess, light, other, PAIRED_NEAR)
            if tried is not None and scales[0] < tried.transform.scale < scales[1]:
                found.append(tried)
                if tried.chance < CERTAIN:
                    break
        if found:
            return min(found, key=lambda one: one.chance)
        if n >= max(len(light.z), len(other.z)):
            break
    return None


def match_near(stars: Table, reference: Table, about: Transform) -> Registration | None:
    """Match the stars of two lights whose transform is known to a pixel or two.

    Parameters
    ----------
    stars, reference : (n,) arrays of `STAR`
        As for `match`.
    about : Transform
        From the light to the reference.

    Returns
    -------
    Registration or None
        As for `match`.
    """
    guess = _similarity(about)
    if min(len(stars), len(reference)) < FEWEST:
        return None
    return _tried(guess, _places(stars), _places(reference))


def match_shift(stars: Table, reference: Table, like: Transform) -> Registration | None:
    """Match the few stars of a light of which all but the shift is known.

    Parameters
    ----------
    stars, reference : (n,) arrays of `STAR`
        As for `match`.
    like : Transform
        How a light of the same telescope lies on the reference; its rotation, scale
        and handedness are taken.

    Returns
    -------
    Registration or None
        As for `match`, with the shift alone fitted: three stars suffice where it takes
        five to find a rotation and a scale.
    """
    from scipy.spatial import cKDTree

    light, other = _places(stars).first(CANDIDATES), _places(reference)
    if min(len(light.z), len(other.z)) < FEWEST:
        return None
    guess = _similarity(like)
    moved = guess(light.z) - guess.shift
    shifts = (other.first(CANDIDATES).z - moved[:, None]).ravel()
    tree = cKDTree(np.column_stack([shifts.real, shifts.imag]))
    votes = tree.query_ball_point(tree.data, PAIRED, return_length=True)
    near = tree.query_ball_point(tree.data[int(np.argmax(votes))], PAIRED)
    fit = _Fit(guess._replace(shift=complex(shifts[near].mean())), PAIRED, 0.0)
    pairs = _paired(fit, light, other)
    if len(pairs) < FEWEST:
        return None
    error = np.hypot(light.error[pairs[:, 0]], other.error[pairs[:, 1]])
    off = other.z[pairs[:, 1]] - moved[pairs[:, 0]]
    shift = complex(np.average(off, weights=error**-2.0))
    radius = float(np.abs(off - shift).max()) + LEAST_ERROR
    chance = _chance(len(pairs), radius, light, other, shift_only=True)
    if chance > FALSE_ALARM:
        return None
    fit = _Fit(guess._replace(shift=shift), radius, 0.0)
    return _registration(fit, pairs, light, other, chance)


def _similarity(transform: Transform) -> _Similarity:
    turn = transform.scale * np.exp(1j * np.deg2rad(transform.rotation))
    return _Similarity(
        complex(turn), complex(transform.dx, transform.dy), transform.mirrored
    )


def _places(table: Table) -> _Places:
    """Order stars by brightness."""
    rows = np.argsort(-table["flux"], kind="stable")
    error = np.hypot(table["error"], LEAST_ERROR)
    for flag, least in DOUBTFUL_ERROR.items():
        flagged = (table["flags"] & flag) > 0
        error[flagged] = np.hypot(error[flagged], least)
    error = error[rows]
    return _Places((table["x"] + 1j * table["y"])[rows], error, rows)


class _Triangles(NamedTuple):
    """Triangles: their corners, the first opposite the longest side, and their shape."""

    corners: Indices
    """(n, 3)"""
    ratios: Floats
    """(n, 2): middle and shortest side over the longest."""
    longest: Complex
    """(n,): the longest side."""
    left: NDArray[np.bool_]
    """(n,): whether the corners go round to the left."""


def _triangles(z: Complex) -> _Triangles:
    """Give all triangles that tell something."""
    n = len(z)
    i, j, k = (axis.ravel() for axis in np.indices((n, n, n), dtype=np.intp))
    ordered = (i < j) & (j < k)
    corners = np.column_stack([i[ordered], j[ordered], k[ordered]])
    at = z[corners]
    opposite = np.abs(at[:, [1, 2, 0]] - at[:, [2, 0, 1]])
    order = np.argsort(-opposite, axis=1, kind="stable")
    sides = np.take_along_axis(opposite, order, axis=1)
    corners = np.take_along_axis(corners, order, axis=1)
    extent = sides[:, 0].max(initial=0)
    good = sides[:, 0] > SHORTEST * extent
    good &= sides[:, 1] + sides[:, 2] > (1 + FLATTEST) * sides[:, 0]
    corners, sides = corners[good], sides[good]
    at = z[corners]
    longest = at[:, 2] - at[:, 1]
    left = ((at[:, 0] - at[:, 1]) * np.conj(longest)).imag > 0
    return _Triangles(corners, sides[:, 1:] / sides[:, :1], longest, left)


def _suggested(
    light: _Places, other: _Places, scales: tuple[float, float]
) -> list[_Similarity]:
    """Give the transforms on which most triangles agree."""
    from scipy.spatial import cKDTree

    if min(len(light.z), len(other.z)) < FEWEST:
        return []
    mine, theirs = _triangles(light.z), _triangles(other.z)
    if not len(mine.ratios) or not len(theirs.ratios):
        return []
    near = cKDTree(mine.ratios).sparse_distance_matrix(
        cKDTree(theirs.ratios), RATIO_ERROR, output_type="coo_matrix"
    )
    first, second = near.row, near.col
    scale = np.abs(theirs.longest[second]) / np.abs(mine.longest[first])
    likely = (scale > scales[0]) & (scale < scales[1])
    first, second = first[likely], second[likely]
    mirrored = mine.left[first] != theirs.left[second]
    sides = mine.longest[first]
    turn = theirs.longest[second] / np.where(mirrored, np.conj(sides), sides)
    return _agreed(light.z, other.z, (mine, first), (theirs, second), turn, mirrored)


def _agreed(
    z: Complex,
    other: Complex,
    mine: tuple[_Triangles, Indices],
    theirs: tuple[_Triangles, Indices],
    turn: Complex,
    mirrored: NDArray[np.bool_],
) -> list[_Similarity]:
    """Give the transforms that most pairs of triangles agree on, the first ones first.

    Transforms agree that put the middle and the edge of the field at the same places.
    """
    from scipy.spatial import cKDTree

    if not len(turn):
        return []
    (a, first), (b, second) = mine, theirs
    middles = z[a.corners].mean(axis=1)[first]
    shift = other[b.corners].mean(axis=1)[second]
    shift = shift - turn * np.where(mirrored, np.conj(middles), middles)
    centre = np.mean([z.real, z.imag], axis=1) @ [1, 1j]
    extent = np.abs(z - centre).max()
    moved = turn * np.where(mirrored, np.conj(centre), centre) + shift
    edge = turn * extent
    kind = 1e9 * mirrored
    points = np.column_stack([moved.real, moved.imag, edge.real, edge.imag, kind])
    # Most agree: large leaves are searched three times as fast.
    tree = cKDTree(points, leafsize=256)
    votes = tree.query_ball_point(points, AGREE, p=np.inf, return_length=True)
    found = []
    for _ in range(TRIED):
        best = int(np.argmax(votes))
        if votes[best] <= 0:
            break
        near = tree.query_ball_point(points[best], AGREE, p=np.inf)
        found.append(
            _Similarity(
                complex(np.median(turn[near].real), np.median(turn[near].imag)),
                complex(np.median(shift[near].real), np.median(shift[near].imag)),
                bool(mirrored[best]),
            )
        )
        votes[tree.query_ball_point(points[best], 3 * AGREE, p=np.inf)] = 0
    return found


def _tried(
    guess: _Similarity, light: _Places, other: _Places, reach: float = PAIRED
) -> Registration | None:
    """Fit a transform to the stars that it brings together, bright ones, then all."""
    fit, pairs = _Fit(guess, reach, 0.0), np.empty((0, 2), np.intp)
    for n in (CANDIDATES, max(len(light.z), len(other.z))):
        mine, theirs = light.first(n), other.first(n)
        for _ in range(ROUNDS):
            before, pairs = pairs, _paired(fit, mine, theirs, reach)
            if len(pairs) < FEWEST:
                return None
            if np.array_equal(before, pairs):
                break
            fit = _fitted(pairs, mine, theirs, reach, mirrored=guess.mirrored)
        # What bright stars do by chance, faint ones do not make good.
        chance = _chance(len(pairs), fit.radius, mine, theirs)
        if chance > FALSE_ALARM:
            return None
        if n >= max(len(light.z), len(other.z)):
            break
    return _registration(fit, pairs, light, other, chance)


class _Fit(NamedTuple):
    """A transform, how far off a star of a pair may be, and the centres' own error."""

    similarity: _Similarity
    radius: float
    floor: float
    """1-sigma error along an axis beyond what the centres' errors say."""


def _paired(
    fit: _Fit, light: _Places, other: _Places, reach: float = PAIRED
) -> Indices:
    """Pair the stars that are nearest to one another, each way, within the reach."""
    from scipy.spatial import cKDTree

    moved = fit.similarity(light.z)
    here = np.column_stack([moved.real, moved.imag])
    there = np.column_stack([other.z.real, other.z.imag])
    distance, nearest = cKDTree(there).query(here, distance_upper_bound=reach)
    _, back = cKDTree(here).query(there)
    mine = np.flatnonzero(np.isfinite(distance))
    mine = mine[back[nearest[mine]] == mine]
    theirs = nearest[mine]
    if fit.floor > 0 or fit.radius < reach:
        error = np.sqrt(
            light.error[mine] ** 2 + other.error[theirs] ** 2 + fit.floor**2
        )
        # 2-d distances: as rare as REJECTED sigma is in one dimension, or rarer.
        good = distance[mine] < np.minimum(REJECTED * error * np.sqrt(1.5), reach)
        mine, theirs = mine[good], theirs[good]
    return np.column_stack([mine, theirs]).astype(np.intp)


def _fitted(
    pairs: Indices, light: _Places, other: _Places, reach: float, *, mirrored: bool
) -> _Fit:
    """Fit a similarity to pairs of stars, by weighted least squares."""
    z, target = light.z[pairs[:, 0]], other.z[pairs[:, 1]]
    if mirrored:
        z = np.conj(z)
    variance = light.error[pairs[:, 0]] ** 2 + other.error[pairs[:, 1]] ** 2
    floor = 0.0
    for _ in range(3):
        turn, shift, _ = fitted_similarity(z, target, 1 / (variance + floor))
        squares = np.abs(target - turn * z - shift) ** 2
        # The median square of two normal variates is 2 ln 2; four parameters are fitted.
        own = np.median(squares) / (2 * np.log(2)) / max(1 - 2 / len(z), 1 / 3)
        floor = max(float(own - np.median(variance)), 0.0)
    radius = REJECTED * np.sqrt(1.5 * (np.median(variance) + floor))
    similarity = _Similarity(turn, shift, mirrored)
    return _Fit(similarity, min(float(radius), reach), float(np.sqrt(floor)))


class FittedSimilarity(NamedTuple):
    """``turn * z + shift``, and how well it fits."""

    turn: complex
    shift: complex
    rms: float
    """Distance of the targets from where it puts the points, 2-d."""


def fitted_similarity(
    z: Complex, target: Complex, weight: Floats | None = None
) -> FittedSimilarity:
    """Fit a similarity to points by weighted least squares, after Umeyama (1991).

    Parameters
    ----------
    z, target : (n,) complex arrays
        Points, x + iy (conjugate where mirrored), and where they belong.
    weight : (n,) array, optional
        Their weights; all alike if absent.
    """
    weight = np.ones(len(z)) if weight is None else weight
    z_mean, t_mean = (np.average(v, weights=weight) for v in (z, target))
    power = np.sum(weight * np.abs(z - z_mean) ** 2)
    turn = np.sum(weight * (target - t_mean) * np.conj(z - z_mean)) / power
    shift = t_mean - turn * z_mean
    rms = np.sqrt(np.average(np.abs(target - turn * z - shift) ** 2, weights=weight))
    return FittedSimilarity(complex(turn), complex(shift), float(rms))


def _chance(
    n: int, radius: float, light: _Places, other: _Places, *, shift_only: bool = False
) -> float:
    """Give the probability that stars in as many places agree by chance.

    Two pairs make a transform, one makes a shift, so that it is the others that agree;
    any of the bright stars might have been those that make it.
    """
    from scipy.special import pdtrc

    area = max(np.ptp(other.z.real) * np.ptp(other.z.imag), 1.0)
    expected = len(light.z) * len(other.z) * np.pi * radius**2 / area
    if shift_only:
        trials, free = float(len(light.z) * len(other.z)), 1
    else:
        bright = [min(len(one.z), max(BRIGHT)) for one in (light, other)]
        trials, free = (bright[0] * bright[1]) ** 2 / 2, 2
    return float(min(trials * pdtrc(n - free - 1, expected), 1.0)) if n > free else 1.0


def _registration(
    fit: _Fit, pairs: Indices, light: _Places, other: _Places, chance: float
) -> Registration:
    z, target = light.z[pairs[:, 0]], other.z[pairs[:, 1]]
    rms = _robust_rms(np.abs(fit.similarity(z) - target))
    weight = 1 / (
        light.error[pairs[:, 0]] ** 2 + other.error[pairs[:, 1]] ** 2 + fit.floor**2
    )
    middle = np.average(z, weights=weight)
    power = np.sum(weight * np.abs(z - middle) ** 2)
    spread = float(np.mean(np.abs(light.z - middle) ** 2))
    error = np.sqrt(2 * (1 / weight.sum() + spread / power))
    rows = np.column_stack([light.rows[pairs[:, 0]], other.rows[pairs[:, 1]]])
    return Registration(fit.similarity.transform(), rows, rms, float(error), chance)


def _robust_rms(distance: Floats) -> float:
    """Give the rms of 2-d distances without those that are far beyond most others."""
    squares = distance**2
    # The median square of two normal variates of one variance is 2 ln 2 of that.
    usual = np.median(squares) / np.log(2)
    return float(np.sqrt(np.mean(squares[squares <= FAR**2 * usual])))
