"""How FITS files are named, and the HDU behind a name."""

import pytest

from autoreduce.fits.names import is_fits_name, parse_name, split_hdu, stem


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/m13.fits", ("a/m13", ".fits", "", "")),
        ("M13.0041.FIT.gz", ("M13.0041", ".FIT", ".gz", "")),
        ("x.fts[3]", ("x", ".fts", "", "3")),
        ("x.fits.Z", ("x", ".fits", ".Z", "")),
        ("x.fitsy", None),
        ("fits", None),
    ],
)
def test_a_name_is_taken_apart(name, parts):
    assert parse_name(name) == parts
    assert stem(name) == (name if parts is None else parts[0])
    assert is_fits_name(name) == (parts is not None and not parts[3])


def test_a_file_whose_name_ends_in_brackets_is_taken_by_its_name(tmp_path):
    path = tmp_path / "a.fits[1]"
    path.touch()
    assert split_hdu(path) == (path, None)
    path.unlink()
    assert split_hdu(path) == (tmp_path / "a.fits", 1)


def test_a_name_without_brackets_asks_for_no_hdu(tmp_path):
    assert split_hdu(tmp_path / "a.fits") == (tmp_path / "a.fits", None)
