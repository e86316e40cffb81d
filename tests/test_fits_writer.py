"""Images of every type and with every header, as astropy reads them."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.cards import (
    encode_checksum,
    format_card,
    header_block,
    ones_complement_sum,
    without,
)
from autoreduce.fits.checksum import check_hdus, check_sums
from autoreduce.fits.header import read_headers
from autoreduce.fits.images import open_image
from autoreduce.fits.writer import ImageWriter, put_cards, write_image
from autoreduce.pixels.flags import MEANINGS, Flag, no_value
from autoreduce.products.provenance import PLANE_CARDS

TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@pytest.mark.parametrize("shape", [(7, 11), (3, 5, 4)])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_reads_back(tmp_path, dtype, shape):
    info = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    data = np.linspace(0, 1, int(np.prod(shape))).reshape(shape) * 100
    data = data.astype(dtype)
    data.flat[:2] = info.min, info.max
    path = tmp_path / "a.fits"
    write_image(path, data, [])
    np.testing.assert_array_equal(fits.getdata(path), data)
    with open_image(path) as image:
        assert image.dtype == data.dtype
        np.testing.assert_array_equal(image.read(), data)
    check_sums(path)


@pytest.mark.parametrize("planned", [0, 33, 40, 200, 700])
@pytest.mark.parametrize("n_cards", [1, 20, 34, 60, 400])
def test_a_header_is_as_long_as_it_needs_whatever_was_planned(
    tmp_path, planned, n_cards
):
    rng = np.random.default_rng(planned + n_cards)
    data = rng.normal(0, 1, (50, 31)).astype(np.float32)
    data[3, 4] = np.nan
    cards = [card for n in range(n_cards) for card in format_card(f"KEY{n}", n)]
    path = tmp_path / "p.fits"
    with ImageWriter(path, data.shape, header_cards=planned, planes=["MASK"]) as writer:
        writer.write_rows(0, data[:20])
        writer.write_rows(20, data[20:])
        writer.write_rows(0, no_value(data), plane="MASK")
        writer.finish(cards, plane_cards=PLANE_CARDS)
    check_sums(path)
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header[f"KEY{n_cards - 1}"] == n_cards - 1
        np.testing.assert_array_equal(hdus[0].data, data)
        np.testing.assert_array_equal(hdus["MASK"].data, np.isnan(data))
    raw = path.read_bytes()
    header = raw[: raw.index(b"END" + b" " * 77)]
    assert (
        sum(not header[at : at + 80].strip() for at in range(0, len(header), 80)) < 36
    )


def test_the_meaning_of_each_bit_stands_beside_the_mask():
    told = fits.Header.fromstring(b"".join(PLANE_CARDS["MASK"]))
    assert "BUNIT" not in told
    for bit, flag in enumerate(Flag):
        assert told[f"MASKBIT{bit}"] == flag == 1 << bit
        assert told.comments[f"MASKBIT{bit}"] == MEANINGS[flag]


def test_a_number_stands_for_no_value_and_reads_back_as_none(tmp_path):
    data = np.array([[1, np.nan, 0], [5, 6, np.nan]], np.float32)
    path = tmp_path / "a.fits"
    with ImageWriter(path, data.shape, header_cards=1, planes=("MASK",), fill=0) as out:
        out.write_rows(0, data)
        out.write_rows(0, np.isnan(data), plane="MASK")
        out.finish(format_card("OBJECT", "M13"))
    written, header = fits.getdata(path, header=True)
    assert header["NANFILL"] == 0
    # A pixel that has the number itself is moved by the least that there is.
    moved = np.nextafter(np.float32(0), np.float32(1))
    assert written.tolist() == [[1, 0, moved], [5, 6, 0]]
    with open_image(path) as image:
        expected = np.where(data == 0, moved, data)
        np.testing.assert_array_equal(image.read(), expected)
        # What is made of it holds NaN again, unless that is asked for.
        write_image(tmp_path / "b.fits", image.read(), image.cards)
    assert "NANFILL" not in fits.getheader(tmp_path / "b.fits")
    assert np.isnan(fits.getdata(tmp_path / "b.fits")).sum() == 2
    check_sums(path)


def test_the_mask_comes_before_errors_of_the_type_of_the_image(tmp_path):
    data = np.ones((4, 5), np.float32)
    planes = {"UNCERT": data, "MASK": np.zeros((4, 5), np.uint8)}
    write_image(tmp_path / "a.fits", data, [], planes=planes)
    with fits.open(tmp_path / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "UNCERT"]
    with open_image(tmp_path / "a.fits", "UNCERT") as image:
        assert image.dtype == np.float32


def odd_file(path, *, checksum, pack):
    """Write a file of two HDUs with an odd card and bytes behind its end; its parts."""
    image = fits.ImageHDU(np.arange(6, dtype=np.int16).reshape(2, 3), name="SCI")
    image.header["OBSERVER"] = "Andr_"
    image.header["STMEAN"] = (7.0, "old")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=checksum)
    with fits.open(path) as hdus:
        begin, data_at = (hdus[1].fileinfo()[key] for key in ("hdrLoc", "datLoc"))
    content = path.read_bytes().replace(b"Andr_", b"Andr\xe9") + b"garbage"
    path.write_bytes(gzip.compress(content) if pack else content)
    return content[:begin], content[data_at:]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("checksum", [False, True])
def test_cards_are_put_into_any_header_and_every_other_byte_stays(
    tmp_path, checksum, pack
):
    path = tmp_path / "a.fits"
    before, behind = odd_file(path, checksum=checksum, pack=pack)
    put_cards(path, 1, format_card("STMEAN", 2.5, "mean"))
    content = path.read_bytes()
    content = gzip.decompress(content) if pack else content
    assert content.startswith(before)
    assert content.endswith(behind)
    header = content[len(before) : -len(behind)]
    assert len(header) % 2880 == 0
    assert header.count(b"STMEAN") == 1
    assert b"STMEAN  =                  2.5 / mean" in header
    assert b"OBSERVER= 'Andr\xe9   '" in header
    assert (b"CHECKSUM" in header) is checksum


@pytest.mark.parametrize("alone", [False, True])
def test_a_checksum_that_is_made_anew_holds_for_sound_data_only(tmp_path, alone):
    path = tmp_path / "a.fits"
    write_image(path, np.arange(6, dtype=np.int16).reshape(2, 3), [])
    if alone:
        data = path.read_bytes()[-2880:]
        cards = without(read_headers(path)[0].records, ("CHECKSUM", "DATASUM"))
        zeroed = header_block([*cards, *format_card("CHECKSUM", "0" * 16)])
        total = ones_complement_sum(zeroed, ones_complement_sum(data))
        held = format_card("CHECKSUM", encode_checksum(total))
        path.write_bytes(header_block([*cards, *held]) + data)
    put_cards(path, 0, format_card("STMEAN", 2.5))
    check_hdus(path)
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    put_cards(path, 0, format_card("STMEAN", 3.5))
    with pytest.raises(InputError, match="does not hold"):
        check_hdus(path)


@pytest.mark.parametrize("pack", [False, True])
def test_cards_for_an_hdu_that_is_not_there_are_refused(tmp_path, pack):
    path = tmp_path / "a.fits"
    odd_file(path, checksum=False, pack=pack)
    content = path.read_bytes()
    with pytest.raises(InputError, match=r"a\.fits: there is no HDU 3"):
        put_cards(path, 3, format_card("STMEAN", 2.5))
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["cut early", "cut late", "sum"])
def test_cards_are_not_put_into_a_damaged_gzip_file(tmp_path, damage):
    path = tmp_path / "a.fits"
    odd_file(path, checksum=False, pack=True)
    content = path.read_bytes()
    if damage == "sum":
        content = content[:-8] + bytes(4) + content[-4:]
    else:
        content = content[: 40 if damage == "cut early" else -9]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.fits: damaged gzip file"):
        put_cards(path, 0, format_card("STMEAN", 2.5))
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_no_plain_file_gets_the_name_of_a_packed_one(tmp_path):
    for name in ("a.fit.gz", "A.FITS.FZ"):
        with pytest.raises(ProductError, match="images are written as plain FITS"):
            write_image(tmp_path / name, np.zeros((2, 3)), [])
    assert not list(tmp_path.iterdir())
