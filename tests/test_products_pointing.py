"""Scale and coordinates of headers."""

import pytest
from astropy.io import fits

from autoreduce.fits.header import RawHeader
from autoreduce.planning.plan import FrameInput
from autoreduce.products.pointing import (
    coordinates_transform,
    pixel_scale_arcsec,
    place_cards,
)


def header(**cards):
    made = fits.Header()
    for keyword, value in cards.items():
        made[keyword.replace("__", "-")] = value
    return RawHeader(0, made.tostring(padding=False, endcard=False).encode())


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0}


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({**SKY, "CD1_1": -3e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 3e-4}, 1.08),
        ({**SKY, "CD1_1": 0.0, "CD1_2": 3e-4, "CD2_1": 3e-4, "CD2_2": 0.0}, 1.08),
        ({**SKY, "CDELT1": -3e-4, "CDELT2": 3e-4}, 1.08),
        ({"PIXSCALE": 0.75}, 0.75),
        ({"SECPIX": "0.75"}, 0.75),
        ({"XPIXSZ": 9.0, "FOCALLEN": 1000.0}, 1.8564),
        ({"XPIXSZ": 9.0, "FOCALLEN": 0.0}, None),
        ({"XPIXSZ": 9.0, "PIXSIZE1": 4.5, "XBINNING": 2, "FOCALLEN": 1000.0}, 1.8564),
        ({"XPIXSZ": 4.5, "PIXSIZE1": 4.5, "XBINNING": 2, "FOCALLEN": 1000.0}, 1.8564),
        ({"XPIXSZ": 4.5, "PIXSIZE1": 4.5, "XBINNING": 1, "FOCALLEN": 1000.0}, 0.9282),
        ({"PIXSIZE1": 4.5, "XBINNING": 2, "FOCALLEN": 1000.0}, 1.8564),
        ({"XPIXSZ": 9.0, "XBINNING": 2, "FOCALLEN": 1000.0}, 1.8564),
        ({"CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({"PIXSCALE": 99999.0}, None),
        ({}, None),
    ],
)
def test_the_scale_of_pixels(cards, expected):
    found = pixel_scale_arcsec(header(**cards))
    assert found == (
        expected if expected is None else pytest.approx(expected, rel=1e-4)
    )


PLACED = FrameInput("l.fit", ra=240.55, dec=28.17)


@pytest.mark.parametrize(
    ("cards", "item", "told"),
    [
        ({"RA": 240.55, "DEC": 28.17}, PLACED, False),
        ({"RA": "16 02 12", "DEC": "+28 10 12"}, PLACED, False),
        ({"OBJCTRA": "16 02 12", "OBJCTDEC": "+28 10 12"}, PLACED, False),
        ({"RA": 16.0366, "DEC": 28.17, "OBJCTRA": "16 02 12"}, PLACED, True),
        ({"RA": 83.6, "DEC": 28.17}, PLACED, True),
        ({}, PLACED, True),
        ({"RA": 83.6, "DEC": 28.17}, FrameInput("l.fit"), False),
    ],
)
def test_a_pointing_that_its_cards_do_not_tell_is_written(cards, item, told):
    """As the observer may have set it."""
    found = [(card.keyword, card.value) for card in place_cards(item, header(**cards))]
    assert found == ([("RA", 240.55), ("DEC", 28.17)] if told else [])


def placed(x, y, **more):
    cd = {"CD1_1": -3e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 3e-4}
    return header(**SKY, **{**cd, **more}, CRPIX1=x, CRPIX2=y)


def test_coordinates_give_shift_turn_and_mirror():
    found = coordinates_transform(placed(50, 60), placed(53.5, 58), (100, 120))
    assert (found.transform.dx, found.transform.dy) == pytest.approx(
        (3.5, -2), abs=1e-3
    )
    assert found.rms < 1e-3
    upside = placed(50, 60, CD1_1=3e-4, CD2_2=-3e-4)
    turned = coordinates_transform(upside, placed(50, 60), (100, 120))
    assert abs(turned.transform.rotation) == pytest.approx(180, abs=1e-3)
    mirror = placed(50, 60, CD2_2=-3e-4)
    assert coordinates_transform(mirror, placed(50, 60), (100, 120)).transform.mirrored


def test_without_coordinates_there_is_no_transform():
    assert coordinates_transform(header(), placed(1, 1), (100, 120)) is None
    assert coordinates_transform(placed(1, 1), header(CTYPE1="LINEAR"), (9, 9)) is None
