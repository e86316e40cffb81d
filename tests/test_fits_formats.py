"""What a file is, seen from its first bytes."""

import bz2
import gzip
import os
import shutil
import tempfile

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.errors import InputError
from autoreduce.fits import formats
from autoreduce.fits.formats import (
    FORMATS,
    GZIP,
    PLAIN,
    Format,
    open_unpacked,
    recognise,
)
from autoreduce.fits.header import read_headers
from autoreduce.fits.images import extension_names, open_image

PIXELS = np.arange(60, dtype=np.uint16).reshape(6, 10) * 1000


def write(path, *, packed):
    plain = path.with_name("plain")
    fits.writeto(plain, PIXELS, overwrite=True)
    raw = plain.read_bytes()
    path.write_bytes(gzip.compress(raw) if packed else raw)
    plain.unlink()
    return path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.FIT.fz"])
def test_the_name_does_not_tell_how_a_file_is_packed(tmp_path, name, packed):
    path = write(tmp_path / name, packed=packed)
    file, kind = open_unpacked(path)
    with file:
        assert file.read(9) == b"SIMPLE  ="
    assert kind is (GZIP if packed else PLAIN)
    assert read_headers(path)[0].get("NAXIS1") == 10
    with open_image(path) as image:
        np.testing.assert_array_equal(image.read(), PIXELS)
        image.release()
        np.testing.assert_array_equal(image.rows(2, 4), PIXELS[2:4])


def test_another_format_is_one_line_of_the_table(tmp_path, monkeypatch):
    def unpack(path):
        plain = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        plain.write(bz2.decompress(path.read_bytes()))
        plain.seek(0)
        return plain

    path = write(tmp_path / "a.fits", packed=False)
    path.write_bytes(bz2.compress(path.read_bytes()))
    with pytest.raises(InputError, match="bunzip2"):
        read_headers(path)
    line = Format(b"BZh", "compressed with bzip2", unpack)
    monkeypatch.setattr(formats, "FORMATS", (line, *FORMATS))
    assert read_headers(path)[0].get("NAXIS1") == 10
    with open_image(path) as image:
        np.testing.assert_array_equal(image.read(), PIXELS)


def test_keywords_in_small_letters_give_the_right_pixels(tmp_path):
    path = write(tmp_path / "a.fits", packed=False)
    raw = path.read_bytes()
    for keyword in (b"BZERO", b"BSCALE", b"BITPIX", b"NAXIS1"):
        assert keyword in raw
        raw = raw.replace(keyword, keyword.lower(), 1)
    path.write_bytes(raw)
    with open_image(path) as image:
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image.read(), PIXELS)


def test_a_slash_in_a_string_does_not_end_it(tmp_path):
    path = tmp_path / "a.fits"
    header = fits.Header({"OBJECT": "C/2023 A3", "FILTER": "R"})
    fits.writeto(path, PIXELS, header)
    with open_image(path) as image:
        assert image.get("OBJECT") == "C/2023 A3"


@pytest.mark.parametrize("value", ["'32768,0'", "'many'", "'nan'"])
def test_a_scaling_that_is_no_number_is_named(tmp_path, value):
    path = write(tmp_path / "a.fits", packed=False)
    raw = path.read_bytes()
    at = raw.index(b"BZERO")
    path.write_bytes(
        raw[:at] + f"BZERO   = {value}".ljust(80).encode() + raw[at + 80 :]
    )
    with pytest.raises(InputError, match=r"a\.fits: BZERO is .*, expected a number"):
        open_image(path)


def test_the_names_of_extensions_are_read_also_behind_pixels(tmp_path):
    hdus = fits.HDUList(
        [fits.PrimaryHDU(PIXELS), fits.ImageHDU(PIXELS, name="MASK"), fits.ImageHDU()]
    )
    hdus.writeto(tmp_path / "a.fits")
    assert extension_names(tmp_path / "a.fits") == ["", "MASK", ""]
    with (
        (tmp_path / "a.fits").open("rb") as one,
        gzip.open(tmp_path / "b", "wb") as two,
    ):
        shutil.copyfileobj(one, two)
    assert extension_names(tmp_path / "b") == ["", "MASK", ""]


@pytest.mark.parametrize("kind", [k for k in FORMATS if k.unpack is None])
def test_what_cannot_be_read_is_called_by_its_name(kind):
    with pytest.raises(InputError) as caught:
        recognise(kind.magic + b"...")
    assert str(caught.value) == kind.words


@pytest.mark.parametrize(
    ("beginning", "words"),
    [(b"", "empty file"), (bytes(80), "nothing but zero"), (b"<html>", "not FITS")],
)
def test_what_is_unknown_is_shown(beginning, words):
    with pytest.raises(InputError, match=words):
        recognise(beginning)


@pytest.mark.parametrize("has_image", [True, False])
def test_no_more_is_unpacked_than_the_headers_declare(tmp_path, has_image):
    """Unpack a file behind whose image there is no end of zeros."""
    path = tmp_path / "bomb.fits.gz"
    hdu = fits.PrimaryHDU(np.ones((30, 40), np.int16) if has_image else None)
    hdu.writeto(tmp_path / "plain.fits")
    content = (tmp_path / "plain.fits").read_bytes()
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(content)
        for _ in range(40):
            file.write(bytes(1 << 20))
    assert len(read_headers(path)) == 1
    file, _ = open_unpacked(path)
    with file:
        size = os.fstat(file.fileno()).st_size
        assert len(content) <= size <= len(content) + 16 * 2880
        assert file.read(len(content)) == content


def test_a_damaged_checksum_behind_the_last_byte_is_found(tmp_path):
    path = tmp_path / "light.fits.gz"
    fits.PrimaryHDU(np.arange(9, dtype=np.int16).reshape(3, 3)).writeto(path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # CRC-32
    path.write_bytes(content)
    with pytest.raises(InputError, match="CRC"):
        open_unpacked(path)
