"""Files of several images: amplifiers, detectors, and what is no frame at all."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from autoreduce.calibration.joined import JoinedImage
from autoreduce.errors import TableError
from autoreduce.fits.amplifiers import read_amplifiers
from autoreduce.frames.overrides import apply_overrides
from autoreduce.frames.scan import scan

PIXELS = np.arange(48, dtype=np.int16).reshape(6, 8)


def write_file(path, *extensions, **cards):
    primary = fits.PrimaryHDU()
    primary.header["IMAGETYP"] = "LIGHT"
    primary.header.update(cards)
    fits.HDUList([primary, *extensions]).writeto(path)


def extension(name="", pixels=PIXELS, **cards):
    hdu = fits.ImageHDU(pixels, name=name)
    hdu.header.update(cards)
    return hdu


def write_image(path, **cards):
    hdu = fits.PrimaryHDU(PIXELS)
    hdu.header["IMAGETYP"] = "LIGHT"
    hdu.header.update(cards)
    hdu.writeto(path)


def test_images_that_nothing_puts_together_are_refused_in_one_line(tmp_path):
    write_file(tmp_path / "a.fits", extension("im1"), extension("im2"))
    frames = scan(tmp_path)
    assert frames["file"].tolist() == ["a.fits"]
    assert frames["code"].tolist() == ["several-images"]
    assert frames["why_not"][0].startswith("holds 2 images")


def test_what_is_no_exposure_does_not_count(tmp_path):
    others = [extension(name) for name in ("THUMBNAIL", "WEIGHT", "SEGMENTATION")]
    write_file(tmp_path / "a.fits", extension("SCI"), *others)
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].to_dict() == {"a.fits[1]": True, "a.fits[2]": False}
    assert frames["why_not"]["a.fits[2]"] == (
        "extension THUMBNAIL, WEIGHT, SEGMENTATION is no exposure"
    )


@pytest.mark.parametrize(
    "cards",
    [
        {"BIASSEC": "[1:2,1:6],[7:8,1:6]"},
        {"BIASSEC": "[7:8,1:6]", "NAMPS": 2},
        {"BIASSEC1": "[5:6,1:6]", "BIASSEC2": "[7:8,1:6]"},
        {"ASEC": "[1:4,1:6]", "BSEC": "[5:8,1:6]"},
    ],
)
def test_several_strips_of_which_nothing_tells_the_pixels_are_refused(tmp_path, cards):
    write_image(tmp_path / "a.fits", **cards)
    frames = scan(tmp_path)
    assert frames["code"].tolist() == ["several-strips"]
    assert next(iter(cards)) in frames["why_not"][0] or "NAMPS" in frames["why_not"][0]
    assert "--set 'a.fits: biassec='" in frames["why_not"][0]


def test_amplifiers_without_overscan_are_one_image(tmp_path):
    write_image(tmp_path / "a.fits", NAMPS=2)
    assert scan(tmp_path)["use"].tolist() == [True]


def quadrant(place, **cards):
    """Write an amplifier: 3 columns of data, 5 of no use."""
    return extension(DETSEC=place, DATASEC="[1:3,1:6]", **cards)


def row_of(folder):
    (row,) = scan(folder).to_dict("records")
    return row


def test_amplifiers_of_one_detector_are_one_frame(tmp_path):
    write_file(
        tmp_path / "a.fits",
        quadrant("[6:4,1:6]", BIASSEC="[5:8,1:6]", GAIN=1.5, RDNOISE=3.0),
        quadrant("[1:3,1:6]", BIASSEC="[5:8,1:6]", GAIN=1.7, RDNOISE=5.0),
    )
    row = row_of(tmp_path)
    assert row["use"]
    assert row["file"] == "a.fits"
    assert (row["naxis1"], row["naxis2"]) == (6, 6)
    assert row["amplifiers"] == (
        "2 [1:3,1:6] [1:3,1:6] [5:8,1:6] 1.7 5.0 -; "
        "1 [1:3,1:6] [6:4,1:6] [5:8,1:6] 1.5 3.0 -"
    )
    assert row["egain"] == pytest.approx(1.6)
    assert row["rdnoise"] == pytest.approx(17**0.5)
    assert pd.isna(row["biassec"])
    assert pd.isna(row["trimsec"])


def places(row):
    return [one.place for one in read_amplifiers(row["amplifiers"])]


def test_a_detector_begins_anywhere_and_may_be_binned(tmp_path):
    binned = [quadrant("[107:112,11:22]"), quadrant("[101:106,11:22]")]
    write_file(tmp_path / "a.fits", *binned, CCDSUM="2 2")
    (row,) = scan(tmp_path).to_dict("records")
    found = read_amplifiers(row["amplifiers"])
    assert [(one.hdu, one.place) for one in found] == [
        (2, "[1:3,1:6]"),
        (1, "[4:6,1:6]"),
    ]


@pytest.mark.parametrize("letter", ["L", "D"])
def test_a_step_of_minus_one_turns_an_image(tmp_path, letter):
    turned = {f"{letter}TM1_1": -1.0, f"{letter}TM2_2": 1.0}
    parts = [quadrant("[1:3,1:6]"), quadrant("[4:6,1:6]", **turned)]
    write_file(tmp_path / "a.fits", *parts)
    assert places(row_of(tmp_path)) == ["[1:3,1:6]", "[6:4,1:6]"]


def test_a_trim_leaves_the_others_where_they_are(tmp_path):
    parts = [
        quadrant("[3:1,1:6]", TRIMSEC="[1:2,2:6]"),
        quadrant("[4:6,1:6]", TRIMSEC="[1:2,2:6]"),
    ]
    write_file(tmp_path / "a.fits", *parts)
    assert places(row_of(tmp_path)) == ["[3:2,2:6]", "[4:5,2:6]"]


def test_a_margin_that_nobody_names_is_the_overscan(tmp_path):
    wide = np.zeros((6, 20), np.int16)
    parts = [
        extension(pixels=wide, DETSEC=place, DATASEC="[3:8,1:6]")
        for place in ("[6:1,1:6]", "[7:12,1:6]")
    ]
    write_file(tmp_path / "a.fits", *parts)
    amplifiers = read_amplifiers(row_of(tmp_path)["amplifiers"])
    assert [one.overscan for one in amplifiers] == ["[9:20,1:6]"] * 2


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        (["[1:3,1:6]", "[3:5,1:6]"], "sections overlap"),
        (["[1:3,1:6]", "[7:9,1:6]"], "they cover 67% of the detector"),
        (["[1:3,1:6]", "[4:6,1:7]"], "sections contradict each other"),
    ],
)
def test_sections_that_do_not_fit_are_refused_by_name(tmp_path, sections, why):
    write_file(tmp_path / "a.fits", *map(quadrant, sections))
    row = row_of(tmp_path)
    assert row["code"] == "several-images"
    assert why in row["why_not"]


def test_an_overscan_among_the_pixels_is_refused_by_name(tmp_path):
    write_file(
        tmp_path / "a.fits",
        quadrant("[1:3,1:6]", BIASSEC="[2:4,1:6]"),
        quadrant("[4:6,1:6]", BIASSEC="[3:8,1:6]"),
    )
    row = row_of(tmp_path)
    assert row["code"] == "several-images"
    assert (
        "overscan [2:4,1:6] of HDU 1 lies among its pixels [1:3,1:6]" in row["why_not"]
    )


def test_an_image_without_a_place_beside_others_is_no_frame(tmp_path):
    parts = [quadrant("[1:3,1:6]"), quadrant("[4:6,1:6]"), extension("VIEW")]
    write_file(tmp_path / "a.fits", *parts)
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].to_dict() == {"a.fits": True, "a.fits[3]": False}
    assert frames["code"]["a.fits[3]"] == "unplaced"


def test_a_small_image_beside_a_large_one_is_no_frame(tmp_path):
    write_file(tmp_path / "a.fits", extension(), extension(pixels=PIXELS[:3, :4]))
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].to_dict() == {"a.fits[1]": True, "a.fits[2]": False}


def test_detectors_of_a_mosaic_are_frames_of_their_own(tmp_path):
    parts = [
        quadrant("[1:3,1:6]", CCDNAME="East"),
        quadrant("[9:11,1:6]", CCDNAME="West"),
        quadrant("[4:6,1:6]", CCDNAME="East"),
    ]
    write_file(tmp_path / "a.fits", *parts)
    frames = scan(tmp_path).set_index("file")
    assert frames["detector"].to_dict() == {"a.fits[1]": "East", "a.fits[2]": "West"}
    assert frames["naxis1"].to_dict() == {"a.fits[1]": 6, "a.fits[2]": 8}
    assert frames["amplifiers"].notna().tolist() == [True, False]


def test_a_detector_that_lacks_an_amplifier_costs_no_other(tmp_path):
    parts = [
        quadrant("[1:3,1:6]", CCDNAME="East"),
        quadrant("[4:6,1:6]", CCDNAME="East"),
        quadrant("[9:11,1:6]", CCDNAME="West"),
        quadrant("[15:17,1:6]", CCDNAME="West"),
    ]
    write_file(tmp_path / "a.fits", *parts)
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].to_dict() == {"a.fits[1]": True, "a.fits[3]": False}
    assert "67% of the detector" in frames["why_not"]["a.fits[3]"]


def test_images_of_whole_detectors_are_called_by_their_extensions(tmp_path):
    whole = {"CCDSIZE": "[1:8, 1:6]", "CCDSEC": "[1:8,1:6]"}
    write_file(tmp_path / "a.fits", extension("N1", **whole), extension("N2", **whole))
    assert scan(tmp_path)["detector"].tolist() == ["N1", "N2"]


def test_amplifiers_in_one_image_are_told_by_cards_of_their_own(tmp_path):
    write_image(
        tmp_path / "a.fits",
        DATASECA="[1:2,1:6]",
        BIASSECA="[3:4,1:6]",
        GAINA=1.5,
        DATASECB="[7:8,1:6]",
        BIASSECB="[5:6,1:6]",
        GAINB=2.5,
    )
    row = row_of(tmp_path)
    assert row["amplifiers"] == (
        "0 [1:2,1:6] [1:2,1:6] [3:4,1:6] 1.5 - -; 0 [7:8,1:6] [3:4,1:6] [5:6,1:6] 2.5 - -"
    )
    assert (row["naxis1"], row["egain"]) == (4, 2.0)


def test_cards_of_arcon_may_end_in_letters_as_those_of_megacam(tmp_path):
    cards = {"DSECA": "[3:4,1:6]", "BSECA": "[1:2,1:6]", "CSECA": "[1:2,1:6]"}
    cards |= {"DSECB": "[5:6,1:6]", "BSECB": "[7:8,1:6]", "CSECB": "[3:4,1:6]"}
    write_image(tmp_path / "a.fits", **cards, GAINA=1.5, GAINB=1.7)
    assert row_of(tmp_path)["amplifiers"] == (
        "0 [3:4,1:6] [1:2,1:6] [1:2,1:6] 1.5 - -; 0 [5:6,1:6] [3:4,1:6] [7:8,1:6] 1.7 - -"
    )


def four_ports(nx):
    """Two ports below and two above, with two columns of overscan each between them."""
    for rows, names in (("1:3", "AB"), ("4:6", "CD")):
        for name, lit, strip in zip(
            names, (f"1:{nx}", f"{nx + 5}:{2 * nx + 4}"), (1, 3), strict=True
        ):
            yield name, f"[{lit},{rows}]", f"[{nx + strip}:{nx + strip + 1},{rows}]"


def test_cameras_of_spectral_instruments_name_the_sections_of_four_ports(tmp_path):
    """The whole image and a strip behind it, which others name, are no sections of it."""
    cards = {"DATASEC": "[1:4,1:6]", "BIASSEC": "[5:8,1:6]", "PORTNUM": 4}
    for name, lit, strip in four_ports(2):
        cards |= {f"4P_{name}SECD": lit, f"4P_{name}SECB": strip}
    write_image(tmp_path / "a.fits", **cards)
    row = row_of(tmp_path)
    assert row["amplifiers"] == (
        "0 [1:2,1:3] [1:2,1:3] [3:4,1:3] - - -; 0 [7:8,1:3] [3:4,1:3] [5:6,1:3] - - -; "
        "0 [1:2,4:6] [1:2,4:6] [3:4,4:6] - - -; 0 [7:8,4:6] [3:4,4:6] [5:6,4:6] - - -"
    )
    assert (row["naxis1"], row["naxis2"]) == (4, 6)


def test_sections_that_an_image_has_no_longer_are_none_of_it(tmp_path):
    """Cards of the raw image in one whose overscan was cut out."""
    cards = {}
    for name, lit, strip in four_ports(4):
        cards |= {f"DATASEC{name}": lit, f"BIASSEC{name}": strip}
    write_image(tmp_path / "a.fits", **cards)
    (told,) = scan(tmp_path).to_dict("records")
    assert (told["code"], told["naxis1"], told["naxis2"]) == ("several-strips", 8, 6)


def test_a_table_of_ones_own_may_say_that_extensions_are_detectors(tmp_path):
    table = tmp_path / "mine.toml"
    table.write_text(
        'recognise = [{ IMAGETYP = "LIGHT" }]\n[detector]\nkeywords = ["EXTNAME"]\n'
    )
    write_file(tmp_path / "a.fits", extension("im1"), extension("im2"))
    frames = scan(tmp_path, dialects=[table])
    assert frames["detector"].tolist() == ["IM1", "IM2"]


def test_amplifiers_of_arcon_are_listed(tmp_path):
    """The cards of CTIO's Arcon controller, of an image of four amplifiers."""
    cards = {"AMPLIST": "11 12 21 22"}
    for n, (y, x) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2))):
        rows, strip = ("1:3", "4:6")[y == 2], 5 if x == 1 else 7
        name = f"{y}{x}"
        cards |= {
            f"DSEC{name}": f"[{1 + 2 * (x == 2)}:{2 + 2 * (x == 2)},{rows}]",
            f"BSEC{name}": f"[{strip}:{strip + 1},{rows}]",
            f"CSEC{name}": f"[{1 + 2 * (x == 2)}:{2 + 2 * (x == 2)},{rows}]",
            f"GTGAIN{name}": 1.5 + n,
        }
    write_image(tmp_path / "a.fits", **cards)
    amplifiers = read_amplifiers(row_of(tmp_path)["amplifiers"])
    assert [one.place for one in amplifiers] == [
        "[1:2,1:3]",
        "[3:4,1:3]",
        "[1:2,4:6]",
        "[3:4,4:6]",
    ]
    assert [one.overscan for one in amplifiers][:2] == ["[5:6,1:3]", "[7:8,1:3]"]
    assert [one.egain for one in amplifiers] == [1.5, 2.5, 3.5, 4.5]


def test_overscans_of_kast_stand_behind_all_pixels(tmp_path):
    write_image(
        tmp_path / "a.fits",
        PROGRAM="NEWCAM",
        DATASEC="[1:4,1:6]",
        AMPSROW=2,
        AMPSCOL=1,
        COVER=2,
    )
    assert row_of(tmp_path)["amplifiers"] == (
        "0 [1:2,1:6] [1:2,1:6] [5:6,1:6] - - -; 0 [3:4,1:6] [3:4,1:6] [7:8,1:6] - - -"
    )


def test_a_colour_mosaic_of_several_amplifiers_is_refused(tmp_path):
    parts = [quadrant("[1:3,1:6]"), quadrant("[4:6,1:6]")]
    write_file(tmp_path / "a.fits", *parts, BAYERPAT="RGGB")
    assert "colour mosaic" in row_of(tmp_path)["why_not"]


QUARTERS = {
    "DETSEC1": "[1:6,1:6]",
    "DETSEC2": "[12:7,1:6]",
    "DETSEC3": "[12:7,12:7]",
    "DETSEC4": "[1:6,12:7]",
}


def write_cube(path, n=4, **cards):
    hdu = fits.PrimaryHDU(np.arange(n * 48, dtype=np.int16).reshape(n, 6, 8))
    hdu.header.update({"IMAGETYP": "LIGHT", **cards})
    hdu.writeto(path)


def test_planes_of_a_cube_may_be_amplifiers(tmp_path):
    sections = {f"DATASEC{n}": "[1:6,1:6]" for n in (1, 2, 3, 4)}
    strips = {f"BIASSEC{n}": "[7:8,1:6]" for n in (1, 2, 3, 4)}
    gains = {"GAIN": "[2.0, 2.1, 2.2, 2.3]", "ORIGIN": "LCOGT"}
    write_cube(tmp_path / "a.fits", **sections, **strips, **QUARTERS, **gains)
    frames = scan(tmp_path)
    assert frames["use"].tolist() == [True]
    assert frames[["naxis1", "naxis2"]].to_numpy().tolist() == [[12, 12]]
    assert str(frames["amplifiers"][0]).split("; ") == [
        "0 [1:6,1:6] [1:6,1:6] [7:8,1:6] 2.0 - -",
        "0 [1:6,7:12] [12:7,1:6] [7:8,7:12] 2.1 - -",
        "0 [1:6,19:24] [1:6,12:7] [7:8,19:24] 2.3 - -",
        "0 [1:6,13:18] [12:7,12:7] [7:8,13:18] 2.2 - -",
    ]
    with JoinedImage(
        tmp_path / "a.fits", read_amplifiers(frames["amplifiers"][0])
    ) as image:
        made = image.rows(0, 12)
    planes = np.arange(4 * 48.0).reshape(4, 6, 8)[:, :, :6]
    zeros = [(7 + 8 * np.arange(6) - 0.5 + 48 * n).mean() for n in range(4)]
    low = [planes[0] - zeros[0], (planes[1] - zeros[1])[:, ::-1]]
    high = [(planes[3] - zeros[3])[::-1], (planes[2] - zeros[2])[::-1, ::-1]]
    factors = np.array([2.0, 2.1, 2.3, 2.2]) / 2.15
    wanted = np.block([low, high])
    wanted[:6, :6] *= factors[0]
    wanted[:6, 6:] *= factors[1]
    wanted[6:, :6] *= factors[2]
    wanted[6:, 6:] *= factors[3]
    assert made == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("n", "code"), [(3, "several-images"), (5, "cube")])
def test_a_cube_of_other_planes_is_no_frame(tmp_path, n, code):
    sections = {f"DATASEC{n}": "[1:6,1:6]" for n in (1, 2, 3, 4)}
    write_cube(tmp_path / "a.fits", n, **sections, **QUARTERS)
    assert scan(tmp_path)["code"].tolist() == [code]


def test_a_gap_between_chips_lacks_no_amplifier(tmp_path):
    """Two chips of two amplifiers each, of which no card tells the chip."""
    places = ["[1:6,1:6]", "[12:7,1:6]", "[15:20,1:6]", "[26:21,1:6]"]
    cards = [{"DATASEC": "[1:6,1:6]", "DETSEC": place} for place in places]
    images = [extension(f"im{n}", **told) for n, told in enumerate(cards)]
    write_file(tmp_path / "a.fits", *images)
    write_file(tmp_path / "b.fits", *images[:2], images[3])
    frames = scan(tmp_path).set_index("file")
    assert frames.loc["a.fits", "use"]
    assert frames.loc["a.fits", "naxis1"] == 26
    assert "69% of the detector" in frames.loc["b.fits", "why_not"]


def test_images_that_are_called_chips_are_no_amplifiers(tmp_path):
    """Three side by side and a fourth across them: no rectangle."""
    cards = {"DATASEC": "[1:6,1:6]", "BIASSEC": "[7:8,1:6]"}
    places = ["[1:6,1:6]", "[7:12,1:6]", "[13:18,1:6]", "[4:9,7:12]"]
    chips = [
        extension(f"LBCCHIP{n}", **cards, DETSEC=place)
        for n, place in enumerate(places, start=1)
    ]
    write_file(tmp_path / "a.fits", *chips)
    frames = scan(tmp_path)
    assert frames["use"].all()
    assert frames["detector"].tolist() == [f"LBCCHIP{n}" for n in (1, 2, 3, 4)]
    assert frames["file"].tolist() == [f"a.fits[{n}]" for n in (1, 2, 3, 4)]


def test_places_that_no_card_tells_are_those_of_the_camera(tmp_path):
    """Sinistro in its first years: a gain for each, and no section at all."""
    shape = (1024, 1040)
    cards = {
        "ORIGIN": "LCOGT",
        "OBSTYPE": "EXPOSE",
        "CCDSUM": "2 2",
        "GAIN": "[3.3,3.4,3.5,3.6]",
    }
    images = [
        fits.CompImageHDU(np.zeros((1, *shape), np.int16), name="SCI") for _ in range(4)
    ]
    for image in images:
        image.header.update({**cards, "DETSEC": "UNKNOWN", "BIASSEC": "UNKNOWN"})
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "mef.fits.fz")
    cube = fits.PrimaryHDU(np.zeros((4, *shape), np.int16))
    cube.header.update(cards)
    cube.writeto(tmp_path / "cube.fits")
    frames = scan(tmp_path).set_index("file")
    assert frames["use"].tolist() == [True, True], frames["why_not"].tolist()
    strip = "[1025:1040,1:1024]"
    told = read_amplifiers(frames["amplifiers"]["mef.fits.fz"])
    assert [(one.hdu, one.place, one.overscan, one.egain) for one in told] == [
        (1, "[1:1024,1:1024]", strip, 3.3),
        (2, "[2048:1025,1:1024]", strip, 3.4),
        (4, "[1:1024,2048:1025]", strip, 3.6),
        (3, "[2048:1025,2048:1025]", strip, 3.5),
    ]
    told = read_amplifiers(frames["amplifiers"]["cube.fits"])
    assert [(one.data, one.place, one.egain) for one in told] == [
        ("[1:1024,1:1024]", "[1:1024,1:1024]", 3.3),
        ("[1:1024,1025:2048]", "[2048:1025,1:1024]", 3.4),
        ("[1:1024,3073:4096]", "[1:1024,2048:1025]", 3.6),
        ("[1:1024,2049:3072]", "[2048:1025,2048:1025]", 3.5),
    ]


def test_a_section_may_be_told_in_four_cards(tmp_path):
    cards = {"TELESCOP": "Subaru", "DATA-TYP": "OBJECT"}
    for n, first in ((1, 1), (2, 5)):
        for card, value in (("EFMN", 0), ("EFMX", 1), ("OSMN", 2), ("OSMX", 3)):
            cards[f"S_{card}{n}1"] = first + value
        cards |= {f"S_EFMN{n}2": 2, f"S_EFMX{n}2": 6, f"S_GAIN{n}": 3.0 + n}
    write_image(tmp_path / "a.fits", **cards)
    (cell,) = scan(tmp_path)["amplifiers"]
    assert cell.split("; ") == [
        "0 [1:2,2:6] [1:2,1:5] [3:4,2:6] 4.0 - -",
        "0 [5:6,2:6] [3:4,1:5] [7:8,2:6] 5.0 - -",
    ]


@pytest.mark.parametrize(
    "names", [("11", "21"), ("1", "2")], ids=["corners", "numbers"]
)
def test_sections_of_arcon_need_no_list(tmp_path, names):
    cards = {}
    for n, name in enumerate(names):
        cards[f"DSEC{name}"] = f"[{4 * n + 1}:{4 * n + 3},1:6]"
        cards[f"BSEC{name}"] = f"[{4 * n + 4}:{4 * n + 4},1:6]"
    write_image(tmp_path / "a.fits", **cards)
    (cell,) = scan(tmp_path)["amplifiers"]
    assert cell.split("; ") == [
        "0 [1:3,1:6] [1:3,1:6] [4:4,1:6] - - -",
        "0 [5:7,1:6] [4:6,1:6] [8:8,1:6] - - -",
    ]


def test_a_binning_that_does_not_divide_the_detector_leaves_no_gap(tmp_path):
    """Of 16 columns binned by 3 each half has 2; DETSEC counts those without binning."""
    cards = {"DATASEC": "[1:2,1:5]", "BIASSEC": "[3:8,1:5]", "CCDSUM": "3 3"}
    places = ["[1:8,1:16]", "[16:9,1:16]"]
    halves = [extension(f"im{n}", **cards, DETSEC=one) for n, one in enumerate(places)]
    write_file(tmp_path / "a.fits", *halves)
    (cell,) = scan(tmp_path)["amplifiers"]
    assert cell.split("; ") == [
        "1 [1:2,1:5] [1:2,1:5] [3:8,1:5] - - -",
        "2 [1:2,1:5] [4:3,1:5] [3:8,1:5] - - -",
    ]


@pytest.fixture
def mosaic(tmp_path):
    """Scan three exposures of two detectors, of two amplifiers each."""
    parts = [
        quadrant(place, CCDNAME=name)
        for name, place in (
            ("East", "[1:3,1:6]"),
            ("East", "[4:6,1:6]"),
            ("West", "[9:11,1:6]"),
            ("West", "[12:14,1:6]"),
        )
    ]
    for n in (1, 2, 3):
        time = f"2024-01-10T21:0{n}:00"
        write_file(tmp_path / f"light_{n}.fits", *parts, **{"DATE-OBS": time})
    return scan(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("light_2.fits[3]", ["light_2.fits[3]"]),
        ("light_2[3]", ["light_2.fits[3]"]),
        ("light_2.fits", ["light_2.fits[1]", "light_2.fits[3]"]),
        ("light_[12].fits[3]", ["light_1.fits[3]", "light_2.fits[3]"]),
        ("*.fits[1]", [f"light_{n}.fits[1]" for n in (1, 2, 3)]),
        ("light_1.fits[3],light_3.fits[1]", ["light_1.fits[3]", "light_3.fits[1]"]),
    ],
)
def test_a_detector_of_one_file_is_meant_by_its_extension(mosaic, pattern, meant):
    out = apply_overrides(mosaic, exclude=[pattern])
    assert sorted(out.loc[~out["use"], "file"]) == meant
    back = apply_overrides(mosaic, exclude=["*"], include=[pattern])
    assert sorted(back.loc[back["use"], "file"]) == meant
    told = apply_overrides(mosaic, settings=[f"{pattern}: filter=R, saturate=48000"])
    assert sorted(told.loc[told["filter"].eq("R").fillna(False), "file"]) == meant
    assert sorted(told.loc[told["saturate"].notna(), "file"]) == meant


def test_an_extension_that_is_no_frame_is_named_beside_those_that_are(mosaic):
    with pytest.raises(TableError, match=r"light_2.fits\[4\].*light_2.fits\[3\]"):
        apply_overrides(mosaic, exclude=["light_2.fits[4]"])


def test_detectors_lie_in_the_focal_plane_as_their_sections_do(mosaic):
    places = mosaic.groupby("detector")["place"].unique().map(list).to_dict()
    assert places == {"East": ["[1:6,1:6]"], "West": ["[9:14,1:6]"]}
    told = apply_overrides(mosaic, settings=["*[3]: place=[14:9,1:6]"])
    assert set(told["place"]) == {"[1:6,1:6]", "[14:9,1:6]"}
    with pytest.raises(TableError, match="place: section 'here'"):
        apply_overrides(mosaic, settings=["*[3]: place=here"])


def test_a_detector_that_one_amplifier_has_read_lies_turned_as_its_section(tmp_path):
    parts = [
        quadrant("[3:1,1:6]", CCDNAME="East"),
        quadrant("[9:11,6:1]", CCDNAME="West"),
    ]
    write_file(tmp_path / "a.fits", *parts)
    assert scan(tmp_path)["place"].tolist() == ["[3:1,1:6]", "[9:11,6:1]"]


def halves(path, kind, n, places=("[1:3,1:6]", "[4:6,1:6]"), **cards):
    time = f"2024-01-10T21:{n:02d}:00"
    parts = [quadrant(place) for place in places]
    told = {"INSTRUME": "Two", "IMAGETYP": kind, "DATE-OBS": time, **cards}
    write_file(path / f"{kind}_{n}.fits", *parts, **told)


def test_a_frame_that_lacks_an_amplifier_is_no_smaller_camera(tmp_path):
    for n in (1, 2, 3):
        halves(tmp_path, "bias", n)
        halves(tmp_path, "light", 10 + n)
    halves(tmp_path, "light", 20, ["[4:6,1:6]"])
    frames = scan(tmp_path).set_index("file")
    assert frames.index[~frames["use"]].tolist() == ["light_20.fits[1]"]
    row = frames.loc["light_20.fits[1]"]
    assert row["code"] == "amplifier-missing"
    assert row["why_not"] == (
        "[4:6,1:6] by 1 amplifier was read, where there is [1:6,1:6] by 2 amplifiers in "
        "6 others: an amplifier is missing (--include 'light_20.fits[1]')"
    )


@pytest.mark.parametrize(
    "others",
    [
        # Of that half there are calibration frames, too.
        [("bias", ["[1:3,1:6]"], {}), ("light", ["[1:3,1:6]"], {})],
        # Another camera.
        [("light", ["[1:3,1:6]"], {"INSTRUME": "One"})],
        # A window: it ends where no amplifier does.
        [("light", ["[2:4,1:6]"], {})],
        # All of it, by one amplifier: a mode of readout.
        [("light", ["[1:6,1:12]"], {"CCDSUM": "2 2"})],
    ],
    ids=["calibrated", "other camera", "window", "mode"],
)
def test_a_part_that_is_read_on_purpose_is_used(tmp_path, others):
    for n in (1, 2, 3):
        halves(tmp_path, "bias", n)
        halves(tmp_path, "light", 10 + n)
    for n, (kind, places, cards) in enumerate(others, start=20):
        halves(tmp_path, kind, n, places, **cards)
    frames = scan(tmp_path)
    assert len(frames) == 6 + len(others)
    assert frames["use"].all(), frames["why_not"].tolist()


def test_an_image_without_the_cards_of_an_amplifier_is_no_other_camera(tmp_path):
    sections = {"DATASECA": "[1:2,1:6]", "BIASSECA": "[3:4,1:6]"}
    both = {**sections, "DATASECB": "[7:8,1:6]", "BIASSECB": "[5:6,1:6]"}
    for n in (1, 2, 3):
        write_image(tmp_path / f"{n}.fits", **both, **{"DATE-OBS": f"2024-01-0{n}"})
    write_image(tmp_path / "4.fits", **sections)
    frames = scan(tmp_path).set_index("file")
    assert frames.index[~frames["use"]].tolist() == ["4.fits"]
    assert "8x6 pixels by 1 amplifier" in frames["why_not"]["4.fits"]


def test_a_binned_half_is_told_by_its_place_on_the_detector(tmp_path):
    binned = {"CCDSUM": "2 2"}
    places = ["[1:6,1:12]", "[7:12,1:12]"]
    for n in (1, 2, 3):
        halves(tmp_path, "light", n, places, **binned)
    halves(tmp_path, "light", 4, places[:1], **binned)
    frames = scan(tmp_path).set_index("file")
    assert frames["code"].dropna().to_dict() == {"light_4.fits[1]": "amplifier-missing"}
