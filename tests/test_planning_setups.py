"""Groups of frames, and the sets of like frames in them."""

from planned_nights import night_of


def groups_of(*frames):
    return night_of(*frames).groups["group"].tolist()


def setups_of(*frames):
    return night_of(*frames).setups["setup"].tolist()


def test_each_type_is_grouped_by_its_own_rule():
    night = night_of("bias", "bias", "dark", "flatdark", "flat", "light", "light")
    assert night.groups["output"].tolist() == [
        "masters/bias_1x1_m20C.fits",
        "masters/dark_60s_1x1_m20C.fits",
        "masters/flatdark_2s_1x1_m20C.fits",
        "masters/flat_R_1x1.fits",
        "stacks/light_M13_R_60s_1x1.fits",
    ]
    assert night.frames["group_code"].tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert night.setups["file"].tolist() == [
        "00.fit",
        *(f"{n:02d}.fit" for n in range(2, 6)),
    ]


def test_only_frames_that_are_used_and_of_a_known_kind_take_part():
    night = night_of("bias", ("bias", {"use": False}), "other", (None, {}), "master")
    assert night.frames["file"].tolist() == ["00.fit"]


def test_a_night_without_frames_is_empty():
    night = night_of(("bias", {"use": False}))
    assert night.frames.empty
    assert night.groups.empty
    assert night.setups.empty


def test_setups_of_a_group_are_told_apart_by_what_differs():
    flats = [("flat", {"exptime": t}) for t in (2.0, 2.0, 5.0)]
    assert groups_of(*flats) == ["flat_R_1x1"]
    assert setups_of(*flats) == ["flat_R_1x1 [2 s]", "flat_R_1x1 [5 s]"]


def test_a_fact_that_one_setup_lacks_is_named():
    flats = [("flat", {"rotator": angle}) for angle in (None,)]
    assert setups_of(*flats) == ["flat_R_1x1"]
    lights = [("light", {"night": night}) for night in ("2024-03-01", None)]
    assert setups_of(*lights) == [
        "light_M13_R_60s_1x1 [2024-03-01]",
        "light_M13_R_60s_1x1 [night unknown]",
    ]


def test_setups_that_no_told_fact_parts_are_numbered():
    lights = [("light", {"telescop": name}) for name in ("RC10", "RC10")]
    assert setups_of(*lights) == ["light_M13_R_60s_1x1"]
    choices = [
        ("light", {"flat": cell})
        for cell in ("/lib/a.fits", "/lib/b.fits", "/lib/a.fits")
    ]
    assert setups_of(*choices) == [
        "light_M13_R_60s_1x1 [/lib/a.fits]",
        "light_M13_R_60s_1x1 [/lib/b.fits]",
    ]


def test_a_choice_of_the_observer_parts_and_one_of_a_plan_does_not():
    lights = [
        ("light", {"flat": "masters/a.fits", "planned": "flat=masters/a.fits"}),
        ("light", {"flat": " masters/b.fits "}),
        "light",
    ]
    night = night_of(*lights)
    assert night.frames["flat"].fillna("").tolist() == ["", "b", ""]
    assert night.frames["setup_code"].tolist() == [0, 1, 0]
