"""What the observer is told of the night as a whole."""

import shlex

import pandas as pd
import pytest
from planned_nights import plan_of

from autoreduce.planning.notes import without_stack

NIGHT = ("bias", "bias", "dark", "dark", "flatdark", "flat", "flat", "light", "light")


def notes(*frames, **options):
    return {note.code: note for note in plan_of(*frames, **options).notes}


def test_of_a_whole_night_there_is_nothing_to_say():
    assert notes(*NIGHT) == {}


def test_of_no_frames_that_is_all_there_is_to_say():
    assert set(notes(("bias", {"use": False}))) == {"no-frames"}


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "light"])
def test_a_type_that_is_absent_is_named(kind):
    frames = [
        one
        for one in NIGHT
        if one != kind and not (kind == "dark" and one == "flatdark")
    ]
    assert f"absent-{kind}" in notes(*frames)


def test_what_is_mixed_is_counted():
    second = ("light", {"night": "2024-03-02"})
    found = notes(*NIGHT, second)["several"]
    assert found.found == "2 nights: 2024-03-01 to 2024-03-02"
    found = [
        note.found
        for note in plan_of(*NIGHT, ("light", {"instrume": "B", "naxis1": 80})).notes
        if note.code == "several"
    ]
    assert found == ["2 cameras: B, CAM", "2 sizes: 100x50, 80x50"]


def test_files_that_lack_a_detector_are_named():
    frames = [
        ("light", {"file": f"l{n}.fits[{hdu}]", "detector": detector})
        for n in (1, 2, 3)
        for hdu, detector in enumerate(("East", "West"), start=1)
        if (n, detector) != (2, "West")
    ]
    told = notes(*frames)["detector-missing"]
    assert told.subject == ("l2.fits",)
    assert str(told) == "without detector West, which 2 other files of the camera have"


def test_frames_that_nothing_can_be_made_of_are_counted():
    found = notes(*NIGHT, (None, {}), (None, {}), "other")
    unknown = found["type-unknown"]
    assert (unknown.found, unknown.expected) == ("2 frames", "09.fit")
    assert unknown.way_out == "--set '09.fit: imagetyp=light'"
    assert (found["not-reduced"].found, found["not-reduced"].expected) == (
        "1 frame",
        "11.fit",
    )


def test_what_lights_lack_is_told_with_their_number():
    lights = [("light", {"filter": "V", "object": name}) for name in ("A", "A", "B")]
    found = notes(*NIGHT, *lights)["unlike-flat"]
    assert (found.subject, found.found) == (("3 lights",), "R")


@pytest.mark.parametrize(
    ("light", "flat", "near"),
    [
        ("Halpha", "H-alpha", False),
        ("Halpha", "Hallpha", True),
        ("Lum", "L", False),
        ("Lum", "luminance", True),
        ("Clear", "Cleer", True),
        ("Clear'", "Cleer'", True),
        ("R", "V", False),
    ],
)
def test_another_spelling_of_a_filter_is_pointed_out(light, flat, near):
    frames = [
        *("bias", "dark", "flatdark"),
        ("flat", {"filter": flat}),
        ("light", {"filter": light}),
        ("light", {"filter": light}),
    ]
    found = notes(*frames)
    assert ("likely-filter" in found) == near
    if near:
        way_out = found["likely-filter"].way_out
        assert shlex.split(way_out) == ["--set", f"04.fit,05.fit: filter={flat}"]


def test_flats_that_are_left_out_are_named():
    found = notes("flat", "flat", "light", "light")["bare-flats"]
    assert found.found == "2 flats of flat_R_1x1"


def test_a_light_that_has_no_other_is_named():
    found = notes(*NIGHT, ("light", {"object": "M31"}))["single-light"]
    assert found.found == "light_M31_R_60s_1x1"
    assert not found.way_out


def test_a_light_of_another_exposure_can_be_pooled():
    one = ("light", {"exptime": 90.0})
    found = notes(*NIGHT, one)["single-light"]
    assert found.way_out == "--stack-by object,filter"
    pooled = plan_of(*NIGHT, one, stack_by=["object", "filter"])
    assert "single-light" not in {note.code for note in pooled.notes}


@pytest.mark.parametrize(
    ("facts", "code", "group"),
    [
        ({"bayerpat": "CMYG"}, "mosaics", "light_M13_R_60s_1x1"),
        ({"ybinning": 2}, "spectra", "light_M13_R_60s_1x2"),
    ],
)
def test_lights_that_are_not_stacked_are_named(facts, code, group):
    found = notes(("light", facts), ("light", facts))
    assert found[code].found == group


@pytest.mark.parametrize("facts", [{"ybinning": 2}, {"disperser": "Gr7"}])
def test_a_single_spectrum_is_named_among_spectra_alone(facts):
    found = notes(*NIGHT, ("light", facts))
    assert "spectra" in found
    assert "single-light" not in found


def test_every_light_without_a_stack_is_told_why():
    lights = (
        ("light", {"object": "M31"}),
        ("light", {"bayerpat": "CMYG", "filter": "C"}),
    )
    plan = plan_of(*NIGHT, *lights, ("light", {"ybinning": 2}))
    found = [(light, why.code) for light, why in without_stack(plan).items()]
    assert sorted(found) == [
        ("calibrated/09.fit", "single-light"),
        ("calibrated/10.fit", "mosaics"),
        ("calibrated/11.fit", "spectra"),
    ]


def cooled(*temperatures, **facts):
    kinds = ("bias", "dark", "flat", "light")
    return [
        (kinds[i % 4], {"ccd_temp": t, **facts}) for i, t in enumerate(temperatures)
    ]


@pytest.mark.parametrize(
    ("set_temp", "code"), [(-20.0, "off-set-point"), (None, "off-the-others")]
)
def test_a_cooler_that_failed_is_told(set_temp, code):
    """Only what a card says is called a set point: most of the night was at -20."""
    night = cooled(*[-20.0] * 8, -17.0, -9.0, -2.5, set_temp=set_temp)
    found = notes(*night)[code]
    assert found.subject == ("08.fit", "09.fit", "10.fit")
    assert (found.found, found.expected) == ("-17.0 to -2.5 degC", "-20.0 degC")


@pytest.mark.parametrize(
    "night",
    [
        cooled(*[-10.0] * 4, *[-12.0] * 4, set_temp=None),  # two set points
        cooled(*range(20, 8, -1), set_temp=None),  # no cooler
        cooled(*[-15.0] * 8),  # never reached: that is how this camera is
        cooled(*[-19.0] * 8),
    ],
)
def test_temperatures_that_hold_or_drift_all_night_need_no_word(night):
    assert not {"off-set-point", "off-the-others"} & notes(*night).keys()


def test_a_camera_without_a_cooler_and_without_darks_is_told_nothing():
    night = [("light", {"ccd_temp": t, "set_temp": None}) for t in [26.0] * 8 + [17.9]]
    assert "off-the-others" not in notes(*night)
    darks = [("dark", {"ccd_temp": 26.0, "set_temp": None})] * 2
    assert "off-the-others" in notes(*night, *darks)


def begun(kind, exptime, *seconds):
    start = pd.Timestamp("2024-03-01T20:00:00", tz="UTC")
    return [
        (kind, {"exptime": exptime, "date_obs": start + pd.Timedelta(seconds=s)})
        for s in seconds
    ]


def test_exposures_in_milliseconds_are_told_by_the_time_they_took():
    found = notes(*begun("dark", 60000.0, 0, 62, 124, 190))["overlapping"]
    assert found.subject == ("00.fit", "01.fit", "02.fit", "03.fit")
    assert (found.found, found.expected) == ("60000 s", "63.3 s")
    assert found.way_out.endswith(": exptime=60'")


@pytest.mark.parametrize(
    ("exptime", "seconds"),
    [
        (60.0, (0, 62, 124)),
        (300.0, (0, 90, 310, 395, 620)),  # two cameras of one name
        (60.0, (0, 0, 0)),  # the start of the series, in every header
        (60.0, (0, 60, 60, 120)),  # full minutes
        (60.0, (5,)),
    ],
)
def test_exposures_that_can_be_need_no_word(exptime, seconds):
    assert "overlapping" not in notes(*begun("light", exptime, *seconds))


def test_masters_of_other_programs_are_shown_the_way_into_a_library():
    master = {"use": False, "why_not": "type master", "code": "typed-master"}
    night = [*NIGHT, ("master", master), ("master", master)]
    found = notes(*night, root="/data/n1")["foreign-masters"]
    assert (found.found, found.expected) == ("2 masters", "09.fit")
    assert found.way_out == (
        "autoreduce library add '/data/n1/09.fit' '/data/n1/10.fit' --library masters"
    )


def test_darks_that_hold_their_bias_lack_nothing_where_there_are_no_bias_frames():
    plan = plan_of("dark", "dark", "light", "light")
    dark = next(task for task in plan.tasks if task.output.startswith("masters/dark"))
    assert dark.missing == ()
    other = plan_of(("bias", {"gain": 5.0}), ("dark", {"gain": 0.0}), "light")
    dark = next(task for task in other.tasks if task.output.startswith("masters/dark"))
    assert [one.code for one in dark.missing] == ["unlike-bias"]


@pytest.mark.parametrize(
    ("camera", "code"),
    [("QHY600M", None), ("ZWO Cam", "unlike-bias"), (None, "unlike-bias")],
)
def test_bias_frames_of_another_camera_are_none_to_darks_that_hold_theirs(camera, code):
    plan = plan_of(
        ("bias", {"instrume": camera}),
        ("dark", {"instrume": "Cam"}),
        ("light", {"instrume": "Cam"}),
    )
    dark = next(task for task in plan.tasks if task.output.startswith("masters/dark"))
    assert [one.code for one in dark.missing] == ([code] if code else [])
    light = next(task for task in plan.tasks if task.output.startswith("calibrated"))
    assert light.frames[0].calibration.dark
    assert "unlike-bias" not in {one.code for one in light.missing} or code


def test_flats_without_a_filter_are_told_only_beside_lights_of_their_camera():
    spare = {"instrume": "spare", "filter": None}
    other = [("flat", spare), ("flat", spare), ("light", spare), ("light", spare)]
    assert "unnamed-filter" not in notes(*NIGHT, *other)
    (named,) = [("light", {"instrume": "spare", "filter": "V"})]
    found = notes(*NIGHT, *other, named)["unnamed-filter"]
    assert found.expected == "V"


def test_of_very_many_single_lights_some_are_named():
    lights = [("light", {"object": f"M{n}"}) for n in range(31, 51)]
    found = notes(*NIGHT, *lights)["single-light"].found
    assert found.count("light_M") == 8
    assert found.endswith(" and 12 more")


def test_lights_of_another_size_than_flats_without_camera_and_filter_are_of_another():
    size = {"naxis1": 40, "naxis2": 30}
    flat = ("flat", {"instrume": None, "filter": None, **size})
    light = ("light", {"instrume": "spare", "filter": "V", "naxis1": 80, "naxis2": 60})
    assert "unnamed-filter" not in notes(flat, flat, light)
    for known in (size, {"naxis1": None}):
        found = notes(flat, flat, ("light", {**light[1], **size, **known}))
        assert found["unnamed-filter"].expected == "V"


def test_lights_that_the_exposure_does_not_part_are_not_offered_to_be_pooled():
    one, other = ({"object": "M31", "focallen": f} for f in (500.0, 2000.0))
    found = notes(*NIGHT, ("light", one), ("light", other))["single-light"]
    assert not found.way_out
