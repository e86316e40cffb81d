"""Arithmetic of images: no value wraps around, errors are propagated."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import CardValue
from autoreduce.fits.names import split_hdu
from autoreduce.fits.writer import write_image
from autoreduce.tools.expression import (
    Images,
    Kind,
    Node,
    Number,
    Operation,
    factor_of,
    kind_of,
    kind_of_type,
    leaves,
    storage_type,
)
from autoreduce.tools.filelists import expand
from autoreduce.tools.files import output_names, refuse_existing
from autoreduce.tools.products import (
    Image,
    product_cards,
    read_image,
    trimmed_cards,
    with_gain,
    without_levels,
)
from autoreduce.tools.regions import Region

Array = NDArray[Any]

_PRECEDENCE = {"=": 0, "+": 1, "-": 1, "x": 2, "/": 2}

BLOCK_PIXELS = 1 << 20
"""Pixels that are computed at a time: what lies between stays in the cache."""


@dataclass(frozen=True, slots=True)
class Step:
    """One product of an expression: which image stands for each list, and where to."""

    images: Mapping[Images, str]
    """The image that each operand is in this step."""
    base: str
    """The leftmost image: the product has its header."""
    output: Path
    """The product."""
    again: frozenset[str] = frozenset()
    """Images that a later step reads, too."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an expression gives."""

    data: Array
    """(ny, nx) or (nz, ny, nx), of a type that holds every value."""
    uncert: NDArray[np.float32] | None
    """One sigma, propagated to first order; None if no operand has one."""
    mask: NDArray[np.uint8] | None
    """Where a pixel of an operand is masked; None if no operand has a mask."""
    n_undefined: int
    """Divisions by zero: those pixels are NaN."""
    n_overflown: int = 0
    """Values beyond what the type of the data holds: those pixels are infinite."""


def plan_arithmetic(expression: Node, outputs: Sequence[str]) -> list[Step]:
    """Decide what is computed from which images, and under which names.

    Parameters
    ----------
    expression : Node
        As `autoreduce.tools.expression.parse` returns it.
    outputs : sequence of str
        As `autoreduce.tools.files.output_names` takes them.

    Returns
    -------
    list of Step
        One for each image of the lists; an operand that is a single image takes
        part in every step.

    Raises
    ------
    InputError
        If there is no image, or lists of different lengths meet.
    ProductError
        If a product would stand in the place of an image that a later step reads.
    """
    lists = {leaf: _listed(leaf) for leaf in leaves(expression)}
    if not lists:
        msg = "the expression names no image"
        raise InputError(msg)
    lengths = {len(images) for images in lists.values()} - {1}
    if len(lengths) > 1:
        told = ", ".join(f"{leaf.patterns[0]}: {len(x)}" for leaf, x in lists.items())
        msg = f"lists must be equally long, or one image; here they have {told}"
        raise InputError(msg)
    n = max(lengths, default=1)
    leftmost = next(iter(lists.values()))
    longest = next(images for images in lists.values() if len(images) == n)
    names = output_names(longest, outputs)
    operands = [
        {leaf: images[i % len(images)] for leaf, images in lists.items()}
        for i in range(n)
    ]
    steps: list[Step] = []
    later: set[str] = set()
    for i in reversed(range(n)):
        base = leftmost[i % len(leftmost)]
        if _place(names[i]) in {_place(split_hdu(image)[0]) for image in later}:
            msg = (
                f"{names[i]} would be written before a later step reads it; "
                "give other names (-o)"
            )
            raise ProductError(msg)
        steps.append(Step(operands[i], base, names[i], frozenset(later)))
        later.update(operands[i].values())
    return steps[::-1]


def _listed(leaf: Images) -> list[str]:
    """List the images of an operand; in ``a.fit-b.fit`` blanks are missing."""
    try:
        return expand(leaf.patterns, repeats=True)
    except InputError as error:
        for pattern in leaf.patterns:
            for sign in re.finditer(r"[-+/*=]", pattern):
                left, right = pattern[: sign.start()], pattern[sign.end() :]
                if right and Path(left).is_file():
                    msg = (
                        f"{error}; operators stand between blanks: "
                        f"{left} {sign.group()} {right}"
                    )
                    raise InputError(msg) from error
        raise


def _place(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 -- `..` counts


def run_step(
    expression: Node,
    step: Step,
    *,
    region: Region | None = None,
    trim: bool = False,
    known: dict[str, Image] | None = None,
    overwrite: bool = False,
) -> Result:
    """Compute one product and write it.

    Parameters
    ----------
    expression : Node
        The expression.
    step : Step
        Its images and the name of the product.
    region : Region, optional
        Section that is worked on; outside of it the product is the leftmost image.
    trim : bool
        Whether only the section is written.
    known : dict of str to Image, optional
        Images that were read already: give the same one to each step.  Those that a
        later step needs are kept in it, so that each is read once.
    overwrite : bool
        Whether a product that stands there is replaced.

    Returns
    -------
    Result
        What was written.

    Raises
    ------
    InputError
        If an image cannot be read, or sizes do not fit together.
    ProductError
        If the product exists and may not be replaced, or cannot be written.
    """
    refuse_existing(step.output, overwrite=overwrite)
    known = {} if known is None else known
    images = _read(step, known)
    result = compute(expression, images, region=region, trim=trim)
    base = next(image for image in images.values() if image.name == step.base)
    cards = with_gain(without_levels(base.cards), factor_of(expression))
    if trim and region is not None:
        cards = trimmed_cards(cards, *region.section)
    text = describe(expression, step.images)
    ours: dict[str, tuple[CardValue, str]] = {
        "ARITHMET": (text, "what was computed"),
        "NDIVZERO": (result.n_undefined, "divisions by zero (NaN)"),
    }
    if result.n_overflown:
        ours["NOVERFLO"] = (result.n_overflown, "values too large (infinite)")
    if region is not None:
        ours["ARITHSEC"] = (region.text, "section that was computed")
    planes: dict[str, Array] = {}
    if result.uncert is not None:
        planes["UNCERT"] = result.uncert
    if result.mask is not None:
        planes["MASK"] = result.mask
    write_image(
        step.output,
        result.data,
        product_cards(cards, ours, [text]),
        planes=planes,
        overwrite=overwrite,
    )
    return result


def _read(step: Step, known: dict[str, Image]) -> dict[Images, Image]:
    """Read the images of a step that are not known; forget those that come no more."""
    for name in step.images.values():
        if name not in known:
            known[name] = read_image(name)
    images = {leaf: known[name] for leaf, name in step.images.items()}
    for name in known.keys() - step.again:
        del known[name]
    return images


def describe(node: Node, images: Mapping[Images, str]) -> str:
    """Write an expression with the names of its images, brackets where needed."""
    if isinstance(node, Number):
        return str(node.value)
    if isinstance(node, Images):
        return Path(images[node]).name
    if node.operator == "-" and node.left == Number(0):
        return f"-{_bracketed(node.right, images, 3)}"
    level = _PRECEDENCE[node.operator]
    left = _bracketed(node.left, images, level)
    right = _bracketed(node.right, images, level + 1)
    return f"{left} {node.operator} {right}"


def _bracketed(node: Node, images: Mapping[Images, str], level: int) -> str:
    text = describe(node, images)
    if isinstance(node, Number | Images):
        return text
    return f"({text})" if _PRECEDENCE[node.operator] < level else text


def compute(
    expression: Node,
    images: Mapping[Images, Image],
    *,
    region: Region | None = None,
    trim: bool = False,
) -> Result:
    """Evaluate an expression of images.

    Parameters
    ----------
    expression : Node
        The expression.
    images : mapping of Images to Image
        What its operands are.  A cube meets an image plane by plane.
    region, trim
        As in `run_step`.

    Returns
    -------
    Result
        Data, their propagated error, and the mask.

    Raises
    ------
    InputError
        If sizes do not fit together.

    Notes
    -----
    Errors are propagated to first order from every image that has some, each taken
    once for all places where it stands: the error of ``a - a`` is zero.  Images are
    taken to be independent of each other, and those without errors to be exact.
    """
    base = next(iter(images.values()))
    cut = {leaf: _cut(image, region, base) for leaf, image in images.items()}
    shape = _common_shape(cut.values())
    kinds = {leaf: kind_of_type(image.data.dtype) for leaf, image in cut.items()}
    kind = kind_of(expression, kinds)
    whole = region is None or trim
    if not whole and isinstance(kind, tuple):
        before = kind_of_type(base.data.dtype)
        kind = _covering(kind, before)
    result = _evaluate(expression, cut, kinds, shape, storage_type(kind))
    return _put_back(result, base, region) if region and not trim else result


def _covering(kind: Kind, other: Kind) -> Kind:
    if isinstance(kind, tuple) and isinstance(other, tuple):
        return min(kind[0], other[0]), max(kind[1], other[1])
    return kind_of_type(np.result_type(storage_type(kind), storage_type(other)))


def _cut(image: Image, region: Region | None, base: Image) -> Image:
    """Return the region of an image; an image of the region's size is taken whole.

    Planes of a region are of cubes alone: of an image beside one, rows and columns.
    """
    if region is None:
        return image
    shape = image.data.shape
    inside = region.slices(base.data.shape, base.name)
    size = tuple(part.stop - part.start for part in inside)
    both = min(len(shape), len(size))
    if shape[-both:] == size[-both:] and image is not base:
        return image
    here = Region(region.section) if len(shape) < len(size) else region
    cut = here.slices(shape, image.name)
    return Image(
        image.name,
        image.data[cut],
        image.cards,
        None if image.uncert is None else image.uncert[cut],
        None if image.mask is None else image.mask[cut],
    )


def _common_shape(images: Iterable[Image]) -> tuple[int, ...]:
    """Return the shape of what images of these shapes give, plane by plane."""
    shapes = {image.name: image.data.shape for image in images}
    largest = max(shapes.values(), key=len)
    for name, shape in shapes.items():
        if shape != largest[-len(shape) :]:
            first = next(name for name, size in shapes.items() if size == largest)
            sizes = ["x".join(map(str, reversed(size))) for size in (shape, largest)]
            msg = f"{name} is {sizes[0]} pixels and {first} is {sizes[1]}"
            raise InputError(msg)
    return largest


def _evaluate(
    expression: Node,
    images: Mapping[Images, Image],
    kinds: Mapping[Images, Kind],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Result:
    data = np.empty(shape, dtype)
    uncertain = any(image.uncert is not None for image in images.values())
    uncert = np.empty(shape, np.float32) if uncertain else None
    evaluator = _Evaluator(images, kinds)
    n_overflown = 0
    for block in _blocks(shape):
        dual = evaluator.dual(expression, block)
        with np.errstate(over="ignore"):
            data[block] = dual.value
            n_overflown += _new_infinities(data[block], images, block)
            if uncert is not None:
                uncert[block] = evaluator.error(dual, block)
    mask = _mask(expression, images, shape)
    return Result(data, uncert, mask, evaluator.n_undefined, n_overflown)


def _new_infinities(
    data: Array, images: Mapping[Images, Image], block: tuple[slice | int, ...]
) -> int:
    """Count the pixels that are infinite though they are in no image."""
    if data.dtype.kind != "f" or not np.isinf(data).any():
        return 0
    known = np.zeros(data.shape, bool)
    for image in images.values():
        known |= np.isinf(_block_of(image.data, block))
    return int(np.count_nonzero(np.isinf(data) & ~known))


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice | int, ...]]:
    """Cut an image, or each plane of a cube, into blocks of rows."""
    ny, nx = shape[-2:]
    height = max(1, BLOCK_PIXELS // nx)
    rows = [slice(start, start + height) for start in range(0, ny, height)]
    if len(shape) == 2:
        yield from ((part,) for part in rows)
    else:
        yield from ((plane, part) for plane in range(shape[0]) for part in rows)


class _Dual(NamedTuple):
    """A value, and how fast it changes with each image that has errors."""

    value: Any
    slopes: dict[str, Any]


class _Evaluator:
    """Evaluates an expression block by block and counts divisions by zero."""

    def __init__(
        self, images: Mapping[Images, Image], kinds: Mapping[Images, Kind]
    ) -> None:
        self._images = images
        self._kinds = kinds
        self._uncerts = {
            image.name: image.uncert
            for image in images.values()
            if image.uncert is not None
        }
        self.n_undefined = 0

    def error(self, dual: _Dual, block: tuple[slice | int, ...]) -> Array:
        """Return one sigma of a value, from the errors of the images."""
        variance: Array = np.zeros(1)
        for name, slope in dual.slopes.items():
            error = _block_of(self._uncerts[name], block).astype(np.float64)
            variance = variance + (slope * error) ** 2
        return np.sqrt(variance)

    def dual(self, node: Node, block: tuple[slice | int, ...]) -> _Dual:
        """Return the value of an expression in a block of rows."""
        whole = isinstance(kind_of(node, self._kinds), tuple)
        if isinstance(node, Number):
            return _Dual(np.int64(node.value) if whole else float(node.value), {})
        if isinstance(node, Images):
            image = self._images[node]
            data = _block_of(image.data, block)
            slopes = {image.name: 1.0} if image.name in self._uncerts else {}
            return _Dual(data.astype(np.int64 if whole else np.float64), slopes)
        left, right = self.dual(node.left, block), self.dual(node.right, block)
        if not whole:
            left, right = _as_float(left), _as_float(right)
        # Infinite pixels are images' own; values too large for the product are counted.
        with np.errstate(invalid="ignore", over="ignore"):
            return self._operations[node.operator](self, left, right)

    def _add(self, left: _Dual, right: _Dual) -> _Dual:
        return _Dual(left.value + right.value, _sum(left.slopes, right.slopes, 1, 1))

    def _subtract(self, left: _Dual, right: _Dual) -> _Dual:
        return _Dual(left.value - right.value, _sum(left.slopes, right.slopes, 1, -1))

    def _multiply(self, left: _Dual, right: _Dual) -> _Dual:
        slopes = _sum(left.slopes, right.slopes, right.value, left.value)
        return _Dual(left.value * right.value, slopes)

    def _divide(self, left: _Dual, right: _Dual) -> _Dual:
        zero = np.asarray(right.value == 0)
        shape = np.broadcast_shapes(np.shape(left.value), zero.shape)
        self.n_undefined += int(np.count_nonzero(np.broadcast_to(zero, shape)))
        inverse = 1 / np.where(zero, np.nan, right.value)
        value = left.value * inverse if zero.any() else left.value / right.value
        slopes = _sum(left.slopes, right.slopes, inverse, -value * inverse)
        return _Dual(value, slopes)

    def _set(self, left: _Dual, right: _Dual) -> _Dual:
        shape = np.broadcast_shapes(np.shape(left.value), np.shape(right.value))
        return _Dual(np.broadcast_to(right.value, shape), right.slopes)

    _operations: ClassVar[dict[str, Callable[["_Evaluator", _Dual, _Dual], _Dual]]] = {
        "+": _add,
        "-": _subtract,
        "x": _multiply,
        "/": _divide,
        "=": _set,
    }


def _as_float(dual: _Dual) -> _Dual:
    return _Dual(np.asarray(dual.value, np.float64), dual.slopes)


def _sum(
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    by_left: Array | float,
    by_right: Array | float,
) -> dict[str, Any]:
    """Add slopes, each multiplied by a number or an array."""
    total = {name: slope * by_left for name, slope in left.items()}
    for name, slope in right.items():
        total[name] = total.get(name, 0.0) + slope * by_right
    return total


def _block_of(data: Array, block: tuple[slice | int, ...]) -> Array:
    """Return a block of an image, or of the plane of a cube; an image has one plane."""
    return data[block[-1:]] if data.ndim == 2 else data[block]


def _mask(
    expression: Node, images: Mapping[Images, Image], shape: tuple[int, ...]
) -> NDArray[np.uint8] | None:
    part = expression
    if isinstance(expression, Operation) and expression.operator == "=":
        part = expression.right
    masks = [mask for leaf in leaves(part) if (mask := images[leaf].mask) is not None]
    if not masks:
        return None
    bad = np.zeros(shape, np.uint8)
    for mask in masks:
        bad |= mask
    return bad


def _put_back(result: Result, base: Image, region: Region) -> Result:
    """Set the region of the leftmost image to the result."""
    shape = (*result.data.shape[:-2], *base.data.shape[-2:])
    if base.data.ndim == 3:
        shape = base.data.shape
    inside = region.slices(shape, base.name)
    data = np.broadcast_to(base.data, shape).astype(result.data.dtype)
    data[inside] = result.data
    uncert = mask = None
    if result.uncert is not None or base.uncert is not None:
        before = np.float32(0) if base.uncert is None else base.uncert
        uncert = np.broadcast_to(before, shape).astype(np.float32)
        uncert[inside] = 0 if result.uncert is None else result.uncert
    if result.mask is not None or base.mask is not None:
        mask = np.broadcast_to(
            np.uint8(0) if base.mask is None else base.mask, shape
        ).copy()
        mask[inside] = 0 if result.mask is None else result.mask
    return replace(result, data=data, uncert=uncert, mask=mask)
