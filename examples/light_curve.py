"""Light curve of a star, whose pixel in its object's stack is X, Y (the first is 1, 1).

python examples/light_curve.py NIGHT OBJECT FILTER X Y
"""

import sys

import numpy as np
import pandas as pd
from astropy.io import fits
from scipy.spatial import KDTree

import autoreduce

NEAR = 2.0  # pixels within which it is the same star
MOST = 20  # comparison stars: the brightest that all lights show unsaturated


def stars_on_stack(path, light):
    """Read the stars of a light, their places in pixels of the stack."""
    stars, header = autoreduce.stars(path), fits.getheader(path)
    centre = complex(header["NAXIS1"] - 1, header["NAXIS2"] - 1) / 2
    z = stars["x"].to_numpy() + 1j * stars["y"].to_numpy() - centre
    turn = light.scale * np.exp(1j * np.deg2rad(light.rotation))
    z = turn * (z.conj() if light.mirrored else z)
    z += centre + complex(light.dx, light.dy)
    return stars.assign(x=z.real, y=z.imag)


def fluxes(stars, places):
    """Find the flux, and its error, of the star at each place; NaN without one."""
    good = stars[stars["flags"] & 3 == 0]  # neither saturated nor cut by the edge
    _, nearest = KDTree(good[["x", "y"]]).query(places, distance_upper_bound=NEAR)
    return np.vstack([good[["flux", "flux_error"]], [np.nan, np.nan]])[nearest]


def light_curve(folder, lights, place):
    """Compare the star at a place with others, light by light."""
    tables = [stars_on_stack(folder / row.light, row) for row in lights.itertuples()]
    most = max(tables, key=len)
    others = most[np.hypot(most["x"] - place[0], most["y"] - place[1]) > NEAR]
    compared = np.array([fluxes(table, others[["x", "y"]]) for table in tables])
    compared = compared[:, np.isfinite(compared).all(axis=(0, 2))][:, :MOST]
    flux, error = np.array([fluxes(table, [place])[0] for table in tables]).T
    total = compared[..., 0].sum(axis=1)
    noise = np.hypot(error / flux, np.hypot.reduce(compared[..., 1], axis=1) / total)
    curve = lights[["light", "jd_utc", "airmass", "fwhm"]]
    return curve.assign(magnitude=-2.5 * np.log10(flux / total), error=1.0857 * noise)


night, name, band, x, y = sys.argv[1:]
done = autoreduce.reduce_night(night)
table = pd.read_csv(done.folder / "lights.csv", dtype={"object": str, "filter": str})
chosen = table[table[["object", "filter", "field"]].eq([name, band, 1]).all(axis=1)]
if chosen.empty:
    sys.exit(f"no light of {name} in {band} is registered: see {done.folder}")
curve = light_curve(done.folder, chosen, (float(x) - 1, float(y) - 1))
curve.sort_values("jd_utc").to_csv("light_curve.csv", index=False)
print(curve.sort_values("jd_utc").to_string(index=False))
