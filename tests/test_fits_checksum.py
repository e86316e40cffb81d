"""Checksums of our own products: every byte of them counts."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.errors import InputError
from autoreduce.fits.cards import BLOCK
from autoreduce.fits.checksum import check_hdus, check_sums


@pytest.fixture(scope="module")
def summed(tmp_path_factory):
    """Write a product of two images by astropy, with checksums."""
    path = tmp_path_factory.mktemp("sums") / "product.fits"
    pixels = np.arange(77, dtype=np.float32).reshape(7, 11)
    hdus = [fits.PrimaryHDU(pixels), fits.ImageHDU(pixels.astype(np.uint8))]
    fits.HDUList(hdus).writeto(path, checksum=True)
    return path


def test_what_astropy_sums_holds(summed):
    check_sums(summed)


@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path_factory, summed, data):
    content = bytearray(summed.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    flipped = tmp_path_factory.getbasetemp() / "flipped.fits"
    flipped.write_bytes(content)
    with pytest.raises(InputError):
        check_sums(flipped)


@pytest.mark.parametrize("cut", [1, 2, BLOCK])
def test_a_cut_file_is_found(tmp_path, summed, cut):
    short = tmp_path / "short.fits"
    short.write_bytes(summed.read_bytes()[:-cut])
    if cut < BLOCK:  # the end of the last block is zeros
        check_sums(short)
    else:
        with pytest.raises(InputError, match="truncated"):
            check_sums(short)


def test_a_file_without_sums_is_told_from_a_damaged_one(tmp_path):
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones((2, 3))).writeto(plain)
    with pytest.raises(InputError, match="has no CHECKSUM"):
        check_sums(plain)


def test_each_hdu_with_sums_is_held_to_them(tmp_path, summed):
    bare = fits.ImageHDU(np.ones((3, 3)))
    path = tmp_path / "raw.fits"
    with fits.open(summed) as hdus:
        fits.HDUList([hdus[0], bare, hdus[1]]).writeto(path)
    check_hdus(path)
    content = bytearray(path.read_bytes())
    (bare_at, last_at) = (
        content.rindex(b"XTENSION", 0, at) for at in (9000, len(content))
    )
    content[bare_at + BLOCK + 5] ^= 1
    path.write_bytes(content)
    check_hdus(path)
    content[last_at + BLOCK + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="HDU 2 does not hold"):
        check_hdus(path)


@pytest.mark.parametrize("cut", [False, True])
def test_a_gzip_file_damaged_behind_its_header_is_told_by_name(tmp_path, cut):
    path = tmp_path / "o.fits.gz"
    fits.PrimaryHDU(np.arange(9000)).writeto(path, checksum=True)
    content = bytearray(path.read_bytes())
    if cut:
        del content[-2000:-4]
    else:
        content[-8] ^= 1
        content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"o\.fits\.gz: damaged gzip file"):
        check_sums(path)
    with pytest.raises(InputError, match="damaged gzip file"):
        check_hdus(path)
