"""The decision on a frame's type, witness by witness."""

import pytest

from autoreduce.fits.header import headers_from_text
from autoreduce.frames.dialects import load_dialects, recognise
from autoreduce.frames.facts import FactReader
from autoreduce.frames.imagetype import decide_type, type_of_words, witness_of

GENERAL = load_dialects()[-1]


def decide(cards="", file="0001.fits"):
    header = headers_from_text(f"BITPIX  = 16\n{cards}")[0]
    dialect = recognise(header, load_dialects())
    facts = FactReader(dialect).read(header)
    return decide_type(witness_of(header, dialect), dialect, facts, file)


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        ("Light Frame", "light"),
        ("OBJECT", "light"),
        ("science", "light"),
        ("Bias Frame", "bias"),
        ("zero", "bias"),
        ("BIAS (5)", "bias"),
        ("DARK", "dark"),
        ("DARKFLAT", "flatdark"),
        ("Flat Dark", "flatdark"),
        ("Flat Field", "flat"),
        ("DOME FLAT", "flat"),
        ("SKYFLAT", "flat"),
        ("twilight", "flat"),
        ("FLAT,LAMP", "flat"),
        ("PROJECTOR FLAT (2)", "flat"),
        ("my new flats", "flat"),
        ("Master Dark", "master"),
        ("MASTERFLAT", "master"),
        ("comp", "other"),
        ("focus", "other"),
        ("BPM", "other"),
        ("some new word", None),
        ("", None),
    ],
)
def test_literal_of_the_type_keyword(literal, kind):
    assert decide(f"IMAGETYP= '{literal}'").value == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("domeflat_R_001", "flat"),
        ("flats-dark-60s", "dark"),
        ("dark-flat-2s", "flatdark"),
        ("flatDark_003", "flatdark"),
        ("DarksForM31", "dark"),
        ("bias.0001", "bias"),
        ("MasterFlat_R", "master"),
        ("master_dark_60", "master"),
        ("spec-master-N-flat", "master"),
        ("arc_neon_01", "other"),
        ("Neon_30sec_01", "other"),
        ("flat-neon", "flat"),
        ("ngc4535-autofocus1", "other"),
        ("auto_focus", "other"),
        ("M31_offset50_gain100", None),
        ("M42_after_focus", None),
        ("star-neon-40", None),
        ("Light_M31_300s", "light"),
        ("Light_dark_lane_300s", "light"),
        ("flat_light_box", "flat"),
        ("Flatiron", None),
        ("biased", None),
        ("", None),
    ],
)
def test_words_that_name_a_type(name, kind):
    assert type_of_words(name) == kind


@pytest.mark.parametrize(
    ("cards", "file", "kind"),
    [
        # nothing but the name speaks
        ("", "flats/0001.fits", "flat"),
        ("", "flats/dark_0001.fits", "dark"),
        ("", "M31/0001.fits", None),
        ("IRAFNAME= 'bias_001'", "0001.fits", "bias"),
        # an exposure of nothing is a bias
        ("EXPTIME = 0", "0001.fits", "bias"),
        ("EXPTIME = '0'\nOBSTYPE = 'DARK'", "0001.fits", "bias"),
        ("EXPTIME = 0\nIMAGETYP= 'Light Frame'", "0001.fits", "bias"),
        ("EXPTIME = 0\nIMAGETYP= 'DARK'", "dark_0001.fits", "dark"),
        ("EXPTIME = 0\nIMAGETYP= 'DARK'", "dark_0s_0001.fits", "bias"),
        ("EXPTIME = 0\nIMAGETYP= 'DARK'", "dark-0.0 sec_1.fits", "bias"),
        ("EXPTIME = 0\nIMAGETYP= 'LIGHT'", "frame_1.fits", "bias"),
        ("EXPTIME = 0\nIMAGETYP= 'LIGHT'", "light_1.fits", "light"),
        ("EXPTIME = 0\nIMAGETYP= 'DARK'", "dark_60s_1.fits", "dark"),
        ("EXPTIME = 0\nIMAGETYP= 'DARK'", "darks/0001.fits", "bias"),
        ("EXPTIME = 0\nEXPOSURE= 30", "0001.fits", None),
        ("EXPTIME = 0\nIMAGETYP= 'riddle'", "0001.fits", None),
        ("EXPTIME = 0\nIMAGETYP= 'FLAT'", "0001.fits", "flat"),
        # a long bias is a dark, unless another witness agrees with it
        ("EXPTIME = 60\nIMAGETYP= 'BIAS'", "0001.fits", "dark"),
        ("EXPTIME = 60\nIMAGETYP= 'BIAS'", "bias_0001.fits", "bias"),
        ("EXPTIME = 60", "bias_0001.fits", "dark"),
        # light is what programs write if nobody thinks of it
        ("IMAGETYP= 'Light Frame'", "panel_flat_V.fit", "flat"),
        ("IMAGETYP= 'Light Frame'", "M31_V.fit", "light"),
        ("OBSTYPE = 'OBJECT'\nOBJECT  = 'Dome Flat'", "0001.fits", "flat"),
        ("OBSTYPE = 'OBJECT'\nOBJECT  = 'Arcs'", "0001.fits", "other"),
        # cards of several words, of the 1990s
        ("HIERARCH ESO GEN EXPO TYPE = 'FF'", "0001.fits", "flat"),
        ("HIERARCH TYPE = 'BIAS'", "0001.fits", "bias"),
        # a negative exposure marks a dark
        ("BITPIX  = 16\nEXPTIME = -60", "0001.fits", "dark"),
        ("BITPIX  = 16\nEXPTIME = -60\nIMAGETYP= 'FLAT'", "0001.fits", "flat"),
        # a closed filter lets no light in
        ("EXPTIME = 30\nFILTER  = 'BLOCK'", "0001.fits", "dark"),
        # nebulae that are called dark
        ("IMAGETYP= 'LIGHT'\nOBJECT  = 'Dark Shark Nebula'", "0001.fits", "light"),
        (
            "IMAGETYP= 'LIGHT'\nOBJECT  = 'Dark Shark'",
            "Dark_Shark_Ha_0001.fits",
            "light",
        ),
        # a calibration's keyword is not overruled by its name
        ("IMAGETYP= 'Dark Frame'\nEXPTIME = 9", "flat_9s.fit", "dark"),
        ("IMAGETYP= 'Flat Field'\nOBJECT  = 'M 31'", "M31.fit", "flat"),
        ("IMAGETYP= 'LIGHT'\nOBJECT  = 'M31'", "M31_dark_sky_1.fits", "light"),
        ("IMAGETYP= 'LIGHT'\nOBJECT  = 'M31'", "M31_flat_1.fits", "flat"),
        ("IMAGETYP= 'LIGHT'", "dark_site/lights/M31.fits", "light"),
        ("IMAGETYP= 'LIGHT'", "dark_site/M31.fits", "light"),
        ("IMAGETYP= 'LIGHT'", "darks 300s/0001.fits", "dark"),
        ("", "dark_site/lights/0001.fits", "light"),
        # darks for flats of programs that have no such type
        ("IMAGETYP= 'Flat Field'", "DarkFlat_R_2s_1.fit", "flatdark"),
        ("IMAGETYP= 'FLAT'", "flats/flat-dark_001.fit", "flatdark"),
        ("IMAGETYP= 'FLAT'", "Dark Flats/0001.fit", "flatdark"),
        ("IMAGETYP= 'FLAT'", "dark+flats/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'", "flat & darks/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'", "Dark, Flats/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'", "flatdarks/0001.fit", "flatdark"),
        ("IMAGETYP= 'FLAT'", "darks flats/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'", "flat_dark_bias/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'", "flat dark/0001.fit", "flat"),
        ("IMAGETYP= 'FLAT'\nFILTER  = 'DarkBlue'", "Flat_DarkBlue_0.fits", "flat"),
        ("IMAGETYP= 'FLAT'\nFILTER  = 'Dust'", "Flat_Dark Dust_1.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "Flat_Dark Dust_1.fits", "flat"),
        ("IMAGETYP= 'FLAT'", "Flat_dark_corrected_B_001.fits", "flat"),
        ("IMAGETYP= 'FLAT'", "sky-dark-flat_1.fits", "flat"),
        ("IMAGETYP= 'FLAT'", "Flat_Dark_2s_001.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "dark flats/Flat_R_001.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "DarkFlats/Flat_B_001.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "DarkFlats 2s/f_1.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "FlatDarks_2024/f_1.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "Flat Darks B/f_1.fits", "flatdark"),
        ("IMAGETYP= 'FLAT'", "DarkFlats/flats/Flat_1.fits", "flat"),
        ("IMAGETYP= 'FLAT'", "Flats and Darks/Flat_1.fits", "flat"),
        # masters
        ("IMAGETYP= 'DARK'\nEXPTIME = 9", "master_dark_9s.fit", "master"),
    ],
)
def test_witnesses_are_weighed_by_stated_rules(cards, file, kind):
    assert decide(cards, file).value == kind


def test_witnesses_that_disagree_are_in_the_evidence():
    reading = decide("IMAGETYP= 'Light Frame'", "panel_flat_V.fit")
    assert reading.keyword == "file name"
    assert reading.disagree == ("IMAGETYP=Light Frame",)
    assert reading.rule == "typed as light, but named as a calibration"


def test_unknown_type_says_what_was_read():
    reading = decide("IMAGETYP= 'riddle'")
    assert (reading.value, reading.literal) == (None, "riddle")
    assert "neither keyword" in reading.rule


def test_pictttype_is_a_number():
    assert decide("PICTTYPE= 3").value == "dark"
    assert decide("IMAGETYP= 3").value is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NeonCalibration", "other"),
        ("Neon1_2min", "other"),
        ("spec_neon", "other"),
        ("spec_lamp", "other"),
        ("ThAr_001", "other"),
        ("HgAr-5s", "other"),
        ("Dunkelbild_300s", "dark"),
        ("noirs/001", "dark"),
        ("oscuros", "dark"),
        ("escuro_60s", "dark"),
        ("Flatfeld 3", "flat"),
        ("PLU_R", "flat"),
        ("Nullbild", "bias"),
        ("Offsetbild_003", "bias"),
        ("Polarizaci\N{LATIN SMALL LETTER O WITH ACUTE}n", "bias"),
        ("Hellbild R", "flat"),
        ("Campo piatto", "flat"),
        ("scuri/001", "dark"),
        ("Obscurit\N{LATIN SMALL LETTER E WITH ACUTE}", "dark"),
        ("Lumi\N{LATIN SMALL LETTER E WITH GRAVE}re", "light"),
        ("Neon Galaxy", None),
        ("Noirmont", None),
    ],
)
def test_lamps_and_words_of_other_languages(name, kind):
    found = type_of_words(name)
    assert (found and found.value) == kind


@pytest.mark.parametrize(
    ("card", "kind"),
    [
        ("Plage de lumiere uniforme", "flat"),
        ("Objekt", "light"),
        ("Aufnahme", "light"),
        ("Oggetto", "light"),
    ],
)
def test_cards_of_other_languages(card, kind):
    assert decide(f"IMAGETYP= '{card}'").value == kind


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("Light", "Dark", "dark"),
        ("object", "FLAT", "flat"),
        ("Dark", "Light", "dark"),
        ("Light", "Light", "light"),
        ("Light", "Focus", "light"),
    ],
)
def test_a_keyword_that_names_a_calibration_is_heard_before_one_that_says_light(
    first, second, kind
):
    cards = f"IMAGETYP= '{first}'\nEXPTIME = 60.0\nFRAME   = '{second}'"
    assert decide(cards).value == kind
