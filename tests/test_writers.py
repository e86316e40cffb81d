"""Headers as writers without a table of their own describe them, read by the general one."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoreduce.fits.header import headers_from_text
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.frame import frames_of_file

IMAGE = "SIMPLE  = T\nBITPIX  = 16\nNAXIS   = 2\nNAXIS1  = 100\nNAXIS2  = 80\n"

HEADERS = {
    "an observatory of the 1990s, exposures in ms": (
        "P50420BX.fit",
        """
EXPTIME = 90000 / exposure time in ms
UT      = '02:03:28'
DATE-OBS= '03/12/96' / days/month/year
CAMTEMP = '-48' / degrees C
OBJECT  = 'NGC 6853'
""",
        {
            "exptime": 90.0,
            "date_obs": datetime(1996, 12, 3, 2, 3, 28, tzinfo=UTC),
            "ccd_temp": -48.0,
            "object": "NGC 6853",
        },
    ),
    "a survey that marks darks by a negative exposure": (
        "k2a_00058.fits",
        "EXPTIME = -10.0\nOBJECT  = 'field 3'\nCHIPTEMP= -20.1",
        {"imagetyp": "dark", "exptime": 10.0, "ccd_temp": -20.1},
    ),
    "a video camera": (
        "000123.fits",
        "DATE-OBS= '2019-06-22T21:33:12.123'\nEXPTIME = 0.04\nGAIN    = 24.0",
        {"exptime": 0.04, "gain": 24.0},
    ),
    "a smart telescope whose gain is in dB": (
        "image_0001.fits",
        (
            "ORIGIN  = 'Unistellar'\nEXPTIME = 3.97 / [s]\nGAIN    = 25.0 / dB\n"
            "BAYERPAT= 'GRBG'\nIMAGETYP= 'science'"
        ),
        {"imagetyp": "light", "exptime": 3.97, "gain": 25.0, "bayerpat": "GRBG"},
    ),
    "a coronagraph": (
        "x.fts",
        (
            "DATATYPE= 'flat' / image type\nXPOSURE = 2.0\nCAM-BINX= 2\nCAM-BINY= 2\n"
            "CAM-TEMP= -20.0\nDATE-OBS= '2015-03-10T12:00:01.2'"
        ),
        {"imagetyp": "flat", "exptime": 2.0, "xbinning": 2, "ccd_temp": -20.0},
    ),
    "a robotic telescope that counts seconds": (
        "20130412031415-123.fits",
        (
            "CTIME   = 1365736455\nEXPOSURE= 60.0\nCCD_TEMP= -20.1\nIMAGETYP= 'object'\n"
            "BINNING = '2x2'\nGAIN    = 1.6"
        ),
        {
            "imagetyp": "light",
            "exptime": 60.0,
            "date_obs": datetime(2013, 4, 12, 3, 14, 15, tzinfo=UTC),
            "egain": 1.6,
            "ybinning": 2,
        },
    ),
    "a program for daylight cameras": (
        "DARK_Tv60s_800iso_+10c_20150101-20h00m00s123ms.fit",
        (
            "INSTRUME= 'Canon EOS 60D'\nEXPTIME = 60\nISOSPEED= 800\nCCD-TEMP= 10\n"
            "DATE-OBS= '2015:01:01 19:00:00'"
        ),
        {
            "imagetyp": "dark",
            "gain": 800.0,
            "date_obs": datetime(2015, 1, 1, 19, tzinfo=UTC),
        },
    ),
    "a driver that knows FRAME only": (
        "img_01.fits",
        (
            "FRAME   = 'Flat'\nEXPTIME = '1/4'\nDATE-OBS= '2018-10-02T11:08:35.241'\n"
            "FILTER  = 'Luminance'"
        ),
        {"imagetyp": "flat", "exptime": 0.25, "filter": "Luminance"},
    ),
    "a spectrograph used as a camera, seconds of the day": (
        "ah123.fits",
        (
            "DATE-OBS= '2005-01-21'\nTM_START= 73021 / Secs\nEXPTIME = 60.0\n"
            "GRATING = 'NO_GRATING'\nSLIT    = 'NO_MASK'\nIMAGETYP= 'object'"
        ),
        {
            "imagetyp": "light",
            "date_obs": datetime(2005, 1, 21, 20, 17, 1, tzinfo=UTC),
            "disperser": None,
            "slit": None,
        },
    ),
    "a date with slashes and a start beside it, kelvin": (
        "s123456.fts",
        (
            "DATE-OBS= '2010/01/11'\nSTART   = '20:31:22'\nEXPTIME = 120.0\n"
            "IMAGETYP= 'obj'\nFILTERS = 'V'\nDETTEMP = 143.2\nBINNING = '2x2'"
        ),
        {
            "imagetyp": "light",
            "filter": "V",
            "date_obs": datetime(2010, 1, 11, 20, 31, 22, tzinfo=UTC),
            "ccd_temp": pytest.approx(-129.95),
            "xbinning": 2,
        },
    ),
    "a camera of two gains, electrons per ADU in GAIN": (
        "M31_Light_L_0001.fits",
        (
            "SWCREATE= 'SIPS 3.20'\nEXPTIME = 60.0\nIMAGETYP= 'Light'\nGAIN    = 0.82\n"
            "READMODE= '16-bit HDR'\nDATE-OBS= 'Mon Jan  1 22:00:00 2024'"
        ),
        {
            "imagetyp": "light",
            "egain": 0.82,
            "gain": None,
            "readoutm": "16-bit HDR",
            "date_obs": datetime(2024, 1, 1, 22, tzinfo=UTC),
        },
    ),
    "hours, minutes and seconds of exposure": (
        "a.fits",
        "EXPTIME = '00:05:00'\nIMAGETYP= 'LIGHT'\nCCD-TEMP= 999",
        {"imagetyp": "light", "exptime": 300.0, "ccd_temp": None},
    ),
}


@pytest.mark.parametrize("writer", HEADERS)
def test_facts_of_writers_without_a_table(writer):
    file, cards, expected = HEADERS[writer]
    headers = headers_from_text(f"{IMAGE}{cards.strip()}\nEND")
    (frame,) = frames_of_file(file, Path(file), headers, load_dialects())
    found = {fact: frame.value(fact) for fact in expected}
    assert found == expected
    assert frame.why_not is None
