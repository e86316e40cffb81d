"""Tables as astropy reads them."""

import numpy as np
from astropy.io import fits

from autoreduce.fits.tables import table_extension
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
