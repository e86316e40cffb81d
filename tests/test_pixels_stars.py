"""Stars of a light against the simulated truth: places, light, widths, and impostors."""

import numpy as np
import pytest
import sep
from stack_fields import (
    GAIN,
    add_cosmic_rays,
    add_hot_pixels,
    add_noise,
    draw_field,
    paint,
)

from autoreduce.pixels import stars as found
from autoreduce.pixels.stars import (
    BLENDED,
    EDGE,
    MASKED,
    SATURATED,
    STAR,
    find_stars,
    on_sensor,
    superpixels,
)

SHAPE = (600, 600)
SKY = 200.0


def take(n, fwhm, seed=1, flux=(3e3, 3e5), shape=SHAPE, **profile):
    """Give a light, and the x, y and flux of its stars."""
    rng = np.random.default_rng(seed)
    field = draw_field(n, shape, rng, flux=flux, margin=-12)
    scene = np.zeros(shape)
    paint(scene, *field, fwhm, **profile)
    return add_noise(scene, SKY, rng), *field


def nearest(table, x, y):
    """Give the row of the star next to each place, and its distance."""
    apart = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
    return apart.argmin(axis=0), apart.min(axis=0)


@pytest.mark.parametrize("beta", [2.5, 4.0, None])
@pytest.mark.parametrize("fwhm", [1.8, 2.5, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("n", [30, 150])
def test_the_width_is_that_of_the_stars(n, fwhm, beta):
    light, *_ = take(n, fwhm, beta=beta)
    assert find_stars(light).statistics.fwhm_pixel == pytest.approx(fwhm, rel=0.05)


@pytest.mark.parametrize("fwhm", [1.8, 3.0, 6.0])
def test_each_star_is_found_once_and_nothing_else(fwhm):
    light, x, y, _ = take(30, fwhm, seed=4)
    table = find_stars(light).table
    _, distance = nearest(table, x, y)
    assert (distance < 0.5).sum() >= 28
    assert len(table) <= 30
    assert np.all(np.diff(table["flux"]) <= 0)


def test_places_are_right_within_their_errors():
    pulls = []
    for seed in range(8):
        light, x, y, _ = take(40, 3.0, seed=seed)
        table = find_stars(light, gain=GAIN).table
        alone = table[table["flags"] == 0]
        rows, distance = nearest(alone, x, y)
        good = distance < 1
        pulls.append(distance[good] / alone["error"][rows[good]])
    # The median distance of two normal variates from 0 is 1.18 of their error.
    assert np.median(np.concatenate(pulls)) == pytest.approx(1.18, rel=0.3)


def test_fluxes_are_the_same_part_of_each_star():
    # Moffat's light within two widths: 1 - (1 + 16 (2^(1/3) - 1))^-2.
    expected = 1 - (1 + 16 * (2 ** (1 / 3) - 1)) ** -2
    parts, pulls = [], []
    for seed in range(8):
        light, x, y, flux = take(40, 3.0, seed=seed, beta=3.0)
        table = find_stars(light, gain=GAIN).table
        rows, distance = nearest(table, x, y)
        good = (distance < 0.5) & (table["flags"][rows] == 0)
        found, flux = table[rows[good]], flux[good]
        parts.append(found["flux"] / flux)
        usual = np.median(parts[-1])
        pulls.append((found["flux"] - usual * flux) / found["flux_error"])
    assert np.median(np.concatenate(parts)) == pytest.approx(expected, rel=0.01)
    scatter = 1.4826 * np.median(np.abs(np.concatenate(pulls)))
    assert scatter == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("fwhm", [1.8, 3.0])
def test_hot_pixels_and_cosmic_rays_that_outnumber_the_stars_are_none(fwhm):
    light, x, y, _ = take(12, fwhm, seed=5, flux=(5e3, 3e5), shape=(1024, 1024))
    rng = np.random.default_rng(6)
    add_cosmic_rays(light, 300, rng)
    add_hot_pixels(light, 500, rng)
    found = find_stars(light)
    _, distance = nearest(found.table, x, y)
    assert (distance < 0.5).sum() >= 11
    assert len(found.table) <= 14
    assert found.statistics.fwhm_pixel == pytest.approx(fwhm, rel=0.05)


@pytest.mark.parametrize("beta", [2.5, None])
@pytest.mark.parametrize("fwhm", [1.8, 4.5, 8.0])
def test_hot_pixels_and_cosmic_rays_within_stars_do_not_change_their_width(fwhm, beta):
    light, *_ = take(12, fwhm, seed=3, beta=beta)
    rng = np.random.default_rng(8)
    add_hot_pixels(light, light.size // 1000, rng)
    add_cosmic_rays(light, 40, rng)
    assert find_stars(light).statistics.fwhm_pixel == pytest.approx(fwhm, rel=0.05)


@pytest.mark.parametrize(("diameter", "n"), [(10, 20), (20, 8)])
def test_a_star_out_of_focus_is_one_wide_object(diameter, n):
    light, x, y, _ = take(n, diameter, flux=(3e4, 3e5), disc=True)
    found = find_stars(light)
    _, distance = nearest(found.table, x, y)
    assert len(found.table) <= n
    assert (distance < 0.15 * diameter).sum() >= n - 2
    # Half of the light of a disc with a hole of 0.4 lies within 0.76 of its radius.
    assert 0.7 * diameter < found.statistics.fwhm_pixel < 1.05 * diameter


def test_trails_are_long_objects_at_their_angle():
    rng = np.random.default_rng(3)
    x, y, flux = draw_field(15, SHAPE, rng, flux=(5e4, 3e5), margin=-40)
    scene = np.zeros(SHAPE)
    steps = np.arange(-6.0, 6.5, 0.5)
    for step in steps:
        angle = np.deg2rad(30)
        at = x + step * np.cos(angle), y + step * np.sin(angle)
        paint(scene, *at, flux / len(steps), 2.5)
    found = find_stars(add_noise(scene, SKY, rng))
    _, distance = nearest(found.table, x, y)
    assert (distance < 1).sum() >= 13
    assert len(found.table) <= 15
    # Rms length of 12 pixels and the star's own width across.
    assert 2.0 < found.statistics.elongation < 5.0
    assert np.median(found.table["angle"]) == pytest.approx(30, abs=3)


def test_flags_tell_what_is_wrong_with_a_star():
    scene = np.zeros((200, 200))
    x = np.array([50.0, 150.0, 2.0, 100.0, 106.0, 50.0])
    y = np.array([50.0, 50.0, 100.0, 150.0, 150.0, 150.0])
    paint(scene, x, y, np.array([4e5, 4e4, 4e4, 4e4, 4e4, 4e4]), 3.0)
    light = add_noise(scene, SKY, np.random.default_rng(1))
    light[148:153, 53:55] = np.nan
    table = find_stars(light, saturate=2e4).table
    rows, distance = nearest(table, x, y)
    assert np.all(distance < 1)
    flags = table["flags"][rows]
    wanted = [SATURATED, 0, EDGE, BLENDED, BLENDED, MASKED]
    assert [int(f) for f in flags] == [int(w) for w in wanted]


def test_lone_dead_pixels_move_no_star():
    light, x, y, _ = take(20, 3.0)
    holed = light.copy()
    holed[np.rint(y).astype(int) + 1, np.rint(x).astype(int)] = np.nan
    table = find_stars(holed).table
    rows, distance = nearest(table, x, y)
    assert np.median(distance) < 0.2
    assert not (table["flags"][rows] & MASKED).any()


def test_where_half_a_light_is_missing_no_star_is_found():
    light, *_ = take(20, 3.0)
    light[:300] = np.nan
    table = find_stars(light).table
    assert len(table) > 3
    assert table["y"].min() > 298


def test_a_frame_without_stars_has_none():
    found = find_stars(add_noise(np.zeros(SHAPE), SKY, np.random.default_rng(1)))
    assert found.table.dtype == STAR
    assert found.statistics.stars == len(found.table) == 0
    assert np.isnan(found.statistics.fwhm_pixel)
    assert found.statistics.sky_adu == pytest.approx(SKY, abs=0.5)
    noise = np.hypot(np.sqrt(SKY * GAIN), 8) / GAIN
    assert found.statistics.sky_noise_adu == pytest.approx(noise, rel=0.02)


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_frames_of_one_value_are_measured_without_fuss(value):
    found = find_stars(np.full((64, 64), value, np.float32))
    assert len(found.table) == 0
    assert np.array_equal(found.statistics.sky_adu, value, equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 50), (5, 5), (9, 200), (100, 3)])
def test_frames_too_small_for_stars_are_measured_without_fuss(shape):
    noise = np.random.default_rng(1).normal(100, 5, shape)
    assert len(find_stars(noise).table) == 0


def test_stars_are_the_same_whatever_the_type_of_the_pixels():
    light, *_ = take(30, 3.0)
    whole = np.rint(light)
    usual = find_stars(whole.astype(np.float32)).table
    for dtype in (">f4", "<f8", "u2"):
        assert np.array_equal(find_stars(whole.astype(dtype)).table, usual)


@pytest.mark.parametrize("odd", ["column", "rain", "slope", "holes", "infinite"])
def test_what_is_no_star_is_none(odd):
    rng = np.random.default_rng(2)
    light = rng.normal(100, 5, SHAPE).astype(np.float32)
    if odd == "column":
        light[:, 100] += 5000
    elif odd == "rain":
        add_cosmic_rays(light, 1500, rng)
        add_hot_pixels(light, 4000, rng)
    elif odd == "slope":
        light += np.add.outer(np.arange(600) * 10, np.arange(600) * 3)
    elif odd == "holes":
        light[rng.random(SHAPE) < 0.3] = np.nan
    else:
        light[50, 50], light[60, 60], light[70, 70] = np.inf, -np.inf, 1e30
    assert len(find_stars(light).table) == 0


def test_sky_and_noise_are_those_of_sep():
    import sep

    light, *_ = take(30, 3.0)
    background = sep.Background(light)
    found = find_stars(light).statistics
    assert found.sky_adu == background.globalback
    assert found.sky_noise_adu == background.globalrms


def test_a_field_full_of_stars_is_measured():
    light, *_ = take(1000, 3.0, shape=(512, 512))
    found = find_stars(light).statistics
    assert found.stars is not None
    assert found.stars > 400
    assert found.fwhm_pixel == pytest.approx(3.0, rel=0.1)


def test_superpixels_are_means_and_their_stars_go_back_to_the_sensor():
    assert superpixels(np.arange(20.0).reshape(4, 5)).tolist() == [[3, 5], [13, 15]]
    light, x, y, _ = take(20, 5.0)
    colours = np.tile([[1.0, 0.6], [0.6, 0.4]], (300, 300))
    found = find_stars(superpixels(light * colours))
    table = on_sensor(found.table, 2)
    rows, distance = nearest(table, x, y)
    assert np.median(distance) < 0.4
    assert np.median(table["fwhm"][rows]) == pytest.approx(5, rel=0.1)


def test_places_of_subframes_and_binned_frames_are_those_of_the_sensor():
    table = np.zeros(1, STAR)
    table["x"], table["y"], table["fwhm"], table["error"] = 10, 20, 3, 0.1
    (star,) = on_sensor(table, (2, 3), (100, 200))
    # The middle of pixel 10 of binning 2 is that of pixels 20 and 21.
    assert (star["x"], star["y"]) == (120.5, 261.0)
    assert star["fwhm"] == pytest.approx(3 * np.sqrt(6))
    assert table["x"] == 10


def test_an_object_too_large_for_the_room_hides_no_stars(monkeypatch):
    """Rather than memory for all of it, sep is given a higher threshold."""
    rooms = []
    give = sep.set_extract_pixstack
    monkeypatch.setattr(
        sep, "set_extract_pixstack", lambda n: [rooms.append(n), give(n)]
    )
    monkeypatch.setattr(found, "MOST_ROOM", found.LEAST_ROOM)
    rng = np.random.default_rng(1)
    light = rng.standard_normal((900, 900), np.float32)
    light[100:800, 100:800] += 5.0
    y, x = (np.mgrid[1:9, 1:9].reshape(2, -1)) * 90
    for dy, dx in np.ndindex(3, 3):
        light[y + dy, x + dx] += 60.0
    stars = found._extracted(found._Light(light, None, 0.0, 1.0), 1)
    assert len(stars) == 64
    assert set(rooms) == {found.LEAST_ROOM}
