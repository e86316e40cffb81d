"""One rule for the spelling of names, wherever they are compared."""

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from small_night import write_night

from autoreduce.frames.overrides import apply_overrides
from autoreduce.frames.scan import scan
from autoreduce.frames.spelling import camera_key, commonest_spellings, spelling_key
from autoreduce.library.masters import add_to_library, read_library
from autoreduce.planning.plan import Action
from autoreduce.planning.planner import make_plan
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("M 13", "m13", True),
        ("M13 ", "M-13", True),
        ("R_Bessel", "r bessel", True),
        ("H-alpha", "Halpha", True),
        ("R", "r", False),
        ("R ", "R", True),
        ("R", "R_Bessel", False),
        ("M 13", "M 31", False),
        ("-", "_", False),
    ],
)
def test_case_and_separators_do_not_tell_names_apart(one, other, same):
    assert (spelling_key(one) == spelling_key(other)) is same


@pytest.mark.parametrize(
    "names",
    [
        ("ASI533MM Pro", "ZWO ASI533MM Pro", "zwo_asi533mm_pro"),
        ("ZWO CCD ASI1600MM Pro", "ZWO ASI1600MM Pro", "ZWO Camera ASI1600MM Pro"),
        ("ASI1600MM Pro(2)", "ZWO CCD ASI1600MM Pro(2)"),
        ("QHY268M", "QHYCCD QHY268M", "QHY CCD QHY268M", "QHY 268M"),
        ("QHY600M", "QHYCCD-Cameras-Capture QHY600M"),
        ("G4-16000", "MI G4-16000", "Moravian Instruments, G4-16000"),
        ("ST-8 3 CCD Camera", "SBIG ST-8 3 CCD Camera"),
        ("SXVR-H694", "SX CCD SXVR-H694", "Starlight Xpress SXVR-H694"),
        ("SX-825", "SX CCD SX-825"),
        ("Atik 460EX", "Atik CCD Atik 460EX"),
        ("PlayerOne CCD Poseidon-C PRO(IMX571)", "Player One Poseidon-C PRO(IMX571)"),
        ("ATR3CMOS26000KPA", "ToupTek ATR3CMOS26000KPA"),
        ("EOS 1200D", "Canon EOS 1200D", "Canon DSLR EOS 1200D"),
        ("D750", "Nikon D750", "NIKON CORPORATION NIKON D750"),
    ],
)
def test_a_camera_is_one_with_and_without_its_maker(names):
    assert len(set(map(camera_key, names))) == 1


CAMERAS = (
    *("ASI294MC", "ZWO ASI294MM", "ZWO ASI2600MM Pro", "ASI2600MM Duo", "ASI2600MC"),
    *("ZWO ASI1600MM Pro", "ASI1600MM Pro(2)", "ASI1600MM", "ZWO CCD", "ZWO CCD 1"),
    *("ASI Camera (1)", "ASI Camera (2)", "QHY268M", "QHYCCD QHY268C", "QHY294M"),
    *("QHYCCD-Cameras-Capture", "QHYCCD-Cameras2-Capture", "QHY CCD QHY5-0-M-"),
    *("ZWO 294M", "Altair 294M", "Atik 460EX", "460EX", "SX-46", "SX-814", "SBIG"),
    *("Canon EOS 6D", "EOS 60D", "Nikon D750", "D7500", "Sony ILCE-7M3", "ILCE-7"),
    *("Player One Ares-M PRO", "Ares-C PRO", "Moravian G2-8300", "G3-16200", "kb70"),
)


def test_cameras_that_differ_stay_apart():
    assert len(set(map(camera_key, CAMERAS))) == len(CAMERAS)


def test_names_of_objects_filters_and_telescopes_have_no_makers(night):
    for n, name in enumerate(("SX M13", "M13", "Sony M13"), start=1):
        respell(night / f"light_000{n}.fit", OBJECT=name, INSTRUME=name)
    frames = lights(scan(night))
    assert (frames["object"].nunique(), frames["instrume"].nunique()) == (3, 1)


@given(st.text("ZWOzwoQHYCDqhycdASIas1 _-,", min_size=1))
def test_spellings_of_a_camera_s_name_are_one_wherever_those_of_others_are(name):
    respelt = name.upper().replace(" ", "_")
    if spelling_key(name) == spelling_key(respelt):
        assert camera_key(name) == camera_key(respelt)
    assert camera_key(camera_key(name)) == camera_key(name)


def test_masters_of_another_program_serve_a_camera_without_its_maker(tmp_path):
    night = write_night(tmp_path / "night")
    for path in night.glob("*.fit"):
        by_another = path.name.startswith(("flat", "light"))
        respell(path, INSTRUME="ASI533MM Pro" if by_another else "ZWO ASI533MM Pro")
    frames = lights(prepare_night([night]).frames)
    assert frames[["bias", "dark", "flat"]].notna().all(axis=None)
    for path in night.glob("light*.fit"):
        respell(path, INSTRUME="ASI533MC Pro")
    frames = lights(prepare_night([night]).frames)
    assert frames[["bias", "dark", "flat"]].isna().all(axis=None)


def test_the_commonest_spelling_stands_for_all():
    names = ["m13", "M 13", "M 13", "m 31", "M31"]
    assert commonest_spellings(names) == {
        "m13": "M 13",
        "M 13": "M 13",
        "m 31": "M31",
        "M31": "M31",
    }


@given(st.lists(st.text("Mm1 _-", min_size=1), max_size=12))
def test_spellings_of_one_name_get_one_spelling_which_is_among_them(names):
    best = commonest_spellings(names)
    assert set(best) == set(names)
    for name, chosen in best.items():
        assert chosen in names
        assert spelling_key(chosen) == spelling_key(name)
    assert len(set(best.values())) == len({spelling_key(name) for name in names})


def respell(path, **cards):
    with fits.open(path, mode="update") as hdus:
        for keyword, value in cards.items():
            hdus[0].header[keyword] = value


@pytest.fixture
def night(tmp_path):
    """Write a night whose lights are spelt in three ways."""
    night = write_night(tmp_path / "night")
    for path in sorted(night.glob("*.fit")):
        if path.name.startswith(("flat", "light")):
            respell(path, FILTER="R_Bessel")
    for n, (target, through) in enumerate(
        (("M 13", "R_Bessel"), ("m13", "r bessel"), ("M 13 ", "R-BESSEL")), start=1
    ):
        respell(night / f"light_000{n}.fit", OBJECT=target, FILTER=through)
    return night


def lights(frames):
    return frames[frames["imagetyp"] == "light"]


def test_headers_spelt_otherwise_make_one_group(night):
    frames = lights(scan(night))
    assert set(frames["object"]) == {"M 13"}
    assert set(frames["filter"]) == {"R_Bessel"}
    stacks = [t.output for t in make_plan(scan(night)).tasks if "stacks/" in t.output]
    assert len(stacks) == 1
    assert "_R-Bessel_" in stacks[0]


def test_names_given_by_hand_are_folded_as_those_of_headers(night):
    setting = "light_0002.fit: object=m_13, filter=R BESSEL"
    prepared = prepare_night([night], Choices(settings=[setting]))
    frames = lights(prepared.frames)
    assert set(frames["object"]) == {"M 13"}
    assert set(frames["filter"]) == {"R_Bessel"}
    assert frames["group"].nunique() == 1
    # A plan from the table alone folds them, too.
    table = apply_overrides(scan(night), settings=[setting])
    assert {t.group for t in make_plan(table).tasks if "stacks/" in t.output} == set(
        frames["group"]
    )


def test_single_letters_are_taken_as_they_are_in_planning_as_in_the_table(night):
    for n, name in enumerate("Rr", start=1):
        respell(night / f"light_000{n}.fit", OBJECT=name, FILTER=name)
    prepared = prepare_night([night])
    frames = lights(prepared.frames).set_index("file")
    assert list(frames.loc[["light_0001.fit", "light_0002.fit"], "object"]) == [
        "R",
        "r",
    ]
    assert frames["group"].nunique() == 3


def test_a_library_s_flat_is_found_though_its_filter_and_camera_are_spelt_otherwise(
    night, tmp_path
):
    for path in night.glob("*.fit"):
        respell(path, INSTRUME="ZWO CCD ASI1600MM Pro")
    made = reduce_night(night)
    add_to_library(tmp_path / "library", [made.folder])
    assert set(read_library(tmp_path / "library").masters["filter"].dropna()) == {
        "R_Bessel"
    }
    for path in night.glob("*.fit"):
        if path.name.startswith("flat"):
            path.unlink()
        elif path.name.startswith("light"):
            respell(path, FILTER="r-bessel", INSTRUME="ASI1600MM Pro")
    prepared = prepare_night([night], Choices(library=tmp_path / "library"))
    flats = lights(prepared.frames)["flat"]
    assert flats.notna().all()
    assert flats.str.startswith(str(tmp_path / "library")).all()


def test_a_filter_by_number_is_one_however_it_is_written(tmp_path):
    night = write_night(tmp_path / "night")
    for path in (*night.glob("flat_*.fit"), *night.glob("light_*.fit")):
        fits.setval(path, "FILTER", value="3.0")
    library = tmp_path / "library"
    add_to_library(library, [reduce_night(night, page=False).folder])
    for path in night.glob("flat_*.fit"):
        path.unlink()
    for path in night.glob("light_*.fit"):
        fits.setval(path, "FILTER", value=3)
    for settings in ((), ("light_*: filter=3.0",), ("light_*: filter=3",)):
        plan = prepare_night(night, Choices(library=library, settings=settings)).plan
        flats = [
            one.calibration.flat
            for task in plan.tasks
            if task.action is Action.CALIBRATE
            for one in task.frames
        ]
        assert len(flats) == 3
        assert all(flats)
