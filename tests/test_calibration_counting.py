"""Frames that do not count alike are kept apart, and wrong saturation levels unused."""

import shlex

import numpy as np
import pytest
from astropy.io import fits
from level_nights import (
    PLAN,
    as_floats_with_bzero,
    masters_of,
    on,
    planned,
    write_level_night,
)

from autoreduce.planning.plan import Action


@pytest.mark.parametrize(
    "kinds", [["light"], ["bias", "dark"], ["bias", "dark", "flat"]]
)
@pytest.mark.parametrize(
    ("change", "way"),
    [
        (lambda pixels: 16 * pixels, "in steps of 16"),
        (lambda pixels: (pixels / 65535).astype(np.float32), "from 0 to 1"),
        (lambda pixels: np.clip(pixels / 8, 0, 255).astype(np.uint8), "in 8 bits"),
    ],
)
def test_frames_that_count_otherwise_are_kept_apart_and_said(
    tmp_path, kinds, change, way
):
    def shifted(kind, n, pixels):
        low = np.clip(pixels, 0, 4095)
        return change(low) if kind in kinds else low

    prepared, _, (note,) = planned(write_level_night(tmp_path, shifted))
    assert masters_of(prepared, "light") == (False, False)
    assert way in str(note)
    assert "in steps of 1;" in f"{note.found};"
    # Offered only where it can be true: no light lies below a closed shutter.
    offered = way == "in steps of 16" and kinds == ["light"]
    assert note.way_out == ("--set '*: counts=alike'" if offered else "")
    alike, _, (told,) = planned(tmp_path, settings=["*: counts=alike"])
    assert told.code == "counts-by-hand"
    assert told.found == note.found
    assert masters_of(alike, "light") == (True, True)


@pytest.mark.parametrize("change", [lambda p: 16 * np.rint(p / 8), lambda p: p / 8])
def test_all_frames_in_steps_of_16_are_alike(tmp_path, change):
    _, codes, notes = planned(write_level_night(tmp_path, lambda _k, _n, p: change(p)))
    assert (codes, notes) == ({}, [])


@pytest.mark.parametrize("kind", ["dark", "light"])
def test_floats_that_kept_their_bzero_do_not_count_as_others(tmp_path, kind):
    night = write_level_night(tmp_path, write=as_floats_with_bzero(kind))
    prepared, _, (note,) = planned(night)
    assert f"4 {kind} frames count in floats with BZERO" in str(note)
    assert masters_of(prepared, "light") == (kind == "dark", False)
    assert note.way_out == f"--set '{kind}_60s_*: pedestal=32768'"
    mended, codes, notes = planned(night, settings=[shlex.split(note.way_out)[1]])
    assert (codes, notes) == ({}, [])
    assert masters_of(mended, "light") == (True, True)


@pytest.mark.parametrize("camera", ["ASI 1600", None])
def test_lights_of_a_part_of_the_sensor_are_held_against_frames_of_the_whole(
    tmp_path, camera
):
    def cut(kind, n, pixels):
        if kind == "light":
            return pixels[8:40, 8:56]
        return (pixels / 65535).astype(np.float32)

    night = write_level_night(tmp_path, cut, INSTRUME=camera)
    prepared, _, notes = planned(night)
    # Where nobody names the camera, it may be another one.
    assert ["from 0 to 1" in str(note) for note in notes] == [True] * bool(camera)
    assert masters_of(prepared, "light") == (False, False)


def test_two_whole_nights_of_cameras_of_one_name_need_no_word(tmp_path):
    """Drivers name all their cameras alike: those of another size are others."""

    def in_steps(_kind, _n, pixels):
        return 16 * np.rint(pixels / 16)

    def small(kind, n, pixels):
        return in_steps(kind, n, pixels[8:40, 8:56])

    cards = {"INSTRUME": "USB Camera"}
    write_level_night(tmp_path / "one", **cards)
    write_level_night(tmp_path / "other", small, **cards)
    prepared, codes, notes = planned(tmp_path)
    assert (codes, notes) == ({}, [])
    lights = [t for t in prepared.plan.tasks if t.action is Action.CALIBRATE]
    used = [t.frames[0].calibration for t in lights]
    assert len({(one.bias, one.dark, one.flat) for one in used}) == 2
    assert all(one.bias and one.dark and one.flat for one in used)
    # One of the same size may go by the masters of the other.
    write_level_night(tmp_path / "third", in_steps, **cards)
    _, _, (note,) = planned(tmp_path)
    assert "in steps of 16" in note.found


def test_signed_and_unsigned_integers_of_one_level_are_alike(tmp_path):
    signed = on(["bias 0", "bias 2"], lambda pixels: pixels.astype(np.int16))
    _, codes, notes = planned(write_level_night(tmp_path, signed))
    assert (codes, notes) == ({}, [])


@pytest.mark.parametrize("keyword", ["SATURATE", "MAXADU"])
def test_a_card_of_saturation_that_pixels_exceed_is_not_used(tmp_path, keyword):
    night = write_level_night(tmp_path, **{keyword: 4095.0})
    prepared, codes, (note,) = planned(night)
    assert codes == {}
    assert note.code == "saturation-disproved"
    assert "4095 ADU" in str(note)
    assert prepared.frames["saturate"].isna().all()
    _, _, notes = planned(night, settings=["*: saturate=65535"])
    assert notes == []


def test_only_the_frames_of_the_camera_that_told_it_are_set(tmp_path):
    def card(kind, path, pixels):
        fits.setval(path, "INSTRUME", value="A" if kind == "light" else "B")
        fits.setval(path, "SATURATE", value=4095.0 if kind == "light" else 65535.0)

    night = write_level_night(tmp_path, write=card)
    *_, notes = planned(night)
    (note,) = (one for one in notes if one.code == "saturation-disproved")
    assert set(note.subject) == {path.name for path in night.glob("light*")}
    assert note.way_out == "--set 'light_60s_*: saturate=65535'"


@pytest.mark.parametrize(("level", "is_said"), [(4095.0, True), (0.0, False)])
def test_pixels_above_the_highest_valid_one_that_a_card_tells_are_said(
    tmp_path, level, is_said
):
    night = write_level_night(tmp_path, DATAMAX=level)
    _, codes, notes = planned(night)
    assert codes == {}
    assert [note.code for note in notes] == ["saturation-disproved"] * is_said
    for note in notes:
        assert "4095 ADU" in str(note)
        assert note.way_out == "--set '*: saturate=65535'"
        assert planned(night, settings=["*: saturate=65535"])[2] == []


def test_a_brightest_pixel_is_no_wrong_card(tmp_path):
    """As programs write it that tell what each frame holds."""

    def card(kind, path, pixels):
        fits.setval(path, "DATAMAX", value=int(pixels.max()))

    assert planned(write_level_night(tmp_path, write=card))[1:] == ({}, [])


def test_a_limit_of_linearity_is_no_wrong_card(tmp_path):
    prepared, _, notes = planned(write_level_night(tmp_path, SATURATE=15000.0))
    assert notes == []
    assert prepared.frames["saturate"].eq(15000.0).all()


def test_bias_frames_of_two_levels_are_kept_apart(tmp_path):
    plan = [(k, t, 6 if k == "bias" else n) for k, t, n in PLAN]
    change = on([f"bias {n}" for n in range(3)], lambda pixels: pixels + 300)
    prepared, codes, (note,) = planned(write_level_night(tmp_path, change, plan))
    assert codes == {}
    assert "3 bias frames count from 600 ADU" in str(note)
    masters = [t.output for t in prepared.plan.tasks if t.action is Action.BIAS]
    assert len(masters) == 2
