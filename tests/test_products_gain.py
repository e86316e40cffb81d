"""Gain and read noise: the header's word first, then that of flats and bias frames."""

import numpy as np
import pytest
from small_products import write_product

from autoreduce.calibration.bands import Correction
from autoreduce.pixels.phototransfer import PhotonTransfer
from autoreduce.planning.plan import FrameInput
from autoreduce.products.gain import Gain, gain_of, read_noise_adu, transfer_cards

ONES = np.ones((2, 2))


def values(cards):
    return {card.keyword: card.value for card in cards}


def test_a_header_is_believed_before_the_flats(tmp_path):
    write_product(tmp_path / "f.fits", ONES, GAINPTC=1.4, RDNPTC=7.0)
    item = FrameInput("l.fit", egain=1.5, rdnoise=8.0)
    gain = gain_of(item, Correction(flat="f.fits"), tmp_path)
    assert gain == Gain(1.5, 8.0, flats=1.4)
    assert gain.cards() == []


def test_flats_tell_what_a_header_leaves_open(tmp_path):
    write_product(tmp_path / "f.fits", ONES, GAINPTC=1.4, GAINPERR=0.1, RDNPTC=7.0)
    gain = gain_of(FrameInput("l.fit"), Correction(flat="f.fits"), tmp_path)
    assert gain == Gain(1.4, 7.0, measured=True, flats=1.4, error=0.1)
    assert values(gain.cards()) == {"EGAIN": 1.4, "EGAINERR": 0.1, "RDNOISE": 7.0}
    assert gain.doubts() == ()
    said = gain_of(
        FrameInput("l.fit", rdnoise=9.0), Correction(flat="f.fits"), tmp_path
    )
    assert said.rdnoise == 9.0
    write_product(tmp_path / "f.fits", ONES, GAINPTC=1.4)
    gain = gain_of(FrameInput("l.fit"), Correction(flat="f.fits"), tmp_path)
    assert values(gain.cards()) == {"EGAIN": 1.4}


@pytest.mark.parametrize("flat", [None, "f.fits", "lost.fits"])
def test_where_nothing_tells_the_gain_is_unknown(tmp_path, flat):
    write_product(tmp_path / "f.fits", ONES)
    assert gain_of(FrameInput("l.fit"), Correction(flat=flat), tmp_path) == Gain()


def test_bias_or_dark_tell_the_noise_of_a_read(tmp_path):
    write_product(tmp_path / "b.fits", ONES, NOISEADU=4.0)
    write_product(tmp_path / "d.fits", ONES, NOISEADU=5.0)
    write_product(tmp_path / "x.fits", ONES)
    for bias, dark, noise in (
        ("b.fits", "d.fits", 4.0),
        (None, "d.fits", 5.0),
        ("x.fits", "d.fits", 5.0),
        (None, None, 0.0),
    ):
        assert read_noise_adu(Correction(bias, dark), tmp_path) == noise


def test_a_master_flat_says_what_its_pairs_tell():
    transfer = PhotonTransfer(1.5, 0.01, np.empty((0, 2)))
    assert transfer_cards(None, 4.0) == []
    cards = values(transfer_cards(transfer, 4.0))
    assert cards == {"GAINPTC": 1.5, "GAINPERR": 0.01, "RDNPTC": 6.0}
    assert "RDNPTC" not in values(transfer_cards(transfer, 0.0))


@pytest.mark.parametrize(
    ("header", "error", "told"),
    [(1.5, 0.01, False), (1.7, 0.01, True), (1.7, 0.05, False), (1.0, 0.01, True)],
)
def test_a_header_far_from_the_flats_is_told_with_both_values(header, error, told):
    """5 errors and 10 % of 1.5 are 0.15: 1.7 is away by 0.2, four errors of 0.05."""
    gain = Gain(header, 8.0, flats=1.5, error=error)
    assert bool(gain.doubts()) is told
    for one in gain.doubts():
        assert f"{header:.4g} electron/ADU" in str(one)
        assert "1.5 +- 0.01" in str(one)
        assert one.way_out == "--set '*: egain=1.5'"
