"""Tables as astropy reads them."""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.errors import InputError
from autoreduce.fits.tables import read_table, table_extension
from autoreduce.fits.writer import write_image


def test_every_kind_of_column_reads_back(tmp_path):
    columns = {
        "name": ["a.fit", "b\xe9.fit", ""],
        "flux": np.array([1.5, np.nan, -2e300]),
        "x": np.array([1.25, 2.5, 3.0], np.float32),
        "n": np.array([1, -(2**40), 3]),
        "used": np.array([True, False, True]),
        "bits": np.array([1, 2, 255], np.uint8),
    }
    table = table_extension(
        "STARS", columns, units={"flux": "adu"}, comments={"x": "px"}
    )
    path = tmp_path / "a.fits"
    write_image(path, np.zeros((3, 4), np.float32), [], table=table)
    with fits.open(path, checksum=True) as hdus:
        found = hdus["STARS"]
        assert found.verify_checksum() == found.verify_datasum() == 1
        assert found.columns["flux"].unit == "adu"
        assert found.header.comments["TTYPE3"] == "px"
        assert found.data["name"].tolist() == ["a.fit", "b\\xe9.fit", ""]
        for name in ("flux", "x", "n", "bits"):
            np.testing.assert_array_equal(found.data[name], columns[name])
        assert found.data["used"].tolist() == [1, 0, 1]


def test_a_table_may_be_empty(tmp_path):
    table = table_extension(
        "INPUTS", {"file": np.array([], str), "n": np.zeros(0, int)}
    )
    write_image(tmp_path / "a.fits", np.zeros((3, 4)), [], table=table)
    with fits.open(tmp_path / "a.fits") as hdus:
        assert len(hdus["INPUTS"].data) == 0


COLUMNS = {"name": ["a.fit", "bc.fit"], "x": np.array([1.5, -2.0], np.float32)}


def write_table(path, **others):
    table = table_extension("OTHER", {"n": np.arange(3)})
    table += table_extension("STARS", {**COLUMNS, **others})
    write_image(path, np.zeros((3, 4), np.float32), [], table=table)
    return path


def test_a_table_is_read_by_its_name(tmp_path):
    path = write_table(tmp_path / "a.fits")
    table = read_table(path, "STARS")
    assert table["name"].tolist() == [b"a.fit", b"bc.fit"]
    assert table["x"].tolist() == [1.5, -2.0]
    assert table["x"].dtype == np.dtype(np.float32)
    assert read_table(path, "OTHER")["n"].tolist() == [0, 1, 2]


def test_a_table_that_is_not_there_is_named(tmp_path):
    path = write_table(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a\.fits has no table INPUTS"):
        read_table(path, "INPUTS")


def test_a_table_that_is_cut_off_is_named(tmp_path):
    path = write_table(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes()[: -2880 + 9])
    with pytest.raises(InputError, match=r"a\.fits: table STARS is truncated"):
        read_table(path, "STARS")


@pytest.mark.parametrize("form", ["PE(5)", "L"])
def test_a_column_that_is_not_plain_is_named(tmp_path, form):
    path = write_table(tmp_path / "a.fits")
    old = b"TFORM2  = 'E       '"
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, f"TFORM2  = '{form:<8}'".encode()))
    with pytest.raises(InputError, match=r"a\.fits: column 2 has the form"):
        read_table(path, "STARS")


def test_a_column_of_several_numbers_is_not_taken_for_one(tmp_path):
    columns = [fits.Column("xyz", "3E", array=np.ones((2, 3)))]
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU.from_columns(columns, name="STARS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    with pytest.raises(InputError, match="column 1 has the form '3E'"):
        read_table(path, "STARS")
