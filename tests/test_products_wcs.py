"""World coordinates after a trim and in another binning, held against astropy."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from autoreduce.products.wcs import is_wcs, moved_wcs, turned_wcs


def make_header(*, sip=False):
    header = fits.Header()
    end = "-SIP" if sip else ""
    header["CTYPE1"], header["CTYPE2"] = f"RA---TAN{end}", f"DEC--TAN{end}"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 20.0
    header["CRPIX1"], header["CRPIX2"] = 101.5, 80.25
    header["CD1_1"], header["CD1_2"] = -2e-4, 1e-5
    header["CD2_1"], header["CD2_2"] = 1e-5, 2e-4
    if sip:
        header["A_ORDER"], header["B_ORDER"] = 2, 2
        header["A_2_0"], header["B_0_2"], header["B_1_1"] = 1e-5, -2e-5, 3e-6
    header["CTYPE1P"], header["CTYPE2P"] = "X", "Y"
    for axis in (1, 2):
        header[f"CRPIX{axis}P"], header[f"CRVAL{axis}P"] = 1.0, 1.0
        header[f"CDELT{axis}P"] = 1.0
        header[f"LTV{axis}"], header[f"LTM{axis}_{axis}"] = 0.0, 1.0
    header["FILTER"] = "R"
    return header


def moved(header, *args):
    cards = [card.image.encode() for card in header.cards]
    made = moved_wcs(cards, *args)
    return fits.Header.fromstring(b"".join(made).decode())


@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize(
    ("x0", "y0", "binning"), [(12, 7, 1), (0, 0, 2), (10, 5, 2), (4, -3, 0.5)]
)
def test_the_sky_stays_where_it_is(sip, x0, y0, binning):
    header = make_header(sip=sip)
    new = moved(header, x0, y0, binning)
    x, y = np.array([0.0, 33.3, 70.0]), np.array([5.0, 61.7, 12.0])
    old_x = x0 + (x + 0.5) * binning - 0.5
    old_y = y0 + (y + 0.5) * binning - 0.5
    before = WCS(header).all_pix2world(old_x, old_y, 0)
    np.testing.assert_allclose(WCS(new).all_pix2world(x, y, 0), before, atol=1e-9)
    physical = WCS(header, key="P").wcs_pix2world(old_x, old_y, 0)
    np.testing.assert_allclose(WCS(new, key="P").wcs_pix2world(x, y, 0), physical)
    # IRAF: pixel = LTM * physical + LTV, counted from 1.
    image = new["LTM1_1"] * (old_x + 1) + new["LTV1"]
    np.testing.assert_allclose(image, x + 1)


def test_nothing_moves_nothing():
    header = make_header()
    cards = [card.image.encode() for card in header.cards]
    assert moved_wcs(cards, 0, 0) == cards


def test_which_cards_are_coordinates():
    header = make_header(sip=True)
    others = [c.keyword for c in header.cards if not is_wcs(c.image.encode())]
    assert others == ["FILTER"]


def with_steps(header, kind):
    """Say the same by CDELT and CROTA2, or by CDELT and PC."""
    matrix = {key: header[key] for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")}
    if kind == "CD":
        return header
    for key in matrix:
        del header[key]
    header["CDELT1"], header["CDELT2"] = -2e-4, 2e-4
    if kind == "CROTA":
        header["CROTA2"] = 5.0
    else:
        for key, value in matrix.items():
            header[key.replace("CD", "PC")] = value / header[f"CDELT{key[2]}"]
    return header


@pytest.mark.parametrize("kind", ["CD", "CROTA", "PC"])
@pytest.mark.parametrize("sums", [(201.0, None), (None, 150.0), (201.0, 150.0)])
@pytest.mark.parametrize("sip", [False, True])
def test_turned_coordinates_lead_to_the_same_sky(kind, sums, sip):
    header = with_steps(make_header(sip=sip), kind)
    cards = [card.image.encode() for card in header.cards]
    made = fits.Header.fromstring(b"".join(turned_wcs(cards, *sums)).decode())
    x, y = np.meshgrid([1.0, 60.0, 200.0], [1.0, 99.0, 149.0])
    new = [
        old if total is None else total - old
        for old, total in zip((x, y), sums, strict=True)
    ]
    wanted = WCS(header).all_pix2world(x, y, 1)
    assert np.allclose(WCS(made).all_pix2world(*new, 1), wanted, atol=1e-9)
    for axis, (old, there) in enumerate(zip((x, y), new, strict=True), start=1):
        physical = (old - header[f"LTV{axis}"]) / header[f"LTM{axis}_{axis}"]
        found = (there - made[f"LTV{axis}"]) / made[f"LTM{axis}_{axis}"]
        assert np.allclose(found, physical)
