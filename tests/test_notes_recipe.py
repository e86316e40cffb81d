"""The recipe ``notes`` against the observer's steps written out in a few lines of numpy."""

import json

import numpy as np
import pytest
from astropy.io import fits

FLATS = {
    "OIII": range(1, 6),
    "SII": range(6, 11),
    "Halpha": range(11, 16),
    "R": range(16, 21),
    "G": range(21, 26),
    "B": range(26, 31),
    "Lum": range(31, 36),
    "open": range(36, 41),
}
FLAT_EXPTIME = {"OIII": 2, "SII": 5, "Halpha": 10}
DARKS = {60: range(52, 57), 120: range(57, 59), 180: range(59, 62)}
BIASES = [*range(41, 51), *range(98, 108)]
LIGHTS = {
    ("Lum", 60): [62, 63, 64],
    ("R", 60): [65, 66, 67],
    ("G", 60): [68, 69, 70],
    ("B", 60): [71, 72, 73],
    ("Lum", 120): [74, 78, 82],
    ("R", 180): [75, 79, 83],
    ("G", 180): [76, 80, 84],
    ("B", 180): [77, 81, 85],
    ("Halpha", 180): [86, 87, 88],
}
SMALLEST_STEP = 1e-5


class Notes:
    """The twelve steps, in double precision, frames whole in memory."""

    def __init__(self, folder):
        self.folder = folder
        self.bias = np.mean([self.raw(n) for n in BIASES], axis=0)
        self.darks = {
            t: np.mean([self.bsub(n) for n in ns], axis=0) for t, ns in DARKS.items()
        }
        ny, nx = self.bias.shape
        box = np.s_[ny // 4 : ny - ny // 4, nx // 4 : nx - nx // 4]
        levels = [self.darks[t][box].mean() for t in DARKS]
        self.slope, self.offset = np.polyfit(list(DARKS), levels, 1)
        self.flats = {name: self.flat(name) for name in FLATS}

    def raw(self, number):
        """Read a raw frame."""
        return fits.getdata(self.folder / f"20210227.{number:04d}.fit").astype(float)

    def bsub(self, number):
        """Subtract the bias: step 4."""
        return self.raw(number) - self.bias

    def scaled_dark(self, t):
        """Scale the long dark by the fit: steps 6 and 7."""
        factor = (self.offset + self.slope * t) / (self.offset + self.slope * 180)
        return self.darks[180] * factor

    def flat(self, name):
        """Make the flat that works: steps 8 and 9."""
        dark = self.scaled_dark(FLAT_EXPTIME.get(name, 1))
        frames = [self.bsub(n) - dark for n in FLATS[name]]
        frames = [frame * frames[0].mean() / frame.mean() for frame in frames]
        kept = np.sort(frames, axis=0)[:-1]
        flat = np.median(kept, axis=0)
        return flat / flat.mean()

    def light(self, number, name, t):
        """Take dark and flat out: steps 10 and 11."""
        return (self.bsub(number) - self.darks[t]) / self.flats[name]


@pytest.fixture(scope="module")
def notes(notes_recipe_night):
    return Notes(notes_recipe_night.raw)


def product(night, name):
    (path,) = night.folder.glob(name)
    return fits.getdata(path).astype(float)


def test_the_odd_dark_is_left_out_here_too(notes_recipe_night):
    frames = notes_recipe_night.reduced.report.frames.set_index("file")
    assert list(frames.index[~frames["use"]]) == ["20210227.0051.fit"]


def test_master_bias_and_darks_are_the_plain_means(notes, notes_recipe_night):
    made = product(notes_recipe_night, "masters/bias_*.fits")
    np.testing.assert_allclose(made, notes.bias, atol=1e-3)
    for t, dark in notes.darks.items():
        made = product(notes_recipe_night, f"masters/dark_{t}s_*.fits")
        np.testing.assert_allclose(made, dark, atol=1e-3)


def test_the_dark_fit_is_the_observers(notes, notes_recipe_night):
    (path,) = notes_recipe_night.folder.glob("masters/*.json")
    fit = json.loads(path.read_text())
    assert fit["offset"] == pytest.approx(notes.offset, rel=1e-5)
    assert fit["slope"] == pytest.approx(notes.slope, rel=1e-5)
    # Unit errors at 60, 120, 180 s: the errors of the notes, whatever the counts.
    assert fit["offset_error"] == pytest.approx(1.528, abs=5e-4)
    assert fit["slope_error"] == pytest.approx(0.012, abs=5e-4)


@pytest.mark.parametrize("name", FLATS)
def test_master_flats_are_scaled_clipped_medians_of_unit_mean(
    notes, notes_recipe_night, name
):
    made = product(notes_recipe_night, f"masters/flat_{name}_*.fits")
    np.testing.assert_allclose(made, notes.flats[name], rtol=SMALLEST_STEP)
    assert made.mean() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("name", "t"), LIGHTS)
def test_lights_and_stacks_are_the_observers(notes, notes_recipe_night, name, t):
    lights = [notes.light(n, name, t) for n in LIGHTS[name, t]]
    for number, light in zip(LIGHTS[name, t], lights, strict=True):
        made = product(notes_recipe_night, f"calibrated/20210227.{number:04d}.fit")
        np.testing.assert_allclose(made, light, rtol=SMALLEST_STEP, atol=0.02)
    made = product(notes_recipe_night, f"stacks/light_*_{name}_{t}s_*.fits")
    np.testing.assert_allclose(
        made, np.mean(lights, axis=0), rtol=SMALLEST_STEP, atol=0.02
    )


def test_what_has_no_flat_or_dark_is_reduced_as_far_as_possible(
    notes, notes_recipe_night
):
    made = product(notes_recipe_night, "calibrated/20210227.0089.fit")
    np.testing.assert_allclose(made, notes.bsub(89) - notes.darks[180], atol=0.02)
    for number in range(90, 98):
        made = product(notes_recipe_night, f"calibrated/20210227.{number:04d}.fit")
        np.testing.assert_allclose(made, notes.bsub(number), atol=0.02)
