"""Detectors that see one exposure together."""

from autoreduce.fits.sections import parse_section
from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.focalplane import Place, focal_plane


def frame(file, group, detector=None, **facts):
    facts = {"naxis1": 40, "naxis2": 20, **facts}
    return {"file": file, "group": group, "detector": detector, **facts}


def exposure(file, group, *detectors, places=()):
    told = dict(zip(detectors, places, strict=False))
    return [
        frame(f"{file}[{n}]", f"{group}_{name}", name, place=told.get(name))
        for n, name in enumerate(detectors, start=1)
    ]


def plane_of(*frames):
    return focal_plane(make_frame_table(frames))


def test_files_of_one_detector_are_no_exposure_of_several():
    plane = plane_of(frame("a.fits", "light"), frame("b.fits[1]", "light_E", "E"))
    assert not plane.exposures
    assert plane.family("light_E") == "light_E"


def test_groups_that_share_exposures_are_one_family():
    plane = plane_of(
        *exposure("bias.fits", "bias_1x1", "East", "West"),
        *exposure("a.fits", "light_V_60s", "East", "West"),
        # The third exposure lacks one of them, and the fourth has only this one left.
        frame("b.fits[1]", "light_V_60s_East", "East"),
        frame("c.fits", "light_V_60s", None),
    )
    assert set(plane.families.values()) == {"bias_1x1", "light_V_60s"}
    assert plane.family("light_V_60s_West") == "light_V_60s"
    assert plane.exposures["a.fits[2]"] == "a.fits"
    assert "b.fits[1]" not in plane.exposures
    assert plane.detectors == {"East", "West"}


def test_detectors_of_frames_without_a_group_count():
    """Flats that are left out for want of bias frames are of no group."""
    plane = plane_of(*(frame(f"a.fits[{n}]", None, f"ccd{n}") for n in (1, 2)))
    assert set(plane.exposures.values()) == {"a.fits"}
    assert plane.detectors == {"ccd1", "ccd2"}


def test_families_are_joined_by_any_exposure_in_common():
    """A detector whose temperature jumps has two groups, the other one only one."""
    plane = plane_of(
        *exposure("a.fits", "dark", "E", "W"),
        frame("b.fits[1]", "dark_E_m90C", "E"),
        frame("b.fits[2]", "dark_W", "W"),
    )
    assert set(plane.families.values()) == {"dark"}


def test_a_frame_that_is_said_to_be_another_is_no_part_of_the_exposure():
    told = {"imagetyp": "light", "exptime": 60.0}
    frames = [
        {**one, **told, "exptime": seconds}
        for one, seconds in zip(
            exposure("a.fits", "light", "E", "N", "S", "W"),
            (60.0, 30.0, 60.0, 60.0),
            strict=True,
        )
    ]
    plane = plane_of(*frames)
    assert set(plane.exposures) == {"a.fits[1]", "a.fits[3]", "a.fits[4]"}
    assert "light_N" not in plane.families


def test_families_of_one_name_are_told_apart():
    plane = plane_of(
        *exposure("a.fits", "dark", "E", "W"), *exposure("b.fits", "dark", "N", "S")
    )
    assert sorted(set(plane.families.values())) == ["dark", "dark_2"]


def test_detectors_lie_where_cards_say():
    places = ["[1:40,1:20]", "[90:51,1:20]"]
    plane = plane_of(*exposure("a.fits", "light", "E", "W", places=places))
    assert plane.places["light"] == {
        "E": Place(parse_section(places[0])),
        "W": Place(parse_section("[51:90,1:20]"), (False, True)),
    }


def test_places_that_overlap_or_are_not_told_become_rows_of_detectors():
    names = [f"N{n}" for n in range(12)]
    for places in ((), ["[1:40,1:20]"] * 12, ["[1:40,1:20]"]):
        plane = plane_of(*exposure("a.fits", "light", *names, places=places))
        laid = plane.places["light"]
        # In the order of the extensions, ten after nine, with a gap of 3 %.
        assert list(laid) == names
        assert laid["N1"].section == (slice(0, 20), slice(42, 82))
        assert laid["N5"].section == (slice(21, 41), slice(42, 82))


def test_binned_detectors_lie_as_far_apart_as_others():
    frames = [
        frame(f"a.fits[{n}]", f"light_{n}", f"{n}", xbinning=2, ybinning=2)
        for n in (1, 2)
    ]
    assert plane_of(*frames).places["light"]["2"].section[1].start == 83
