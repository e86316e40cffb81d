"""Moving sources in flats: found wherever they are, and whatever the band."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import combine
from autoreduce.pixels.trails import DILATION, HALO, mask_moving
from autoreduce.products.flats import BYTES_OF_PIXEL, BYTES_OF_SAMPLE
from autoreduce.simulate import make_night, read_listing

NOISE = 0.01
DEFAULT = Combination(Method.MEAN, Rejection.SIGMA, low=4.0, high=4.0)
NOTES = Combination(Method.MEDIAN, Rejection.MINMAX, drop_high=1)


def make_flats(n=5, ny=90, nx=110, noise=NOISE, seed=1):
    rng = np.random.default_rng(seed)
    return (1 + noise * rng.standard_normal((n, ny, nx))).astype(np.float32)


def sigma(n=5):
    return np.full((n, 1, 1), NOISE, np.float32)


def sources(flats, noise):
    """Return what is a source: masked, or its wings."""
    moving = mask_moving(flats, noise)
    found = moving.mask.copy()
    assert not found[moving.wings.at].any()
    found[moving.wings.at] = True
    return found


def freed(flats, noise, above=0, below=0):
    """Return flats without wings, NaN where they are masked."""
    moving = mask_moving(flats, noise, above=above, below=below)
    flats = flats[:, above : flats.shape[1] - below].copy()
    flats[moving.wings.at] -= moving.wings.light
    flats[moving.mask] = np.nan
    return flats


def test_a_trail_is_found_with_its_wings_in_its_own_frame_only():
    flats = make_flats()
    flats[2, 40:43, 20:80] += 10 * NOISE
    found = sources(flats, sigma())
    assert found[2, 40 - DILATION : 43 + DILATION, 20:80].all()
    assert mask_moving(flats, sigma()).mask[2, 40:43, 20:80].all()
    assert not found[2, :25].any()
    assert found[[0, 1, 3, 4]].mean() < 2e-3


def test_a_trail_as_faint_as_the_noise_of_a_pixel_is_found():
    flats = make_flats()
    flats[1, 50:55] += 1.0 * NOISE
    assert sources(flats, sigma())[1, 50:55].mean() > 0.7


def test_the_light_of_wings_is_taken_off():
    flats = make_flats(ny=200, nx=300)
    clean = flats.copy()
    profile = np.exp(-0.5 * (np.arange(-8, 9) / 3) ** 2)[:, None]
    flats[1, 92:109] += 1.5 * NOISE * profile
    moving = mask_moving(flats, sigma())
    assert len(moving.wings.light) > 10 * moving.mask.sum()
    left = freed(flats, sigma())[1] - clean[1]
    # a quarter of a sigma stays: by so much a reference without the highest sample is
    # darker where no source is the highest
    assert abs(np.nanmean(left[97:104])) < 0.4 * NOISE
    assert np.nanstd(left[97:104]) < 0.5 * NOISE


def test_steep_wings_are_worth_more_than_no_sample():
    flats = make_flats(ny=200, nx=300)
    clean = flats.copy()
    profile = np.exp(-0.5 * (np.arange(-8, 9) / 1.3) ** 2)[:, None]
    flats[1, 92:109] += 20 * NOISE * profile
    moving = mask_moving(flats, sigma())
    assert moving.mask[1, 98:103].all()
    master = np.nanmean(freed(flats, sigma()), axis=0) - 1
    masked = np.mean(clean[[0, 2, 3, 4]], axis=0) - 1
    assert np.std(master[93:108]) < np.std(masked[93:108])


def test_a_single_bright_pixel_is_masked():
    flats = make_flats()
    flats[4, 30, 30] += 12 * NOISE
    assert mask_moving(flats, sigma()).mask[4, 30, 30]


@pytest.mark.parametrize("n", [3, 4, 5, 7, 12])
def test_clean_flats_lose_almost_nothing(n):
    assert sources(make_flats(n, 300, 400), sigma(n)).mean() < 1e-3


def test_a_changing_gradient_of_the_sky_is_not_masked():
    flats = make_flats(ny=200, nx=600)
    slopes = np.linspace(-1, 1, 5).reshape(5, 1, 1)
    flats += slopes * np.linspace(-0.01, 0.01, 600, dtype=np.float32)
    assert sources(flats, sigma()).mean() < 1e-3


def test_a_dark_spot_is_not_taken_for_a_source():
    flats = make_flats()
    flats[3, 40:50, 40:50] -= 20 * NOISE
    assert not sources(flats, sigma())[3, 30:60, 30:60].any()


def test_an_edge_hides_no_source():
    flats = make_flats()
    flats[0, 0, 10:90] += 10 * NOISE
    flats[1, 30:60, -1] += 10 * NOISE
    mask = mask_moving(flats, sigma()).mask
    assert mask[0, 0, 10:90].all()
    assert mask[1, 30:60, -1].all()


def test_the_lowest_two_samples_of_a_pixel_stay():
    flats = make_flats()
    flats[:, 40:44, 40:44] += np.array([0, 10, 20, 30, 40]).reshape(5, 1, 1) * NOISE
    mask = mask_moving(flats, sigma()).mask
    np.testing.assert_array_equal(mask[:, 42, 42], [False, False, True, True, True])
    assert ((~mask).sum(axis=0) >= 2).all()


def test_a_pixel_with_fewer_than_two_clean_samples_is_unclean():
    flats = make_flats()
    flats[:3, 40:44, 40:44] += np.array([10, 20, 30]).reshape(3, 1, 1) * NOISE
    flats[3, 42:44, 42:44] += 40 * NOISE
    moving = mask_moving(flats, sigma())
    assert moving.unclean[42:44, 42:44].all()
    assert not moving.unclean[:36].any()
    assert ((~moving.mask).sum(axis=0) == 2)[42:44, 42:44].all()


def test_where_most_frames_have_a_source_the_rest_must_agree():
    flats = make_flats()
    flats[:4, 40:60, 40:60] += np.array([8, 16, 24, 32]).reshape(4, 1, 1) * NOISE
    moving = mask_moving(flats, sigma())
    assert moving.unclean[42:58, 42:58].mean() > 0.9
    assert not moving.unclean[:30].any()


def test_a_source_in_one_frame_or_two_leaves_nothing_unclean():
    flats = make_flats()
    flats[0, 20:60] += 20 * NOISE
    flats[1, :, 40:60] += 20 * NOISE
    assert not mask_moving(flats, sigma()).unclean.any()


def test_pixels_without_data_are_not_unclean():
    flats = make_flats()
    flats[:, 30:35, 30:35] = np.nan
    assert not mask_moving(flats, sigma()).unclean.any()


def test_of_two_frames_the_lower_sample_stays():
    flats = make_flats(2)
    flats[1, 20:24] += 10 * NOISE
    mask = mask_moving(flats, sigma(2)).mask
    assert mask[1, 20:24].all()
    assert not mask[0].any()


def test_a_lone_frame_keeps_everything():
    flats = make_flats(1)
    flats[0, 20:24] += 10 * NOISE
    assert not mask_moving(flats, sigma(1)).mask.any()


def test_pixels_without_data_are_neither_sources_nor_counted_as_clean():
    flats = make_flats()
    flats[:3, 30, 30] = np.nan
    flats[3:, 29:32, 29:32] += 10 * NOISE
    flats[0, 60] = np.nan
    mask = mask_moving(flats, sigma()).mask
    assert not mask[3:, 30, 30].any()
    assert not mask[0, 60].any()


def test_noise_can_differ_from_pixel_to_pixel():
    flats = make_flats()
    loud = np.full(flats.shape, NOISE, np.float32)
    loud[:, :45] = 10 * NOISE
    flats[2, 20] += 8 * NOISE
    flats[2, 70] += 8 * NOISE
    mask = mask_moving(flats, loud).mask
    assert mask[2, 70].mean() > 0.9
    assert not mask[2, 20].any()


def test_brighter_pixels_are_allowed_more_noise():
    flats = make_flats()
    flats[:, :, :55] = 100 + 10 * (flats[:, :, :55] - 1)
    flats[2, 20] += 12 * NOISE
    mask = mask_moving(flats, sigma()).mask
    assert mask[2, 20, 60:].all()
    assert not mask[2, 20, :50].any()


def test_what_is_fainter_than_any_pixel_could_tell_is_left_alone():
    flats = make_flats(noise=1e-5)
    flats[1, 40:60] += 2e-4
    assert not sources(flats, np.full((5, 1, 1), 1e-5)).any()


@given(
    cuts=st.lists(st.integers(1, 89), unique=True, max_size=4).map(sorted),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_bands_of_any_height_give_the_same(cuts, seed):
    flats = make_flats(4, 90, 60, seed=seed)
    rng = np.random.default_rng(seed)
    for frame in flats:
        y, x = rng.integers(0, 80), rng.integers(0, 50)
        frame[y : y + 6, x : x + 9] += rng.uniform(0.5, 20) * NOISE
    whole = freed(flats, sigma(4))
    edges = [0, *cuts, 90]
    bands = []
    for start, stop in pairwise(edges):
        first, last = max(0, start - HALO), min(90, stop + HALO)
        bands.append(freed(flats[:, first:last], sigma(4), start - first, last - stop))
    np.testing.assert_array_equal(np.concatenate(bands, axis=1), whole)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_wings_are_numbers_where_one_frame_alone_has_data(n):
    flats = make_flats(n)
    flats[1, 40:43, 40:43] += 6 * NOISE
    others = np.arange(n) != 1
    flats[others, 41, 45] = np.nan
    moving = mask_moving(flats, sigma(n))
    assert np.isfinite(moving.wings.light).all()
    assert np.isfinite(freed(flats, sigma(n))[1, 41, 45])


def test_a_band_without_rows_is_refused():
    with pytest.raises(ValueError, match="rows between 60 above"):
        mask_moving(make_flats(), sigma(), above=60, below=60)


@pytest.fixture(scope="module")
def twilight():
    """Night flats with trails, less bias and dark, and their true response."""
    night = make_night(read_listing("notes_2021"), seed=7, size=(832, 626))
    return {name: scaled_flats(night, name) for name in ("OIII", "Halpha", "open")}


def scaled_flats(night, band):
    camera = night.cameras[""]
    gain = camera.detector.gain_e_per_adu
    frames, trails = [], []
    for frame in night.listing.frames:
        if frame.imagetyp == "flat" and frame.filter == band:
            exposure = night.expose(frame)
            dark = camera.dark_e_per_s * frame.exptime_s / gain
            light = exposure.raw - camera.bias_adu - dark - exposure.level_adu
            level = np.median(light)
            frames.append(light / level)
            trails.append(exposure.trails_e * camera.response[band] / gain / level)
    flat = camera.response[band] / np.median(camera.response[band])
    return np.array(frames, np.float32), np.array(trails), flat


def flat_noise(frames):
    """Photon and read noise, measured in the middle from the scatter between frames."""
    middle = frames[:, 250:370, 300:530]
    return (middle - middle.mean(axis=0)).std(axis=(1, 2)) * np.sqrt(5 / 4)


def residuals(master, flat, trails, noise):
    """Return master - truth along trails and elsewhere, in sigma of a mean of five."""
    faintest = 0.3 * noise
    touched = trails.max(axis=0)
    off = touched < 0.02 * noise
    error = master / np.median(master) - flat
    error = (error - np.median(error[off])) / (noise / np.sqrt(5))
    return error[touched > faintest], error[off]


def test_trails_leave_less_than_the_photon_noise_of_the_master(twilight):
    errors = {"ours": [], "notes": [], "mean": []}
    for frames, trails, flat in twilight.values():
        noise = flat_noise(frames)
        each = noise.astype(np.float32).reshape(5, 1, 1)
        ours = freed(frames, each)
        masters = {
            "ours": combine(ours, DEFAULT, noise=each).data,
            "notes": combine(frames, NOTES).data,
            "mean": combine(frames, Combination()).data,
        }
        for name, master in masters.items():
            errors[name].append(residuals(master, flat, trails, noise.mean()))
    on, off = (
        {name: np.concatenate([pair[i] for pair in of]) for name, of in errors.items()}
        for i in (0, 1)
    )
    assert abs(on["ours"].mean()) < 0.15
    assert abs(on["ours"].mean()) < 0.5 * on["notes"].mean() < 0.5 * on["mean"].mean()
    assert on["ours"].std() < 0.97 * on["notes"].std()
    assert off["ours"].std() < 0.95 * off["notes"].std()


@pytest.mark.parametrize("n", [3, 5, 20])
def test_noise_of_each_pixel_keeps_to_the_memory_of_a_band(n):
    flats = make_flats(n, ny=300, nx=1500)
    noise = np.full_like(flats, NOISE)
    tracemalloc.start()
    mask_moving(flats, noise, above=HALO, below=HALO)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    given = flats.nbytes + noise.nbytes
    allowed = (BYTES_OF_SAMPLE * n + BYTES_OF_PIXEL) * flats[0].size
    assert given + peak < allowed


@pytest.mark.parametrize("odd", [np.inf, -np.inf])
@pytest.mark.parametrize("n", [3, 5])
def test_infinite_samples_are_missing(n, odd):
    flats = make_flats(n)
    flats[0, 30, 20:90:4] = flats[1, 30, 20:90:8] = np.nan
    infinite = np.where(np.isnan(flats), np.float32(odd), flats)
    found, expected = mask_moving(infinite, sigma(n)), mask_moving(flats, sigma(n))
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_array_equal(found.unclean, expected.unclean)
    np.testing.assert_array_equal(found.wings.at, expected.wings.at)
    np.testing.assert_array_equal(found.wings.light, expected.wings.light)
