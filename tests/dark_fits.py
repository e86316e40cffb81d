"""A fit of dark counts worked out by hand, for tests of what is made from it."""

import json

from autoreduce.calibration.workspace import Workspace
from autoreduce.planning.plan import Calibration, FrameInput
from autoreduce.planning.recipe import parse_recipe
from autoreduce.planning.use import DarkMethod

EXPOSURES = {60.0: 5, 120.0: 2, 180.0: 3}
BIASES, SIGMA, OFFSET, RATE = 20, 8.0, 5.9, 0.1


def make_fit(**changes):
    points = [
        {
            "file": f"{t:g}",
            "exptime": t,
            "counts": OFFSET + RATE * t,
            "variance": SIGMA**2 / n,
            "n_frames": n,
            "saturate": 60_000.0,
        }
        for t, n in EXPOSURES.items()
    ]
    fit = {
        "linear": True,
        "offset": OFFSET,
        "slope": RATE,
        "offset_error": 0.0,
        "slope_error": 0.0,
        "covariance": 0.0,
        "bias_variance": SIGMA**2 / BIASES,
        "egain": 1.5,
        "rate_map": "map",
        "points": points,
    }
    return {**fit, **changes}


def make_space(tmp_path, model, fit):
    (tmp_path / "fit.json").write_text(json.dumps(fit))
    recipe = parse_recipe(f'[dark]\nmodel = "{model}"', "mine")
    return Workspace(tmp_path, tmp_path, recipe, memory=1 << 20, planes=True)


def make_item(t):
    plan = Calibration(
        dark="180", dark_method=DarkMethod.FIT, dark_exptime=180.0, dark_fit="fit.json"
    )
    return FrameInput("light.fit", plan, exptime=t)
