"""How files of observatories are taken apart, by headers as their cameras write them.

Sizes are a fiftieth of the true ones; keywords and their order of trust are not.
"""

import numpy as np
import pytest
from astropy.io import fits

from autoreduce.calibration.joined import JoinedImage
from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.frames.scan import scan

USUAL = {"DATE-OBS": "2015-01-01T03:00:00", "OBJECT": "M 42", "EXPTIME": 60.0}


def section(x0, x1, y0=1, y1=40):
    return f"[{x0}:{x1},{y0}:{y1}]"


def amplifier(place, nx=50, ny=40, **cards):
    """Give an extension of one amplifier: its pixels, and ten columns of overscan."""
    told = {
        "DATASEC": section(1, nx, 1, ny),
        "BIASSEC": section(nx + 1, nx + 10, 1, ny),
    }
    return (nx + 10, ny), {
        **told,
        "DETSEC": place,
        "GAIN": 1.5,
        "RDNOISE": 4.0,
        **cards,
    }


def port(name, x, y, pixels, prescan, postscan, *, conad=1.5):
    """Give the cards of a port of an ESO camera, columns before rows."""
    counts = dict(zip(("NX", "NY"), pixels, strict=True))
    counts |= dict(zip(("PRSCX", "PRSCY"), prescan, strict=True))
    counts |= dict(zip(("OVSCX", "OVSCY"), postscan, strict=True))
    told = {"X": x, "Y": y, **counts, "CONAD": conad, "RON": 4.0}
    return {f"HIERARCH ESO DET OUT{name} {key}": value for key, value in told.items()}


def eso(instrument, nx=0, ny=0, chip="", **cards):
    told = {"ORIGIN": "ESO", "HIERARCH ESO DPR TYPE": "OBJECT", "INSTRUME": instrument}
    return {**USUAL, **told, **(chip_cards(nx, ny, chip) if nx else {}), **cards}


def chip_cards(nx, ny, name):
    told = {"NX": nx, "NY": ny, "ID": name}
    return {f"HIERARCH ESO DET CHIP1 {key}": value for key, value in told.items()}


def fors2(n, y, prescan, postscan):
    cards = chip_cards(408, 206, f"CCID20-14-5-{n}")
    own = port(1, 1, y, (204, 103), (0, prescan), (0, postscan))
    return (204, 103), {"EXTNAME": f"CHIP{n}", **cards, **own}


def keck(instrument, **cards):
    return {**USUAL, "TELESCOP": "Keck I", "INSTRUME": instrument, **cards}


def subaru():
    told = {"TELESCOP": "Subaru", "INSTRUME": "SuprimeCam", "DATA-TYP": "OBJECT"}
    told |= {"DET-ID": 6, "DETECTOR": "chihiro"}
    for n, lit, strip in ((1, 9, 41), (2, 57, 49), (3, 105, 137), (4, 153, 145)):
        rows = {f"S_EFMN{n}2": 5, f"S_EFMX{n}2": 40, f"S_OSMN{n}2": 1, f"S_OSMX{n}2": 4}
        told |= {f"S_EFMN{n}1": lit, f"S_EFMX{n}1": lit + 31, **rows}
        told |= {
            f"S_OSMN{n}1": strip,
            f"S_OSMX{n}1": strip + 7,
            f"S_GAIN{n}": 3 + n / 10,
        }
    return {**USUAL, **told}


def megacam(n):
    places = {"CCDNAME": f"83417{n}", "DETSEC": section(n * 60 + 60, n * 60 + 1, 40, 1)}
    told = {"DSECA": section(7, 36), "DSECB": section(37, 66), "CSECA": section(1, 30)}
    told |= {"CSECB": section(31, 60), "BSECA": section(1, 6), "BSECB": section(67, 72)}
    return (72, 46), {**places, **told, "GAINA": 1.6, "GAINB": 1.5}


CORNERS = (
    section(1, 50),
    section(100, 51),
    section(1, 50, 80, 41),
    section(100, 51, 80, 41),
)
SIDE_BY_SIDE = [section(x + 1, x + 50) for x in range(0, 400, 50)]
MAGELLAN = {
    "TELESCOP": "Baade",
    "EXPTYPE": "Object",
    "EGAIN": 1.5,
    "ENOISE": 4.0,
    "DATASEC": section(1, 50),
    "TRIMSEC": section(1, 50),
    "BIASSEC": "[51:60,41:46]",
}
FORS1 = eso("FORS1", 204, 205, "TK2048")
for number, (x, y) in enumerate([(1, 1), (204, 1), (204, 204), (1, 204)], start=1):
    FORS1 |= port(number, x, y, (102, 102), (16, 0), (0, 0), conad=1 + number / 10)

FILES = {
    "efosc": (
        eso("EFOSC", 2048, 2048, "ccd40"),
        [((515, 515), port(1, 2048, 1, (512, 512), (3, 0), (0, 3)))],
        ["ccd40: [1:512,1:512] -"],
    ),
    "fors1, four ports": (
        FORS1,
        (236, 204),
        ["TK2048: 204x204 of 4 amplifiers, [1:16,1:102]"],
    ),
    "fors2": (
        eso("FORS2"),
        [fors2(1, 1, 5, 0), fors2(2, 206, 0, 5)],
        ["CCID20-14-5-1: [1:204,6:103] -", "CCID20-14-5-2: [1:204,6:103] -"],
    ),
    "wfi": (
        eso("WFI"),
        [
            (
                (224, 410),
                {
                    "EXTNAME": f"WIN1.CHIP{n}.OUT1",
                    **chip_cards(204, 402, f"ccd5{n}"),
                    **port(1, 1, 1, (204, 400), (10, 0), (10, 10)),
                },
            )
            for n in (1, 2)
        ],
        [f"ccd5{n}: [11:214,1:400] [215:224,1:400]" for n in (1, 2)],
    ),
    "omegacam, read at the right": (
        eso("OMEGACAM"),
        [
            (
                (304, 410),
                {
                    **chip_cards(204, 400, "ESO_CCD_#65"),
                    **port(1, 204, 1, (204, 400), (50, 0), (50, 10)),
                },
            )
        ],
        ["ESO_CCD_#65: [51:254,1:400] [1:50,1:400]"],
    ),
    "vimos, a port without a number": (
        eso("VIMOS"),
        [
            (
                (304, 234),
                {
                    "HIERARCH ESO DET CHIP ID": "CCD-60",
                    "HIERARCH ESO DET CHIP NX": 204,
                    "HIERARCH ESO DET CHIP NY": 409,
                    **port("", 205, 1, (204, 234), (50, 0), (50, 0)),
                },
            )
        ],
        ["CCD-60: [51:254,1:234] [255:304,1:234]"],
    ),
    "eso, counts that are not those of the image": (
        eso("UVES", 204, 409, "CCD-44"),
        [((150, 102), port(1, 1, 1, (204, 300), (50, 0), (50, 0)))],
        ["CCD-44: - -"],
    ),
    "hst, raw": (
        {**USUAL, "TELESCOP": "HST", "INSTRUME": "ACS", "CCDAMP": "ABCD"},
        [((112, 52), {"EXTNAME": name}) for name in ("SCI", "ERR", "DQ") * 2],
        ["several-images", "no-exposure"],
    ),
    "soi": (
        {**USUAL, "TELESCOP": "SOAR 4.1m", "INSTRUME": "SOI", "OBSTYPE": "OBJECT"},
        [
            amplifier(place, CCDSEC=SIDE_BY_SIDE[n % 2])
            for n, place in enumerate(SIDE_BY_SIDE[:4])
        ],
        [f"{x}_1: 100x40 of 2 amplifiers, [51:60,1:40]" for x in (1, 101)],
    ),
    "sami": (
        {**USUAL, "TELESCOP": "SOAR 4.1m", "INSTRUME": "SAMI", "OBSTYPE": "OBJECT"},
        [amplifier(place, CCDSEC=place) for place in CORNERS],
        ["100x80 of 4 amplifiers, [51:60,1:40]"],
    ),
    "lbc": (
        {**USUAL, "TELESCOP": "LBT-SX", "INSTRUME": "LBC-RED", "IMAGETYP": "object"},
        [
            amplifier(place, EXTNAME=f"LBCCHIP{n}")
            for n, place in enumerate((*SIDE_BY_SIDE[:3], "[26:115,42:91]"), start=1)
        ],
        [f"LBCCHIP{n}: [1:50,1:40] [51:60,1:40]" for n in (1, 2, 3, 4)],
    ),
    "gmos, twelve amplifiers": (
        {
            **USUAL,
            "TELESCOP": "Gemini-South",
            "INSTRUME": "GMOS-S",
            "OBSTYPE": "OBJECT",
        },
        [
            amplifier(place, CCDNAME=f"BI{n // 4}", CCDSEC=SIDE_BY_SIDE[n % 4])
            for n in range(12)
            for place in [section(n * 50 + 1, n * 50 + 50)]
        ],
        [f"BI{n}: 200x40 of 4 amplifiers, [51:60,1:40]" for n in range(3)],
    ),
    "lris": (
        keck("LRISBLUE", KOAIMTYP="object", PREPIX=6, POSTPIX=10, NUMAMPS=4),
        [
            amplifier(place, EXTNAME=f"VidInp{n}")
            for n, place in enumerate(
                (
                    section(1, 50),
                    section(100, 51),
                    section(101, 150),
                    section(200, 151),
                ),
                start=1,
            )
        ],
        [f"CCD{n}: 100x40 of 2 amplifiers, [51:60,1:40]" for n in (1, 2)],
    ),
    "lris, one image": (
        keck("LRIS", KOAIMTYP="object", PREPIX=6, POSTPIX=10, NUMAMPS=2),
        (132, 40),
        ["several-strips"],
    ),
    "deimos, one amplifier of each detector": (
        keck("DEIMOS", OBSTYPE="Object", POSTPIX=10, NUMAMPS=8),
        [
            amplifier(place, EXTNAME=f"VidInp{2 * n + 1}")
            for n, place in enumerate(SIDE_BY_SIDE)
        ],
        [f"CCD{n}: [1:50,1:40] [51:60,1:40]" for n in range(1, 9)],
    ),
    "imacs": (
        {**USUAL, **MAGELLAN, "INSTRUME": "IMACS Short-Camera", "CHIP": 3},
        (60, 46),
        ["3: [1:50,1:40] [51:60,41:46]"],
    ),
    "ldss": (
        {**USUAL, **MAGELLAN, "INSTRUME": "LDSS3-C", "OPAMP": 2},
        (60, 46),
        ["2: [1:50,1:40] [51:60,41:46]"],
    ),
    "suprime-cam": (
        subaru(),
        (192, 44),
        ["6: 128x36 of 4 amplifiers, [41:48,5:40]"],
    ),
    "megacam": (
        {
            **USUAL,
            "TELESCOP": "CFHT 3.6m",
            "INSTRUME": "MegaPrime",
            "OBSTYPE": "OBJECT",
        },
        [megacam(n) for n in (0, 1)],
        [f"83417{n}: 60x40 of 2 amplifiers, [1:6,1:40]" for n in (0, 1)],
    ),
    "podi": (
        {**USUAL, "TELESCOP": "WIYN", "INSTRUME": "podi", "OBSTYPE": "OBJECT"},
        [((30, 24), {"DETSEC": section(x, x + 23, 1, 24)}) for x in (1, 27)],
        ["several-images"],
    ),
    "90prime": (
        {**USUAL, "TELESCOP": "bok", "INSTRUME": "90prime", "IMAGETYP": "object"},
        [
            amplifier(place, CCDNAME=f"CCD{n // 4}")
            for n, place in enumerate((*CORNERS, *CORNERS))
        ],
        [f"CCD{n}: 100x80 of 4 amplifiers, [51:60,1:40]" for n in (0, 1)],
    ),
    "wide field camera of the INT": (
        {**USUAL, "TELESCOP": "INT", "INSTRUME": "WFC", "IMAGETYP": "object"},
        [
            (
                (60, 44),
                {
                    "CHIPNAME": f"A5506-{n}",
                    "BIASSEC": section(51, 60),
                    "TRIMSEC": section(1, 50),
                },
            )
            for n in (1, 2, 3, 4)
        ],
        [f"A5506-{n}: [1:50,1:40] [51:60,1:40]" for n in (1, 2, 3, 4)],
    ),
    "lsst": (
        {**USUAL, "TELESCOP": "Simonyi", "INSTRUME": "ComCam", "IMGTYPE": "OBJECT"},
        [
            (
                (64, 48),
                {
                    "EXTNAME": f"Segment{row}{n}",
                    "DATASEC": section(4, 53),
                    "DETSEC": place
                    if row
                    else section(50 * n + 50, 50 * n + 1, 80, 41),
                },
            )
            for row in (1, 0)
            for n, place in enumerate(SIDE_BY_SIDE)
        ],
        ["400x80 of 16 amplifiers, [54:64,1:40]"],
    ),
    "ztf": (
        {**USUAL, "TELESCOP": "P48", "INSTRUME": "ZTF/MOSAIC", "IMGTYPE": "object"}
        | {"CCD_ID": 9},
        [
            *(
                ((50, 40), {"DETSEC": place, "DATASEC": section(1, 50)})
                for place in (
                    section(51, 100, 41, 80),
                    section(1, 50, 41, 80),
                    section(1, 50),
                    section(51, 100),
                )
            ),
            *(((6, 40), {"EXTNAME": f"strip{n}"}) for n in (1, 2, 3, 4)),
        ],
        ["9: 100x80 of 4 amplifiers, None", "unplaced"],
    ),
    "gigapixel camera of Pan-STARRS": (
        {**USUAL, "TELESCOP": "PS1", "INSTRUME": "gpc1", "OBSTYPE": "OBJECT"},
        [
            ((30, 24), {"EXTNAME": f"xy0{n}", "DATASEC": section(1, 24, 1, 24)})
            for n in (0, 1)
        ],
        ["several-images"],
    ),
    "sinistro": (
        {**USUAL, "ORIGIN": "LCOGT", "INSTRUME": "fa01", "OBSTYPE": "EXPOSE"},
        [amplifier(place) for place in CORNERS],
        ["100x80 of 4 amplifiers, [51:60,1:40]"],
    ),
    "p60": (
        {**USUAL, "TELESCOP": "60", "IMGTYPE": "SCIENCE"}
        | {"DSEC1": section(1, 25), "BSEC1": section(51, 60), "GAIN1": 2.8}
        | {"DSEC2": section(26, 50), "BSEC2": section(61, 70), "GAIN2": 2.7},
        (70, 40),
        ["50x40 of 2 amplifiers, [51:60,1:40]"],
    ),
}


def write_file(path, primary, images):
    """Write zeros: images as extensions, or one alone by its size."""
    first = fits.PrimaryHDU() if isinstance(images, list) else image(images)
    first.header.update(primary)
    others = images if isinstance(images, list) else []
    fits.HDUList([first, *(extension(*one) for one in others)]).writeto(path)


def image(size):
    return fits.PrimaryHDU(np.zeros(size[::-1], np.uint16))


def extension(size, cards):
    hdu = fits.ImageHDU(np.zeros(size[::-1], np.uint16))
    hdu.header.update(cards)
    return hdu


def seen(row):
    """Say in a line what became of an image."""
    if not row["use"]:
        return row["code"]
    parts = read_amplifiers(row["amplifiers"])
    name = f"{row['detector']}: " if row["detector"] else ""
    if not parts:
        return f"{name}{row['trimsec'] or '-'} {row['biassec'] or '-'}"
    size = f"{row['naxis1']}x{row['naxis2']}"
    return f"{name}{size} of {len(parts)} amplifiers, {parts[0].overscan}"


@pytest.mark.parametrize("name", FILES)
def test_files_of_observatories_are_taken_apart(name, tmp_path):
    primary, images, expected = FILES[name]
    write_file(tmp_path / "a.fits", primary, images)
    table = scan(tmp_path)
    table = table.astype(object).where(table.notna(), None)
    rows = table.to_dict("records")
    assert sorted(map(seen, rows)) == sorted(expected)
    assert {row["imagetyp"] for row in rows if row["use"]} <= {"light"}


def test_ports_are_freed_of_their_own_scans_and_gains(tmp_path):
    """Four ports: prescans at the outer edges, each with its level."""
    primary, (nx, ny), _ = FILES["fors1, four ports"]
    scene = np.random.default_rng(3).uniform(1000, 2000, (204, 204))
    levels, gains = (
        np.array([[100, 200], [400, 300]]),
        np.array([[1.1, 1.2], [1.4, 1.3]]),
    )
    spread = np.ones((102, 102))
    pixels = np.pad(scene / np.kron(gains, spread), ((0, 0), (16, 16)))
    pixels += np.repeat(np.repeat(levels, 102, axis=0), nx // 2, axis=1)
    hdu = fits.PrimaryHDU(pixels.astype(np.float32))
    hdu.header.update(primary)
    hdu.writeto(tmp_path / "a.fits")
    (row,) = scan(tmp_path).to_dict("records")
    assert row["egain"] == pytest.approx(gains.mean())
    with JoinedImage(tmp_path / "a.fits", read_amplifiers(row["amplifiers"])) as joined:
        made = joined.rows(0, ny)
    np.testing.assert_allclose(made * gains.mean(), scene, rtol=1e-5)
