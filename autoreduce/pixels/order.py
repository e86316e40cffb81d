"""Medians and quantiles of many pixels.

numpy selects one value by its rank with vector instructions, but several of them one
comparison at a time: the median of an even number takes ten to forty times as long as
that of an odd one.  Here each rank is selected by itself.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[Any], axis: int | None = None) -> Any:  # noqa: ANN401 -- as numpy
    """Give the median, as `numpy.median` does.

    Parameters
    ----------
    values : array
        Numbers.
    axis : int, optional
        Axis along which to take it; all values if absent.

    Returns
    -------
    number or array
        The middle value, or the mean of the two middle ones; NaN where a value is NaN,
        or there is none.
    """
    if axis is None:
        return _median_of_all(np.ravel(values))
    n = values.shape[axis]
    if not n:
        return np.median(values, axis=axis)
    middle = n // 2
    ordered = np.partition(values, middle, axis=axis)
    before = (slice(None),) * (axis % values.ndim)
    found = ordered[(*before, middle)]
    if values.dtype.kind != "f":
        found = np.asarray(found, np.float64)[()]
    if n % 2 == 0:
        lower = ordered[(*before, slice(middle))].max(axis=axis)
        found = np.mean(np.stack([lower, found]), axis=0)
    if values.dtype.kind == "f":
        # NaN is sorted behind all numbers.
        last = ordered[(*before, slice(middle, None))].max(axis=axis)
        found = np.where(np.isnan(last), last, found)[()]
    return found


def _median_of_all(values: NDArray[Any]) -> Any:  # noqa: ANN401 -- as numpy
    n = len(values)
    if not n:
        return np.median(values)
    middle = n // 2
    ordered = np.partition(values, middle)
    kind = values.dtype.type if values.dtype.kind == "f" else np.float64
    last = ordered[middle:].max()
    if last != last:  # noqa: PLR0124 -- NaN, which is sorted behind all numbers
        return last
    if n % 2:
        return kind(ordered[middle])
    return (kind(ordered[:middle].max()) + kind(ordered[middle])) / kind(2)


def finite_median(values: NDArray[Any]) -> float:
    """Give the median of the values that are finite; NaN if none is.

    Parameters
    ----------
    values : array
        Numbers.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return float(median(finite)) if finite.size else math.nan


def quantiles(values: NDArray[Any], parts: Sequence[float]) -> NDArray[Any]:
    """Give quantiles, between two values in proportion, as `numpy.quantile` does.

    Parameters
    ----------
    values : array
        Finite numbers, at least one.
    parts : sequence of float
        Parts of the values that lie below: 0 to 1.

    Returns
    -------
    (n,) array
        A quantile for each part.
    """
    return quantiles_of_rows(np.ravel(values)[None], parts)[:, 0]


def quantiles_of_rows(
    rows: NDArray[Any], parts: Sequence[float]
) -> NDArray[np.float64]:
    """Give quantiles of each row, as `quantiles` does.

    Parameters
    ----------
    rows : (n_rows, n) array
        Finite numbers, at least one in a row.
    parts : sequence of float
        Parts of the values of a row that lie below: 0 to 1.

    Returns
    -------
    (len(parts), n_rows) array
        A quantile of each row for each part.
    """
    ordered = np.array(rows)
    found = []
    for part in parts:
        place = part * (ordered.shape[1] - 1)
        below = math.floor(place)
        ordered.partition(below, axis=1)
        low = high = ordered[:, below].astype(np.float64)
        if place > below:
            high = ordered[:, below + 1 :].min(axis=1).astype(np.float64)
        found.append(low + (place - below) * (high - low))
    return np.array(found)


def medians_of_parts(rows: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Give the medians of some rows, cut into parts of as many columns each.

    Parameters
    ----------
    rows : (..., ny, nx) array
        Pixels of one frame or of several; those that are not finite are left out.
    n : int
        Number of parts, as `numpy.array_split` makes them.

    Returns
    -------
    (..., n) array
        NaN for a part without any finite pixel.
    """
    *frames, ny, nx = rows.shape
    found = np.full((*frames, n), np.nan)
    least, n_wider = divmod(nx, n)
    first = n_wider * (least + 1)
    for parts, columns, width in (
        (slice(0, n_wider), slice(0, first), least + 1),
        (slice(n_wider, n), slice(first, None), least),
    ):
        pixels = rows[..., columns]
        if pixels.size:
            parted = pixels.reshape(*frames, ny, -1, width).swapaxes(-3, -2)
            medians = finite_medians(parted.reshape(-1, ny * width))
            found[..., parts] = np.reshape(medians, parted.shape[:-2])
    return found


def finite_medians(rows: NDArray[Any]) -> list[float]:
    """Give the median of the finite values of each row; NaN of one without any.

    Parameters
    ----------
    rows : (n, nx) array
        Numbers.
    """
    if rows.dtype.kind != "f" or np.isfinite(rows).all():
        return cast("list[float]", median(rows, 1).tolist())
    return [finite_median(row) for row in rows]
