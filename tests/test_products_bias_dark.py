"""Master bias and darks worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_frame
from small_products import make_space, write_product

from autoreduce.planning.plan import Action, Calibration, FrameInput, Task
from autoreduce.products import bias_dark
from autoreduce.products.bias_dark import make_plain
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SHAPE = (48, 40)
PLAIN = "[quality]\ncheck = false\n"


def make_task(folder, levels, action=Action.BIAS, *, dtype="u2", minutes=None, **item):
    """Write frames of constant levels."""
    frames = []
    for n, level in enumerate(levels):
        fits.writeto(folder / f"{n}.fit", np.full(SHAPE, level, dtype))
        when = None if minutes is None else f"2024-03-02T20:{minutes[n]:02d}:00+00:00"
        frames.append(FrameInput(f"{n}.fit", date_obs=when, **item))
    facts = {"imagetyp": action, "egain": 2.0}
    return Task("m.fits", action, "g", facts, tuple(frames))


def make(folder, task, made=(), **options):
    workspace = make_space(folder, PLAIN, **options)
    told = make_plain(task, workspace, "digest", set(made))
    with fits.open(folder / "m.fits") as hdus:
        return told, {
            hdu.name: (hdu.data.copy(), hdu.header) for hdu in hdus if hdu.is_image
        }


def test_the_level_and_its_error(tmp_path):
    """Levels 300, 302, 304: mean 302, error sqrt(4 / 3)."""
    told, planes = make(tmp_path, make_task(tmp_path, [300, 302, 304]))
    data, header = planes["PRIMARY"]
    np.testing.assert_array_equal(data, np.full(SHAPE, 302))
    assert told.statistics["level"] == 302
    assert told.statistics["level_error"] == pytest.approx((4 / 3) ** 0.5)
    assert told.statistics["drift"] == 0
    assert told.n_used == 3
    assert (header["LEVEL"], header["NCOMBINE"], header["NOISEADU"]) == (302, 3, 0)
    assert header["SATURATE"] == 65535
    assert told.measured["1.fit"]["median"] == 302


def test_levels_are_known_to_their_step_at_the_best(tmp_path):
    told, _ = make(tmp_path, make_task(tmp_path, [300, 300]))
    assert told.statistics["level_error"] == pytest.approx((1 / 12 / 2) ** 0.5)
    (tmp_path / "one").mkdir()
    told, _ = make(tmp_path / "one", make_task(tmp_path / "one", [300]))
    assert told.statistics["level_error"] == pytest.approx((1 / 12) ** 0.5)


def test_where_pixels_saturate_may_be_unknown(tmp_path):
    _, planes = make(tmp_path, make_task(tmp_path, [300.0] * 3, dtype="f4"))
    assert "SATURATE" not in planes["PRIMARY"][1]


@pytest.mark.parametrize("overscan", [None, "[37:40,1:48]"])
def test_a_dark_is_without_its_bias_and_knows_its_errors(tmp_path, overscan):
    """Bias 100 with an error of 2; dark 110: 10 ADU of 5 electrons in 3 frames."""
    write_product(tmp_path / "b.fits", np.full(SHAPE, 100.0), sigma=2, LEVEL=100.0)
    plan = Calibration(bias="b.fits", overscan=None)
    task = make_task(tmp_path, [110] * 3, Action.DARK, calibration=plan)
    if overscan:
        for n in range(3):
            pixels = np.full(SHAPE, 117, np.uint16)
            pixels[:, 36:] = 7
            fits.writeto(tmp_path / f"{n}.fit", pixels, overwrite=True)
        trim = replace(plan, overscan=overscan, trim="[1:36,1:48]")
        write_product(
            tmp_path / "b.fits", np.full((48, 36), 100.0), sigma=2, LEVEL=100.0
        )
        frames = tuple(replace(item, calibration=trim) for item in task.frames)
        task = replace(task, frames=frames)
    told, planes = make(tmp_path, task, {"b.fits"}, planes=True)
    np.testing.assert_allclose(planes["PRIMARY"][0], 10)
    sigma = (10 / 2 / 3 + 2**2) ** 0.5
    np.testing.assert_allclose(planes["UNCERT"][0], sigma, rtol=1e-5)
    assert not planes["MASK"][0].any()
    assert "drift" not in told.statistics
    header = planes["PRIMARY"][1]
    assert header["CALSTAT"] == ("OB" if overscan else "B")
    assert header["SATURATE"] == 65535 - (107 if overscan else 100)


def test_hot_pixels_of_a_dark_are_flagged(tmp_path):
    """They stand 7 times the noise of a single frame, 4 ADU, out of their neighbours."""
    rng = np.random.default_rng(1)
    task = make_task(tmp_path, [110] * 3, Action.DARK)
    for n in range(3):
        pixels = 1000 + rng.normal(0, 4, SHAPE)
        pixels += np.linspace(0, 200, SHAPE[1])
        pixels[10, 10] += 40
        pixels[20, 30] += 5000
        pixels[12, 12] += 15
        fits.writeto(
            tmp_path / f"{n}.fit", np.rint(pixels).astype(np.uint16), overwrite=True
        )
    _, planes = make(tmp_path, task, planes=True)
    hot = np.argwhere(planes["MASK"][0])
    assert hot.tolist() == [[10, 10], [20, 30]]
    assert (planes["MASK"][0][10, 10], planes["MASK"][0][20, 30]) == (4, 4)


def test_a_dark_keeps_a_bias_that_was_not_made_and_says_so(tmp_path):
    plan = Calibration(bias="b.fits")
    task = make_task(tmp_path, [110] * 3, Action.DARK, calibration=plan)
    told, planes = make(tmp_path, task)
    assert told.statistics["level"] == 110
    assert [one.code for one in told.remarks] == ["bias-lost"]
    assert planes["PRIMARY"][1]["CALSTAT"] == ""


def test_bands_do_not_change_a_master(tmp_path):
    task = make_task(tmp_path, [300, 302, 304])
    whole = make(tmp_path, task)[1]["PRIMARY"][0]
    banded = make(tmp_path, task, memory=4096)[1]["PRIMARY"][0]
    np.testing.assert_array_equal(whole, banded)


def test_bands_share_the_memory_with_frames_that_stay_in_it(tmp_path, monkeypatch):
    given = []

    def spied(ny, nx, n_frames, memory):
        given.append(memory)
        return bands(ny, nx, n_frames, memory)

    bands = bias_dark.bands
    monkeypatch.setattr(bias_dark, "bands", spied)
    task = make_task(tmp_path, [300, 302, 304])
    n_bytes = 3 * 2 * SHAPE[0] * SHAPE[1]
    make(tmp_path, task, memory=20 * n_bytes)
    make(tmp_path, task, memory=10 * n_bytes)  # of which less than 16th may be held
    assert given == [19 * n_bytes, 10 * n_bytes]


@pytest.mark.parametrize(
    ("levels", "minutes", "drift"),
    [
        ([300, 301, 302, 303, 304, 305], range(6), 4.0),
        ([305, 304, 303, 302, 301, 300], range(5, -1, -1), 4.0),
        ([300, 301, 302, 303, 304], range(5), 0.0),
        ([300, 301, 302, 303, 304, 305], None, 0.0),
    ],
)
def test_a_drift_is_that_of_the_thirds_in_order_of_time(
    tmp_path, levels, minutes, drift
):
    """(304 + 305) / 2 - (300 + 301) / 2."""
    told, _ = make(tmp_path, make_task(tmp_path, levels, minutes=minutes))
    assert told.statistics["drift"] == drift
    assert [one.found for one in told.remarks] == (["+4.0 ADU"] if drift else [])


def test_hot_pixels_tell_how_noisy_dark_counts_are(tmp_path):
    """Of 1.6 electron/ADU, as nothing else tells; some of them flicker."""
    rng = np.random.default_rng(8)
    task = make_task(tmp_path, [110] * 6, Action.DARK)
    task = replace(task, facts={"imagetyp": "dark", "egain": None})
    light = np.zeros(SHAPE)
    hot = rng.random(SHAPE) < 0.05
    light[hot] = rng.uniform(200, 3000, hot.sum())
    for n in range(6):
        pixels = 1000 + rng.poisson(light * 1.6) / 1.6 + rng.normal(0, 4, SHAPE)
        pixels[:2][hot[:2]] += 300 * (n % 2)
        fits.writeto(
            tmp_path / f"{n}.fit", np.rint(pixels).astype(np.uint16), overwrite=True
        )
    _, planes = make(tmp_path, task, planes=True)
    steady = hot.copy()
    steady[:2] = False
    expected = np.sqrt((16 + light[steady] / 1.6) / 6)
    ratio = planes["UNCERT"][0][steady] / expected
    assert np.median(ratio) == pytest.approx(1, abs=0.15)
    ordinary = planes["UNCERT"][0][~hot]
    assert np.median(ordinary) == pytest.approx(4 / 6**0.5, rel=0.12)


@pytest.mark.parametrize(
    ("levels", "told"),
    [([130, 131, 132, 130], []), ([130, 131, 230, 231], ["101 ADU"])],
)
def test_darks_that_are_not_alike_are_told(tmp_path, levels, told):
    """Bias 100: dark currents of 30 ADU, and of 130 in two that saw light."""
    write_product(tmp_path / "b.fits", np.full(SHAPE, 100.0), LEVEL=100.0)
    plan = Calibration(bias="b.fits")
    task = make_task(tmp_path, levels, Action.DARK, calibration=plan)
    found, _ = make(tmp_path, task, {"b.fits"})
    assert [one.found for one in found.remarks if one.code == "unlike-darks"] == told


@pytest.mark.parametrize("told", [1.5, 4.5])
def test_hot_pixels_have_true_errors_whatever_gain_a_header_tells(tmp_path, told):
    """Truth: 1.5 e/ADU; 400 hot pixels of 300 to 30000 ADU, eight darks."""
    rng, shape = np.random.default_rng(21), (200, 200)
    current = np.zeros(shape)
    places = rng.choice(current.size, 400, replace=False)
    current.flat[places] = 10 ** rng.uniform(2.5, 4.5, 400)
    for n in range(8):
        electrons = rng.poisson(current * 1.5) + rng.normal(0, 8, shape)
        for kind, counts in (("dark", electrons), ("bias", rng.normal(0, 8, shape))):
            pixels = np.rint(counts / 1.5 + 500).astype(np.uint16)
            exptime = 60.0 * (kind == "dark")
            write_frame(
                tmp_path / "night", f"{kind}{n}.fit", kind, exptime,
                pixels=pixels, EGAIN=told, RDNOISE=8.0 * told / 1.5,
            )  # fmt: skip
    limits = Limits(planes=True)
    done = reduce_night(
        tmp_path / "night", output=tmp_path / "out", limits=limits, page=False
    )
    with fits.open(next(done.folder.glob("masters/dark*.fits"))) as hdus:
        data, sigma = (hdus[one].data.ravel()[places] for one in (0, "UNCERT"))
    low, high = np.percentile((data - current.flat[places]) / sigma, [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(1, abs=0.2)  # 1.7 by the wrong gain
