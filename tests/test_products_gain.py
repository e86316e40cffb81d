"""Gain and read noise: the header's word first, then that of flats and bias frames."""

import math

import numpy as np
import pytest
from astropy.io import fits
from small_products import write_product

from autoreduce.calibration.bands import Correction
from autoreduce.fits.writer import write_image
from autoreduce.pixels.phototransfer import PhotonTransfer
from autoreduce.planning.plan import FrameInput
from autoreduce.products.gain import (
    Gain,
    Quantity,
    ReadNoise,
    gain_of,
    read_noise,
    transfer_cards,
    transfer_table,
)

ONES = np.ones((2, 2))


def values(cards):
    return {card.keyword: card.value for card in cards}


def test_a_header_that_agrees_with_the_flats_is_believed(tmp_path):
    write_product(
        tmp_path / "f.fits", ONES, GAINPTC=1.4, GAINPERR=0.01, RDNPTC=7.0, RDNPERR=0.1
    )
    item = FrameInput("l.fit", egain=1.5, rdnoise=7.6)
    gain = gain_of(item, Correction(flat="f.fits"), tmp_path)
    assert (gain.egain, gain.rdnoise) == (1.5, 7.6)
    # Measured 7.0 at 1.4 electron/ADU is 7.5 at the header's 1.5.
    assert gain.noise.measured == pytest.approx(7.5)
    assert gain.cards() == []
    assert gain.doubts() == ()


def test_flats_tell_what_a_header_leaves_open(tmp_path):
    write_product(
        tmp_path / "f.fits", ONES, GAINPTC=1.4, GAINPERR=0.1, RDNPTC=7.0, RDNPERR=0.5
    )
    gain = gain_of(FrameInput("l.fit"), Correction(flat="f.fits"), tmp_path)
    assert (gain.egain, gain.rdnoise) == (1.4, 7.0)
    cards = {"EGAIN": 1.4, "EGAINERR": 0.1, "RDNOISE": 7.0, "RDNERR": 0.5}
    assert values(gain.cards()) == cards
    assert gain.doubts() == ()
    said = gain_of(
        FrameInput("l.fit", rdnoise=7.5), Correction(flat="f.fits"), tmp_path
    )
    assert said.rdnoise == 7.5
    write_product(tmp_path / "f.fits", ONES, GAINPTC=1.4)
    gain = gain_of(FrameInput("l.fit"), Correction(flat="f.fits"), tmp_path)
    assert values(gain.cards()) == {"EGAIN": 1.4}


def test_a_flat_of_another_filter_tells_the_gain_where_there_is_none_of_its_own(
    tmp_path,
):
    write_product(tmp_path / "b.fits", ONES, GAINPTC=1.4, GAINPERR=0.1)
    write_product(tmp_path / "r.fits", ONES, GAINPTC=1.5, GAINPERR=0.1)
    item = FrameInput("l.fit", gain_flat="b.fits")
    gain = gain_of(item, Correction(), tmp_path, {"b.fits"})
    assert values(gain.cards()) == {
        "EGAIN": 1.4,
        "EGAINERR": 0.1,
        "GAINFILE": "b.fits",
    }
    assert gain_of(item, Correction(), tmp_path, set()).egain is None
    assert gain_of(item, Correction(flat="r.fits"), tmp_path, {"b.fits"}).egain == 1.5


@pytest.mark.parametrize("flat", [None, "f.fits", "lost.fits"])
def test_where_nothing_tells_the_gain_is_unknown(tmp_path, flat):
    write_product(tmp_path / "f.fits", ONES)
    gain = gain_of(FrameInput("l.fit"), Correction(flat=flat), tmp_path)
    assert (gain.egain, gain.rdnoise) == (None, None)
    assert gain.cards() == []


def test_bias_or_dark_tell_the_noise_of_a_read(tmp_path):
    write_product(tmp_path / "b.fits", ONES, NOISEADU=4.0, NOISEERR=0.1)
    write_product(tmp_path / "d.fits", ONES, NOISEADU=5.0)
    write_product(tmp_path / "x.fits", ONES)
    for bias, dark, noise in (
        ("b.fits", "d.fits", (4.0, 0.1)),
        (None, "d.fits", (5.0, 0.0)),
        ("x.fits", "d.fits", (5.0, 0.0)),
        (None, None, (0.0, 0.0)),
    ):
        assert read_noise(Correction(bias, dark), tmp_path) == noise


def test_a_master_flat_says_what_its_pairs_tell(tmp_path):
    """Of 4 +- 0.1 ADU and 1.5 +- 0.03 electron/ADU come 6 +- 0.19 electron."""
    transfer = PhotonTransfer(1.5, 0.03, np.array([[200.0, 130.0], [100.0, 70.0]]))
    assert transfer_cards(None, ReadNoise(4.0)) == []
    assert transfer_table(None) == b""
    cards = values(transfer_cards(transfer, ReadNoise(4.0, 0.1)))
    assert cards.pop("RDNPERR") == pytest.approx(math.hypot(0.15, 0.12))
    assert cards == {"GAINPTC": 1.5, "GAINPERR": 0.03, "RDNPTC": 6.0}
    assert "RDNPTC" not in values(transfer_cards(transfer, ReadNoise()))
    path = tmp_path / "f.fits"
    write_image(path, ONES, [], table=transfer_table(transfer))
    with fits.open(path) as hdus:
        table = hdus["PHOTON_TRANSFER"]
        assert table.data["SIGNAL"].tolist() == [100, 200]
        assert table.data["VARIANCE"].tolist() == [70, 130]
        assert table.columns.units == ["adu", "adu2"]


@pytest.mark.parametrize(
    ("header", "error", "wrong"),
    [(1.5, 0.01, False), (1.7, 0.01, True), (1.7, 0.05, False), (1.0, 0.01, True)],
)
@pytest.mark.parametrize("given", [False, True])
def test_a_header_far_from_the_flats_is_overruled_and_an_observer_is_not(
    header, error, wrong, given
):
    """5 errors and 10 % of 1.5 are 0.15: 1.7 is away by 0.2, four errors of 0.05."""
    gain = Gain(Quantity(header, 1.5, error, given))
    used = 1.5 if wrong and not given else header
    assert gain.egain == used
    assert bool(gain.doubts()) is wrong
    for one in gain.doubts():
        assert one.code == ("gain-disagrees" if given else "gain-overruled")
        assert f"{header:.4g} electron/ADU" in str(one)
        assert f"1.5 +- {error}" in str(one)
        # The way out is the other of the two.
        assert one.way_out == f"--set '*: egain={1.5 if given else header:.4g}'"
    if wrong and not given:
        assert values(gain.cards())["EGAINHDR"] == header
    else:
        assert gain.cards() == []


def test_a_read_noise_far_from_the_measured_is_overruled():
    gain = Gain(Quantity(1.5), Quantity(15.0, 8.0, 0.1))
    assert gain.rdnoise == 8.0
    assert values(gain.cards()) == {"RDNOISE": 8.0, "RDNERR": 0.1, "RDNHDR": 15.0}
    (doubt,) = gain.doubts()
    assert doubt.code == "read-noise-overruled"
    assert doubt.way_out == "--set '*: rdnoise=15'"
