"""What several amplifiers have read, joined by hand-worked pixels."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration.joined import JoinedImage, amplifier_cards
from autoreduce.errors import InputError
from autoreduce.fits.amplifiers import Amplifier
from autoreduce.planning.recipe import Crosstalk

DATA = np.arange(12, dtype=np.uint16).reshape(3, 4)


def write_parts(path, *levels, scale=1):
    """Write an extension for each amplifier: 4 columns of data, 9 of its overscan."""
    hdus = [fits.PrimaryHDU(header=fits.Header({"OBSERVER": "Leavitt"}))]
    for n, level in enumerate(levels):
        strip = np.full((3, 9), level)
        pixels = np.hstack([level + scale * (DATA + 100 * n), strip])
        hdus.append(fits.ImageHDU(pixels.astype(np.uint16), name=f"amp{n + 1}"))
    fits.HDUList(hdus).writeto(path)
    return path


def amplifier(hdu, place, **facts):
    return Amplifier(hdu, "[1:4,1:3]", place, "[5:13,1:3]", **facts)


def joined(path, *amplifiers):
    with JoinedImage(path, amplifiers) as image:
        return image.rows(0, image.shape[0])


@pytest.fixture
def path(tmp_path):
    return write_parts(tmp_path / "a.fits", 500, 700)


def test_each_is_freed_of_its_own_overscan_and_put_in_its_place(path):
    made = joined(path, amplifier(1, "[1:4,1:3]"), amplifier(2, "[5:8,1:3]"))
    assert made.tolist() == np.hstack([DATA, DATA + 100]).tolist()


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("[8:5,1:3]", (DATA + 100)[:, ::-1]),
        ("[5:8,3:1]", (DATA + 100)[::-1]),
        ("[8:5,3:1]", (DATA + 100)[::-1, ::-1]),
    ],
)
def test_what_was_read_backwards_is_turned(path, place, wanted):
    made = joined(path, amplifier(1, "[1:4,1:3]"), amplifier(2, place))
    assert made[:, 4:].tolist() == wanted.tolist()


@pytest.mark.parametrize("place", ["[1:4,4:6]", "[1:4,6:4]"])
@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 5), (2, 3), (4, 6)])
def test_a_band_is_part_of_the_whole(path, place, start, stop):
    parts = (amplifier(1, "[1:4,3:1]"), amplifier(2, place))
    with JoinedImage(path, parts) as image:
        assert image.shape == (6, 4)
        whole = image.rows(0, 6)
        assert image.rows(start, stop).tolist() == whole[start:stop].tolist()


def test_all_are_taken_to_the_mean_gain(path):
    parts = (
        amplifier(1, "[1:4,1:3]", egain=1.0, saturate=1000.0),
        amplifier(2, "[5:8,1:3]", egain=3.0),
    )
    with JoinedImage(path, parts) as image:
        made, full = image.rows(0, 3), image.saturation(0, 3)
        assert image.full == 250.0
    assert made.tolist() == np.hstack([DATA * 0.5, (DATA + 100) * 1.5]).tolist()
    assert full[0].tolist() == [250.0] * 4 + [(65535 - 700) * 1.5] * 4


def test_each_has_its_own_read_noise(path):
    parts = (
        amplifier(1, "[1:4,1:3]", egain=1.0, rdnoise=3.0),
        amplifier(2, "[5:8,1:3]", egain=2.0, rdnoise=5.0),
    )
    with JoinedImage(path, parts) as image:
        assert image.rdnoise(1, 2, 1.5).tolist() == [[3.0] * 4 + [5.0] * 4]


def test_read_noise_that_is_not_told_is_measured_in_the_overscan(tmp_path):
    rng = np.random.default_rng(5)
    pixels = np.full((400, 60), 1000.0)
    pixels[:, 20:] += rng.normal(0, 4.0, (400, 40))
    pixels[:, :20] += np.arange(20)
    fits.writeto(tmp_path / "a.fits", np.rint(pixels).astype(np.uint16))
    part = Amplifier(0, "[1:20,1:400]", "[1:20,1:400]", "[21:60,1:400]", egain=1.5)
    with JoinedImage(tmp_path / "a.fits", [part]) as image:
        assert image.rdnoise(0, 1, 1.5)[0, 0] == pytest.approx(6.0, rel=0.05)


def test_each_row_may_have_a_level_of_its_own(tmp_path):
    ny = 120
    light = np.arange(ny * 4, dtype=float).reshape(ny, 4) % 50
    drifts = [np.linspace(0, 40, ny)[:, None], np.linspace(30, 0, ny)[:, None]]
    hdus = [fits.PrimaryHDU()]
    for drift in drifts:
        raw = 500 + drift + np.hstack([light, np.zeros((ny, 20))])
        hdus.append(fits.ImageHDU(raw.astype(np.float32)))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    parts = [
        Amplifier(n, f"[1:4,1:{ny}]", place, f"[5:24,1:{ny}]")
        for n, place in ((1, f"[1:4,1:{ny}]"), (2, f"[8:5,{ny}:1]"))
    ]
    with JoinedImage(tmp_path / "a.fits", parts, by_rows=True) as image:
        made, cards = image.rows(40, 80), amplifier_cards(image)
    wanted = np.hstack([light, light[::-1, ::-1]])[40:80]
    assert made == pytest.approx(wanted, abs=0.01)
    assert "by rows" in cards[0].value


def test_crosstalk_is_what_was_read_at_the_same_time(path):
    """Images in the order of the readout: the second runs backwards on the detector."""
    parts = (amplifier(1, "[1:4,1:3]"), amplifier(2, "[8:5,1:3]", egain=1.0))
    told = [Crosstalk(2, 1, 0.5)]
    with JoinedImage(path, parts, crosstalk=told) as image:
        made, cards = image.rows(0, 3), amplifier_cards(image)
    assert made[:, :4].tolist() == DATA.tolist()
    assert made[:, 4:].tolist() == (DATA + 100 - 0.5 * DATA)[:, ::-1].tolist()
    assert "less 0.5 of AMP1" in cards[1].value
    assert "less" not in cards[0].value


@pytest.mark.parametrize(
    ("places", "step"),
    [
        (("[1:4,1:3]", "[5:8,1:3]"), (1, -1)),
        (("[1:4,1:3]", "[1:4,4:6]"), (-1, 1)),
        (("[1:4,1:3]", "[5:8,4:6]"), (-1, -1)),
    ],
)
def test_crosstalk_of_images_as_on_the_detector_is_mirrored(path, places, step):
    parts = [amplifier(n + 1, place) for n, place in enumerate(places)]
    told = [Crosstalk(1, 2, 0.1)]
    with JoinedImage(path, parts, crosstalk=told) as image:
        made = np.vstack([image.rows(0, 1), image.rows(1, 3)])
    wanted = DATA - np.float32(0.1) * (DATA + 100)[:: step[0], :: step[1]]
    assert made[:, :4] == pytest.approx(wanted)


def test_a_dead_amplifier_is_not_heard(tmp_path):
    path = write_parts(tmp_path / "a.fits", 500, 700)
    with fits.open(path, mode="update") as hdus:
        hdus[2].data[:] = 0
    parts = (amplifier(1, "[1:4,1:3]"), amplifier(2, "[5:8,1:3]"))
    with JoinedImage(path, parts, crosstalk=[Crosstalk(1, 2, 0.1)]) as image:
        assert image.rows(0, 3)[:, :4].tolist() == DATA.tolist()


def test_factors_that_flats_tell_go_before_gains(path):
    parts = (
        amplifier(1, "[1:4,1:3]", egain=1.0, factor=0.5),
        amplifier(2, "[5:8,1:3]", egain=1.0, factor=1.5),
    )
    with JoinedImage(path, parts) as image:
        made, cards = image.rows(0, 3), amplifier_cards(image)
    assert made.tolist() == np.hstack([DATA * 0.5, (DATA + 100) * 1.5]).tolist()
    assert cards[1].value.endswith("times 1.50000, measured")


def test_pixels_of_nobody_have_no_value(path):
    made = joined(path, amplifier(1, "[1:4,1:3]"), amplifier(2, "[6:9,1:3]"))
    assert np.isnan(made[:, 4]).all()
    assert np.isfinite(np.delete(made, 4, axis=1)).all()


def test_a_dead_amplifier_has_no_pixels_and_the_others_are_right(tmp_path):
    path = write_parts(tmp_path / "a.fits", 500, 700)
    with fits.open(path, mode="update") as hdus:
        hdus[2].data[:] = 0
    parts = (amplifier(1, "[1:4,1:3]"), amplifier(2, "[5:8,1:3]"))
    with JoinedImage(path, parts) as image:
        made, cards = image.rows(0, 3), amplifier_cards(image)
        assert [str(one) for one in image.doubts] == [
            "no pixels where a dead amplifier has read: [5:8,1:3]"
        ]
    assert made[:, :4].tolist() == DATA.tolist()
    assert np.isnan(made[:, 4:]).all()
    assert "dead" in cards[1].value


def test_an_amplifier_that_is_full_in_its_middle_is_not_dead(tmp_path):
    path = tmp_path / "a.fits"
    pixels = np.full((40, 8), 65535, np.uint16)
    pixels[0, 0] = 60000
    pixels[:, 4:] = np.arange(40)[:, None]
    fits.writeto(path, pixels)
    parts = [
        Amplifier(0, "[1:4,1:40]", "[1:4,1:40]"),
        Amplifier(0, "[5:8,1:40]", "[5:8,1:40]"),
    ]
    assert joined(path, *parts).tolist() == pixels.tolist()


def test_a_frame_of_one_value_has_no_dead_amplifier(tmp_path):
    fits.writeto(tmp_path / "a.fits", np.zeros((3, 26), np.uint16))
    parts = [
        Amplifier(0, "[1:4,1:3]", "[1:4,1:3]"),
        Amplifier(0, "[5:8,1:3]", "[5:8,1:3]"),
    ]
    assert joined(tmp_path / "a.fits", *parts).tolist() == [[0.0] * 8] * 3


def test_the_header_is_that_of_the_first_and_of_the_file(path):
    with JoinedImage(path, [amplifier(1, "[1:4,1:3]")]) as image:
        assert image.raw.get("EXTNAME") == "AMP1"
        assert image.raw.get("OBSERVER") == "Leavitt"
        assert amplifier_cards(image)[0].value == (
            "HDU 1 [1:4,1:3] to [1:4,1:3], overscan 500.00 adu, times 1.00000"
        )


@pytest.mark.parametrize(
    "part",
    [
        Amplifier(1, "[1:40,1:3]", "[1:40,1:3]"),
        Amplifier(1, "[1:4,1:3]", "[1:4,1:3]", "[5:13,1:30]"),
        Amplifier(7, "[1:4,1:3]", "[1:4,1:3]"),
    ],
)
def test_what_is_not_in_the_file_is_said(path, part):
    with pytest.raises(InputError, match=r"HDU [17]"):
        joined(path, part)


def test_rows_can_be_read_after_the_file_was_released(tmp_path):
    pixels = np.hstack([DATA, DATA])
    fits.writeto(tmp_path / "a.fits", pixels)
    parts = [
        Amplifier(0, "[1:4,1:3]", "[1:4,1:3]"),
        Amplifier(0, "[5:8,1:3]", "[5:8,1:3]"),
    ]
    with JoinedImage(tmp_path / "a.fits", parts) as image:
        image.release()
        assert image.rows(0, 3).tolist() == pixels.tolist()
