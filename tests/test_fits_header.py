"""Header blocks, held against astropy and against what goes wrong in files."""

import gzip
import pickle
import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from autoreduce.errors import InputError
from autoreduce.fits.header import (
    BLOCK,
    RawHeader,
    headers_from_text,
    headers_of,
    image_shape,
    read_headers,
)
from autoreduce.fits.images import extension_names, open_image


def raw_header(*cards):
    return RawHeader(0, b"".join(card.encode("latin-1").ljust(80) for card in cards))


def write_block(path, *cards, data=b""):
    block = b"".join(card.encode("latin-1").ljust(80) for card in (*cards, "END"))
    block = block.ljust(-(-len(block) // BLOCK) * BLOCK)
    path.write_bytes(block + data)
    return path


def plain_cards(nx=4, ny=3, bits=16):
    return (
        "SIMPLE  =                    T",
        f"BITPIX  =                   {bits}",
        "NAXIS   =                    2",
        f"NAXIS1  =                    {nx}",
        f"NAXIS2  =                    {ny}",
    )


def write_image(path, **cards):
    hdu = fits.PrimaryHDU(np.arange(12, dtype=np.int16).reshape(3, 4))
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("EXPTIME = '40      '           / s", "40"),
        ("EXPTIME =               060.00 / s", 60.0),
        ("EXPTIME =              3.0D+02", 300.0),
        ("EXPTIME = +1.200000000000E+003", 1200.0),
        ("EXPTIME =                   12", 12),
        ("EXPTIME =                    T", True),
        ("EXPTIME =                      / nothing", None),
        ("EXPTIME = 'O''Hara  '           / quotes", "O'Hara"),
        ("EXPTIME = 'never closed / s", "never closed / s"),
        ("EXPTIME = 2020-01-21T20:29:08.357 / no quotes", "2020-01-21T20:29:08.357"),
        ("EXPTIME =-5", -5),
        ("exptime = 7", 7),
    ],
)
def test_card_has_the_value_that_a_person_reads(card, value):
    found = raw_header(card).get("EXPTIME")
    assert found == value
    assert type(found) is type(value)


def test_comment_of_a_card_is_what_stands_behind_the_slash():
    card = raw_header("GAIN    = '1/2     '           / [e-/ADU] gain").find("GAIN")[0]
    assert (card.value, card.comment) == ("1/2", "[e-/ADU] gain")


def test_first_of_duplicate_cards_with_a_value_wins():
    header = raw_header("GAIN    =", "GAIN    = 2.0", "GAIN    = 3.0")
    assert header.get("GAIN") == 2.0
    assert [card.value for card in header.find("GAIN")] == [None, 2.0, 3.0]


def test_hierarch_keyword_is_found_by_its_words():
    header = raw_header(
        "HIERARCH ESO DPR TYPE    = 'FLAT,LAMP' / type", "HIERARCH lower Case = 3"
    )
    assert header.get("ESO DPR TYPE") == "FLAT,LAMP"
    assert header.get("LOWER CASE") == 3


def test_hierarch_keywords_change_from_header_to_header():
    for one, other in (("A B", "C"), ("A", "B"), ("A B", "C"), ("A B", "C D")):
        header = raw_header(f"HIERARCH {one} = 1", f"HIERARCH {other} = 2")
        assert (header.get(one), header.get(other)) == (1, 2)
        assert header.keywords == {"HIERARCH", one, other}
        silent = raw_header(f"HIERARCH {one}   1", f"HIERARCH {other} = 2")
        assert silent.keywords == {"HIERARCH", other}


def test_continued_text_is_joined():
    header = raw_header(
        "NOTE    = 'one &'",
        "CONTINUE  'two &'",
        "CONTINUE  'three' / end",
        "A       = 1",
    )
    assert header.get("NOTE") == "one two three"
    assert [card.keyword for card in header.cards] == ["NOTE", "A"]


def test_history_holds_its_text():
    header = raw_header("HISTORY Auto-Dark Subtraction", "HISTORY =  odd")
    texts = [card.value for card in header.find("HISTORY")]
    assert texts == ["Auto-Dark Subtraction", "=  odd"]


def test_letters_that_are_not_ascii_survive():
    latin = RawHeader(0, "OBJECT  = 'Caf\xe9'".encode("latin-1").ljust(80))
    utf8 = RawHeader(0, "OBJECT  = 'Café'".encode().ljust(80))
    assert latin.get("OBJECT") == utf8.get("OBJECT") == "Café"


def test_all_cards_are_those_that_astropy_reads(tmp_path):
    path = write_image(
        tmp_path / "a.fits", OBJECT="M 13", EXPTIME=12.5, XBINNING=2, OK=True
    )
    ours = {card.keyword: card.value for card in read_headers(path)[0].cards}
    theirs = {k: v for k, v in fits.getheader(path).items() if k}
    assert ours == theirs


@given(
    # astropy itself misreads a string in which a quote is followed by a slash.
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).filter(
        lambda text: "'/" not in text
    ),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.integers(-(2**31), 2**31),
)
def test_values_written_by_astropy_come_back(text, number, whole):
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header["TEXT"], header["NUMBER"], header["WHOLE"] = text, number, whole
        block = header.tostring(endcard=False, padding=False).encode("ascii")
        theirs = dict(fits.Header.fromstring(block.decode()))
    ours = {card.keyword: card.value for card in RawHeader(0, block).cards}
    assert ours == theirs


@given(st.binary(max_size=400))
def test_no_bytes_make_a_header_fail(noise):
    header = RawHeader(0, noise[: len(noise) // 80 * 80])
    for card in header.cards:
        header.find(card.keyword)


@given(st.binary(max_size=4 * BLOCK))
def test_any_bytes_are_read_or_refused(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "noise.fits"
    path.write_bytes(b"SIMPLE  =                    T".ljust(80) + noise)
    try:
        headers = read_headers(path)
    except InputError:
        return
    assert headers[0].get("SIMPLE") is True


def test_extensions_are_read_in_their_order(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 3))), fits.ImageHDU()]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    headers = read_headers(tmp_path / "a.fits")
    assert [header.hdu for header in headers] == [0, 1, 2]
    assert [image_shape(header) for header in headers] == [(), (3, 2), ()]


def test_gzipped_file_is_known_by_its_content(tmp_path):
    path = write_image(tmp_path / "a.fits", OBJECT="M 13")
    packed = tmp_path / "b.fits"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_headers(packed)[0].get("OBJECT") == "M 13"


def test_gzipped_extension_is_found(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 3)))]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits.gz")
    headers = read_headers(tmp_path / "a.fits.gz")
    assert [image_shape(header) for header in headers] == [(), (3, 2)]


def test_tile_compressed_image_has_its_own_shape(tmp_path):
    data = np.arange(48, dtype=np.int16).reshape(6, 8)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(
        tmp_path / "a.fits.fz"
    )
    assert image_shape(read_headers(tmp_path / "a.fits.fz")[1]) == (8, 6)


def test_table_is_no_image(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1, 2])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    assert [image_shape(header) for header in read_headers(tmp_path / "a.fits")] == [
        (),
        (),
    ]


def test_truncated_file_says_how_much_is_there(tmp_path):
    path = write_block(tmp_path / "a.fits", *plain_cards(), data=b"\0" * 10)
    with pytest.raises(InputError, match="truncated: 10 bytes of pixels, 24 expected"):
        read_headers(path)


def test_missing_padding_is_no_truncation(tmp_path):
    path = write_block(tmp_path / "a.fits", *plain_cards(), data=b"\0" * 24)
    assert len(read_headers(path)) == 1


def test_garbage_behind_the_pixels_is_passed_over(tmp_path):
    path = write_image(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes() + b"rubbish" * 500)
    assert len(read_headers(path)) == 1


def test_truncated_gzip_file_is_refused(tmp_path):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 1000, (200, 200)).astype(np.int16)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "a.fits.gz")
    whole = (tmp_path / "a.fits.gz").read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged gzip file"):
        read_headers(tmp_path / "a.fits.gz")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\0" * 5760, "nothing but zero bytes"),
        (b"<!DOCTYPE html><html>", "not FITS: begins with '<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "AppleDouble"),
        (b"BZh91AY&SY", "compressed with bzip2"),
        (b"\x1f\x8b\x08\0garbage", "damaged gzip file|cannot be read"),
        (b"\x1f\x8b", "damaged gzip file|cannot be read"),
        (b"SIMPLE  =                    T" + b" " * 5730, "no END card"),
    ],
)
def test_what_is_not_fits_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_headers(path)


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        (("SIMPLE  = T", "BITPIX  = 12", "NAXIS   = 0"), "BITPIX is 12"),
        (("SIMPLE  = T", "BITPIX  = 16"), "NAXIS is None"),
        (
            ("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 1", "NAXIS1  = -3"),
            "NAXIS1 is -3",
        ),
    ],
)
def test_header_that_contradicts_itself_is_refused(tmp_path, cards, reason):
    with pytest.raises(InputError, match=reason):
        read_headers(write_block(tmp_path / "a.fits", *cards))


def test_header_without_end_is_not_read_for_ever(tmp_path):
    path = tmp_path / "a.fits"
    with path.open("wb") as file:
        file.write(b"SIMPLE  =                    T".ljust(80))
        file.truncate(100_000_000)
    with pytest.raises(InputError, match="no END card"):
        read_headers(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_headers(tmp_path / "a.fits")


def test_text_becomes_headers():
    text = "# from a forum\n\nSIMPLE  = T\nA       = 1\nEND\nXTENSION= 'IMAGE'\nA = 2\n"
    headers = headers_from_text(text)
    assert [header.get("A") for header in headers] == [1, 2]
    assert [header.hdu for header in headers] == [0, 1]


@pytest.mark.parametrize(
    "rest", [b"\0" * 2880, b"garbage " * 400, b"XTENSION= nothing"]
)
def test_what_follows_a_sound_image_does_not_matter_to_headers_and_pixels(
    tmp_path, rest
):
    path = write_image(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes() + rest)
    assert len(read_headers(path)) == 1
    with path.open("rb", buffering=0) as file:
        ((header, start, n_bytes),) = headers_of(file)
    assert (header.get("NAXIS1"), start, n_bytes) == (4, 2880, 24)
    assert extension_names(path) == [""]
    with pytest.raises(InputError, match="there is no HDU 1"):
        open_image(path, 1)


@pytest.mark.parametrize(
    ("cards", "number"),
    [
        (("A = 1.5",), 1.5),
        (("A = '1.5'",), 1.5),
        (("A = 1.5D3",), 1500.0),
        (("A = T", "B = 2"), 2.0),
        (("A = 'fast'", "B = 2"), 2.0),
        (("A = 'nan'", "B = 2"), 2.0),
        (("A = 'inf'",), None),
        (("A =", "B = 2"), 2.0),
        ((), None),
    ],
)
def test_the_first_finite_number_counts(cards, number):
    text = "\n".join(("SIMPLE  = T", *cards, "END"))
    assert headers_from_text(text)[0].number("A", "B") == number


def test_a_hierarch_card_without_a_value_keeps_its_words():
    (header,) = headers_from_text("SIMPLE  = T\nHIERARCH just some words\nEND\n")
    assert [card.value for card in header.find("HIERARCH")] == ["JUST SOME WORDS"]


def test_a_gzipped_file_that_lacks_pixels_says_how_many(tmp_path):
    """Packed as a whole, but from a file that was cut off."""
    path = write_block(tmp_path / "a.fits", *plain_cards(), data=b"\0" * 10)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="truncated: 10 bytes of pixels, 24 expected"):
        read_headers(path)


def test_an_end_that_stands_inside_a_card_ends_no_header(tmp_path):
    fake = "COMMENT " + " " * 10 + "END" + " " * 59
    path = write_block(
        tmp_path / "a.fits",
        *plain_cards(),
        fake,
        " " * 80,
        "A       = 1",
        data=bytes(24),
    )
    (header,) = read_headers(path)
    assert header.get("A") == 1


def test_cards_are_cut_out_as_they_stand_each_once():
    cards = ["B       = 2", "A       = 'x&'", "CONTINUE  'y'", "C       = 3"]
    header = raw_header(*cards)
    whole = [card.ljust(80).encode() for card in cards]
    assert header.raw(("A", "CONTINUE", "B", "A", "NONE")) == b"".join(whole[:3])
    assert header.raw(("C",)) == whole[3]
    assert header.raw(()) == header.raw(("NONE",)) == b""


def test_a_header_travels_as_it_stands_in_its_file():
    header = raw_header("A       = 1")
    assert header.get("A") == 1
    copy = pickle.loads(pickle.dumps(header))
    assert copy == header
    assert copy.get("A") == 1
