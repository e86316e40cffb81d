"""Darks of other exposures against simulated truth: our models, the notes', ccdproc.

python benchmarks/bench_darks.py --size 700x470
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import bench_common as bench
import numpy as np

from autoreduce.calibration.dark_rates import DarkRates
from autoreduce.pixels.darkcurrent import fit_dark_counts, rate_scaling, ratio_scaling
from autoreduce.pixels.measure import robust_scatter
from autoreduce.products.dark_fit import LARGEST_MISFIT
from autoreduce.simulate import detector as simulated
from autoreduce.simulate.listing import Detector, read_listing

EXPOSURES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
BIASES = 20
HOT = 10.0
"""A pixel is hot if its rate is so many scatters above the median."""
IN_GLOW = 0.1
"""The glow region: where it is above this part of its peak."""


@dataclass(frozen=True)
class Camera:
    """A camera whose darks are known."""

    name: str
    detector: Detector
    darks: dict[float, int]
    """Frames of each exposure."""
    glow_e_per_s: float = 0.0
    growth: Callable[[float], float] = float
    """Glow at an exposure, in units of its peak rate, s."""


def slowing(t: float) -> float:
    """Let the glow fade with 100 s, as an amplifier does that is switched down."""
    return 100 * (1 - np.exp(-t / 100))


def speeding(t: float) -> float:
    """Let the glow grow faster as the chip warms, t**1.4, 1 at 60 s as in proportion."""
    return 60 * (t / 60) ** 1.4


def cameras(shape: tuple[int, int]) -> list[Camera]:
    ccd = next(iter(read_listing("notes_2021").detectors.values()))
    cmos = next(iter(read_listing("cmos_narrowband").detectors.values()))
    ccd, cmos = (replace(d, size=shape[::-1], overscan_columns=0) for d in (ccd, cmos))
    peak = cmos.glow_e_per_s
    cmos = replace(cmos, glow_e_per_s=0.0, dark_offset_adu=5.9)
    darks = {3.0: 5, 60.0: 5, 300.0: 5}
    return [
        Camera("CCD, 60, 120 and 180 s (5, 2, 3 frames)", ccd, {60: 5, 120: 2, 180: 3}),
        Camera(
            "CMOS, 3, 60 and 300 s (5 each), glow slows", cmos, darks, peak, slowing
        ),
        Camera(
            "CMOS, 3, 60 and 300 s (5 each), glow speeds", cmos, darks, peak, speeding
        ),
        Camera(
            "CMOS, 60 and 300 s (5 each), glow slows",
            cmos,
            {60.0: 5, 300.0: 5},
            peak,
            slowing,
        ),
    ]


class Darks:
    """The darks of a camera, and their truth."""

    def __init__(
        self, camera: Camera, shape: tuple[int, int], n_frames: int | None
    ) -> None:
        self.camera, self.shape = camera, shape
        self.rng = np.random.Generator(np.random.SFC64(20210227))
        self.bias_adu = simulated.bias_pattern(camera.detector, shape, self.rng)
        self.rate_e = simulated.dark_rate(camera.detector, shape, self.rng)
        ny, nx = shape
        y, x = np.ogrid[:ny, :nx]
        distance = np.hypot((nx - 1 - x) / nx, (ny - 1 - y) / nx)
        self.glow = np.exp(-distance / camera.detector.glow_size)
        bias = [self.frame(0.0, 0.0) for _ in range(BIASES)]
        self.bias = np.mean(bias, axis=0)
        offset = camera.detector.dark_offset_adu
        self.frames = {
            t: [self.frame(t, offset) for _ in range(n_frames or n)]
            for t, n in camera.darks.items()
        }
        self.masters = {
            t: (np.mean(f, axis=0) - self.bias).astype(np.float32)
            for t, f in self.frames.items()
        }
        middle = np.s_[ny // 4 : ny - ny // 4, nx // 4 : nx - nx // 4]
        self.levels = {t: float(np.median(d[middle])) for t, d in self.masters.items()}

    def electrons(self, t: float) -> np.ndarray:
        """Give the mean charge of each pixel, electron."""
        glow = self.camera.glow_e_per_s * self.camera.growth(t) * self.glow
        return (self.rate_e * t + glow).astype(np.float32)

    def truth(self, t: float) -> np.ndarray:
        """Give the dark without noise, ADU."""
        detector = self.camera.detector
        charge = np.minimum(self.electrons(t), detector.full_well_e)
        return detector.dark_offset_adu + charge / detector.gain_e_per_adu

    def frame(self, t: float, offset: float) -> np.ndarray:
        """Expose a raw frame."""
        detector = self.camera.detector
        electrons = simulated.photon_noise(self.electrons(t), self.rng)
        level = offset + self.rng.normal(0, detector.bias_level_jitter_adu)
        return simulated.read_out(detector, electrons, self.bias_adu, level, self.rng)

    def noise(self, t: float) -> float:
        """Give the noise of an ordinary pixel of one light without sky, ADU."""
        detector = self.camera.detector
        electrons = detector.read_noise_e**2 + float(np.median(self.rate_e)) * t
        return np.sqrt(electrons) / detector.gain_e_per_adu

    def regions(self) -> dict[str, np.ndarray]:
        """Mark the pixels over which errors are averaged."""
        rate = self.rate_e
        scatter = 1.4826 * np.median(np.abs(rate - np.median(rate)))
        hot = rate > np.median(rate) + HOT * scatter
        found = {"all pixels": np.ones(self.shape, bool), "hot pixels": hot}
        if self.camera.glow_e_per_s:
            found["glow"] = self.glow > IN_GLOW
        return found


def line_of(darks: Darks, *, weighted: bool) -> dict[str, object]:
    """Fit the levels as the program does."""
    times, levels = list(darks.levels), list(darks.levels.values())
    errors = []
    for t in times:
        medians = [np.median(frame) for frame in darks.frames[t]]
        errors.append(np.sqrt(max(np.var(medians, ddof=1), 1 / 12) / len(medians)))
    fit = fit_dark_counts(times, levels, errors if weighted else None)
    misfit = np.abs(np.array(levels) - fit.offset - fit.slope * np.array(times)).max()
    slight = misfit <= LARGEST_MISFIT * np.ptp(levels)
    return {
        "offset": fit.offset,
        "slope": fit.slope,
        "offset_error": fit.offset_error,
        "slope_error": fit.slope_error,
        "covariance": fit.covariance,
        "linear": bool(slight) or fit.linear is not False,
    }


def models(darks: Darks) -> dict[str, Callable[[float], np.ndarray | None]]:
    """Give each way to make a dark of any exposure; the first one is ours."""
    longest = max(darks.masters)
    master, line = darks.masters[longest], line_of(darks, weighted=True)
    notes = line_of(darks, weighted=False)
    rates, read = _rates(darks, line)

    def ratio(t: float) -> np.ndarray:
        scale, _ = ratio_scaling(
            t, longest, offset=notes["offset"], slope=notes["slope"]
        )
        return master * scale

    def rate(t: float) -> np.ndarray:
        offset = line["offset"] if line["linear"] else 0.0
        scale, offset = rate_scaling(t, longest, offset=offset)
        return master * scale + offset

    def nearest(t: float) -> np.ndarray:
        return _ccdproc(darks, t, min(darks.masters, key=lambda own: abs(own - t)))

    found = {
        "rate_map": lambda t: rates.dark(t, read),
        "rate": rate,
        "ratio (notes)": ratio,
        "exact": darks.masters.get,
    }
    if find_spec("ccdproc"):
        found["ccdproc, longest"] = lambda t: _ccdproc(darks, t, longest)
        found["ccdproc, nearest"] = nearest
    return found


def _rates(
    darks: Darks, line: dict[str, object]
) -> tuple[DarkRates, Callable[[str], np.ndarray]]:
    detector = darks.camera.detector
    points = []
    for t, frames in darks.frames.items():
        pair = frames[0].astype(float) - frames[1]
        points.append(
            {
                "file": f"{t:g} s",
                "exptime": t,
                "counts": darks.levels[t],
                "variance": robust_scatter(pair) ** 2 / 2 / len(frames),
                "n_frames": len(frames),
                "saturate": 65535 - float(np.median(darks.bias)),
            }
        )
    bias_noise = np.hypot(detector.read_noise_e / detector.gain_e_per_adu, 12**-0.5)
    fit = {
        **line,
        "rate_map": "map",
        "bias_variance": bias_noise**2 / BIASES,
        "egain": detector.gain_e_per_adu,
        "points": points,
    }
    rates = DarkRates.from_fit(fit)
    arrays = {f"{t:g} s": dark for t, dark in darks.masters.items()}
    arrays["map"] = rates.fit(arrays.__getitem__).rate
    return rates, arrays.__getitem__


def _ccdproc(darks: Darks, t: float, master_t: float) -> np.ndarray:
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    nothing = CCDData(np.zeros(darks.shape), unit="adu")
    master = CCDData(darks.masters[master_t].astype(float), unit="adu")
    left = ccdproc.subtract_dark(
        nothing, master, scale=True, data_exposure=t * u.s, dark_exposure=master_t * u.s
    )
    return -left.data


def report(darks: Darks, only: str | None) -> None:
    found = models(darks)
    chosen = [n for n in found if not only or only in n or n == "rate_map"]
    print(f"## {darks.camera.name}\n")
    for name, region in darks.regions().items():
        print(f"rms error over {name} ({region.sum()}), ADU (noise of a light)\n")
        rows: list[Sequence[str]] = [
            [model, *(_cell(darks, found[model], t, region) for t in EXPOSURES)]
            for model in chosen
        ]
        bench.print_table(["", *(f"{t:g} s" for t in EXPOSURES)], rows)


def _cell(
    darks: Darks,
    model: Callable[[float], np.ndarray | None],
    t: float,
    region: np.ndarray,
) -> str:
    dark = model(t)
    if dark is None:
        return "-"
    error = np.sqrt(np.mean((dark - darks.truth(t))[region] ** 2))
    return f"{error:.2f} ({error / darks.noise(t):.2f})"


def main() -> None:
    options = bench.parser(__doc__, frames=0, size="700x470").parse_args()
    shape = bench.shape_of(options)
    for camera in cameras(shape):
        n_frames = options.frames or None
        report(Darks(camera, shape, n_frames), options.only)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
