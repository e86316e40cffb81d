"""A small night, its plan and its outcomes, for the tests of reports."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from astropy.io import fits

from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.plan import (
    Action,
    Calibration,
    FrameInput,
    Plan,
    Task,
    Verdict,
)
from autoreduce.planning.recipe import load_recipe
from autoreduce.planning.use import DarkMethod
from autoreduce.remarks import remark
from autoreduce.report.content import NightReport
from autoreduce.report.gallery import Gallery
from autoreduce.report.pictures import drawn

BIAS, DARK, FIT = "masters/bias.fits", "masters/dark_60s.fits", "masters/darkfit.json"
FLAT, STACK = "masters/flat_Ha.fits", "stacks/M1_Ha.fits"
LIGHT = Calibration(
    bias=BIAS, dark=DARK, dark_method=DarkMethod.EXACT, dark_scale=1.0, flat=FLAT
)
FLATTENED = Calibration(
    bias=BIAS, dark=DARK, dark_method=DarkMethod.FIT, dark_exptime=60.0, dark_fit=FIT
)


@dataclass(frozen=True)
class FakeOutcome:
    """How a task ended, as far as a report asks."""

    status: str = "done"
    remarks: tuple = ()
    left_out: dict = field(default_factory=dict)
    statistics: dict = field(default_factory=dict)
    measured: dict = field(default_factory=dict)
    seconds: float = 0.1
    outputs: tuple = ()


def make_frame(file, imagetyp, minute, **facts):
    facts = {"exptime": 0.0, "group": imagetyp, **facts}
    time = f"2021-02-26T20:{minute:02d}:00"
    return {"file": file, "imagetyp": imagetyp, "date_obs": time, **facts}


def make_frames():
    biases = [make_frame(f"b{i}.fit", "bias", i) for i in range(3)]
    darks = [make_frame(f"d{i}.fit", "dark", 5 + i, exptime=60.0) for i in range(3)]
    flat = {"filter": "Ha", "exptime": 10.0, "dark_scale": 0.25, "group": "flat_Ha"}
    flats = [make_frame(f"f{i}.fit", "flat", 20 + i, **flat) for i in range(3)]
    light = {"filter": "Ha", "exptime": 60.0, "object": "M1", "group": "M1_Ha"}
    lights = [make_frame(f"l{i}.fit", "light", 30 + i, **light) for i in range(3)]
    table = make_frame_table([*biases, *darks, *flats, *lights])
    return table.assign(night="2021-02-26", xbinning=1, ybinning=1)


def inputs(names, calibration=None, setup=""):
    calibration = calibration or Calibration()
    return tuple(FrameInput(name, calibration, setup=setup) for name in names)


def failed(why, status="failed", output=""):
    code = {"failed": "failed", "blocked": "blocked"}[status]
    return FakeOutcome(status, (remark(code, *filter(None, [output]), found=why),))


def doubt(why, output=STACK):
    """Any remark on a product; its words are what matters here."""
    return remark("without-light", output, found=why)


def calibrate(name, **changes):
    fields = {
        "output": f"calibrated/{name.removesuffix('.fit')}.fits",
        "action": Action.CALIBRATE,
        "group": "M1_Ha",
        "facts": {},
        "frames": inputs([name], LIGHT),
    }
    return Task(**{**fields, **changes})


def make_plan(*tasks, **fields):
    masters = (
        Task(BIAS, Action.BIAS, "bias", {}, inputs(["b0.fit", "b1.fit", "b2.fit"])),
        Task(DARK, Action.DARK, "dark", {"exptime": 60.0},
             inputs(["d0.fit", "d1.fit", "d2.fit"], Calibration(bias=BIAS))),
        Task(FIT, Action.DARK_FIT, "dark", {}, products=(DARK,)),
        Task(FLAT, Action.FLAT, "flat_Ha", {"filter": "Ha"}, level=2,
             frames=inputs(["f0.fit", "f1.fit", "f2.fit"], FLATTENED)),
    )  # fmt: skip
    tasks = tasks or tuple(calibrate(f"l{i}.fit") for i in range(3))
    outputs = tuple(task.output for task in tasks if task.action is Action.CALIBRATE)
    stack = Task(STACK, Action.STACK, "M1_Ha", {"filter": "Ha"}, products=outputs)
    everything = (*masters, *tasks, stack)
    return Plan("/night", load_recipe(), everything, **fields)


LEDGER = (
    Verdict("M1_Ha", "dark", DARK, chosen=True, level=0),
    Verdict("M1_Ha", "dark", "masters/dark_180s.fits", False, None,
                "exptime", "60 s", "180 s"),
)  # fmt: skip

DARK_FIT = {
    "points": [
        {"file": "a", "exptime": 60.0, "counts": 11.8, "error": 1.0},
        {"file": "b", "exptime": 120.0, "counts": 17.8, "error": None},
        {"file": "c", "exptime": 180.0, "counts": 23.6, "error": 1.0},
    ],
    "offset": 5.9333,
    "slope": 0.09833,
    "offset_error": 1.5275,
    "slope_error": 0.011785,
    "covariance": -0.016667,
    "chi_square": 0.0067,
    "n": 3,
    "linear": True,
}


def make_outcomes(plan, **changes):
    made = {task.output: FakeOutcome() for task in plan.tasks}
    return {**made, **changes}


def make_report(plan=None, **fields):
    plan = plan or make_plan(verdicts=LEDGER)
    standard = {
        "frames": make_frames(),
        "plan": plan,
        "outcomes": make_outcomes(plan),
        "unreadable": pd.DataFrame({"file": [], "reason": []}, dtype="string"),
        "fits": {FIT: DARK_FIT},
        "version": "0.1.0",
        "command": "autoreduce night",
        "elapsed_s": 3.2,
    }
    return NightReport(**{**standard, **fields})


def write_products(folder, plan, shape=(60, 90)):
    rng = np.random.default_rng(20210226)
    for task in plan.tasks:
        if task.action is not Action.DARK_FIT:
            path = folder / task.output
            path.parent.mkdir(parents=True, exist_ok=True)
            data = rng.normal(1000.0, 10.0, shape).astype(np.float32)
            fits.writeto(path, data)


def exhibits_of(report, folder):
    """Draw the pictures of a report."""
    gallery = Gallery.of(report)
    return gallery.exhibits(map(drawn, gallery.wanted(folder)))
