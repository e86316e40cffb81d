"""How a stack of frames becomes one: the choices, as values.

The kernels that carry them out are in `autoreduce.pixels.combine`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """What is computed from the samples of a pixel that are kept."""

    MEAN = "mean"
    MEDIAN = "median"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    STD = "std"
    VAR = "var"
    QUANTILE = "quantile"


class Rejection(StrEnum):
    """Which samples of a pixel are dropped first."""

    NONE = "none"
    MINMAX = "minmax"
    """The `drop_low` lowest and `drop_high` highest of each pixel."""
    SIGMA = "sigma"
    """Farther from the median than `low` or `high` scales, iterated."""
    WINSORIZED = "winsorized"
    """As SIGMA, with centre and scale taken from winsorised samples."""
    PERCENTILE = "percentile"
    """Farther from the median than the fraction `low` or `high` of the median."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A way to combine the samples of each pixel of a stack."""

    method: Method = Method.MEAN
    """What is computed from the samples that are kept."""
    rejection: Rejection = Rejection.NONE
    """How outliers are found."""
    low: float = 3.0
    """Limit below the centre: scales (SIGMA, WINSORIZED) or a fraction."""
    high: float = 3.0
    """Limit above the centre, likewise."""
    drop_low: int = 0
    """Lowest samples dropped from each pixel (MINMAX)."""
    drop_high: int = 0
    """Highest samples dropped from each pixel (MINMAX)."""
    iterations: int = 5
    """Passes of clipping at the most."""
    quantile: float = 0.5
    """Which quantile (QUANTILE), from 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.quantile <= 1:
            msg = f"quantile must lie between 0 and 1, not {self.quantile}"
            raise ValueError(msg)
        if not (self.low > 0 and self.high > 0):
            msg = f"rejection limits must be positive, not {self.low}, {self.high}"
            raise ValueError(msg)
        if min(self.drop_low, self.drop_high) < 0 or self.iterations < 1:
            msg = (
                "drop_low and drop_high must be 0 or more and iterations 1 or more, "
                f"not {self.drop_low}, {self.drop_high}, {self.iterations}"
            )
            raise ValueError(msg)
