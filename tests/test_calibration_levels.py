"""Frames whose levels cannot be are told, and clean nights are left in peace."""

from zlib import crc32

import numpy as np
import pytest
from click.testing import CliRunner
from level_nights import PLAN, as_floats_with_bzero, on, write_level_night
from small_night import SHAPE, write_frame

from autoreduce.calibration.levels import Raw, judge
from autoreduce.calibration.samples import sum_up
from autoreduce.cli import cli
from autoreduce.planning.plan import Action
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night

BIAS, NOISE = 1000.0, 6.0


def planned(folder, **choices):
    prepared = prepare_night([folder], Choices(**choices))
    frames = prepared.frames.set_index("file")
    left = frames.loc[~frames["use"]]
    codes = {name: set(part["code"]) for name, part in left.groupby("imagetyp")}
    notes = [one for one in prepared.plan.notes if one.code in SAID]
    return prepared, codes, notes


SAID = ("counts-differ", "saturation-disproved")


def masters_of(prepared, kind):
    (need,) = {
        (item.calibration.bias, item.calibration.dark)
        for task in prepared.plan.tasks
        for item in task.frames
        if task.action is {"light": Action.CALIBRATE, "flat": Action.FLAT}[kind]
    }
    return tuple(output is not None for output in need)


def test_a_clean_night_loses_nothing_and_is_silent(tmp_path):
    prepared, codes, notes = planned(write_level_night(tmp_path))
    assert (codes, notes) == ({}, [])
    assert prepared.frames["counts"].isna().all()
    assert masters_of(prepared, "light") == (True, True)


@pytest.mark.parametrize(
    ("kinds", "change", "code", "values"),
    [
        (["dark"], lambda p: p - 300.0, "below-bias", ("30 ADU", "300 ADU")),
        (["dark"], lambda p: p + 30000.0, "above-lights", ("30330 ADU", "12")),
        (["dark"], lambda p: 0 * p + 65535.0, "no-data", ("65535", "")),
        (["bias"], lambda p: 0 * p + 65535.0, "no-data", ("65535", "")),
        (["dark"], lambda p: p / 20 + 65500, "white", ("6551", "65535 ADU")),
        (["dark"], lambda p: p + 400.0, "offset-dark", ("430 ADU", "ADU")),
        (["bias"], lambda p: p + 9000.0, "above-lights", ("9300 ADU", "12")),
        (
            ["dark"],
            lambda p: (p * np.nan).astype(np.float32),
            "no-data",
            ("no ", ""),
        ),
    ],
)
def test_frames_that_cannot_be_are_left_out_whatever_their_number(
    tmp_path, kinds, change, code, values
):
    night = write_level_night(tmp_path, on(kinds, change))
    prepared, codes, _ = planned(night)
    assert codes == {kinds[0]: {code}}
    (why,) = set(prepared.frames.loc[~prepared.frames["use"], "why_not"])
    assert values[0] in why
    assert values[1] in why
    assert f"(--include '{kinds[0]}_" in why


def test_one_of_two_white_darks_is_left_out_as_one_of_five_is(tmp_path):
    for n_darks in (2, 5):
        plan = [(k, t, n_darks if k == "dark" else n) for k, t, n in PLAN]
        change = on(["dark 0"], lambda pixels: pixels / 20 + 65500.0)
        _, codes, _ = planned(write_level_night(tmp_path / str(n_darks), change, plan))
        assert codes == {"dark": {"white"}}


def test_the_way_out_works_when_it_is_pasted(tmp_path):
    night = write_level_night(tmp_path, on(["dark"], lambda pixels: pixels - 300.0))
    first, _, _ = planned(night)
    (why,) = set(first.frames.loc[~first.frames["use"], "why_not"])
    pattern = why.partition("--include '")[2].partition("'")[0]
    prepared, codes, _ = planned(night, include=[pattern])
    assert codes == {}
    assert masters_of(prepared, "light") == (True, True)


def test_with_keep_all_frames_are_doubted_and_kept(tmp_path):
    night = write_level_night(tmp_path, on(["dark"], lambda pixels: pixels - 300.0))
    prepared, codes, _ = planned(night, keep_all=True)
    assert codes == {}
    darks = prepared.frames[prepared.frames["imagetyp"] == "dark"]
    assert darks["why_not"].str.contains("below that of a closed shutter").all()


def test_one_light_from_which_the_dark_was_taken_already_is_left_out(tmp_path):
    night = write_level_night(tmp_path, on(["light 2"], lambda pixels: pixels - 1150.0))
    prepared, codes, _ = planned(night)
    assert codes == {"light": {"below-bias"}}
    assert (~prepared.frames["use"]).sum() == 1


def test_where_all_lights_are_dark_subtracted_it_is_the_masters_that_are_not_used(
    tmp_path,
):
    night = write_level_night(tmp_path, on(["light"], lambda pixels: pixels - 1150.0))
    _, codes, _ = planned(night)
    assert codes == {"bias": {"above-lights"}, "dark": {"above-lights"}}


@pytest.mark.parametrize(
    "kinds", [["light"], ["bias", "dark"], ["bias", "dark", "flat"]]
)
@pytest.mark.parametrize(
    ("change", "way"),
    [
        (lambda pixels: 16 * pixels, "in steps of 16"),
        (lambda pixels: (pixels / 65535).astype(np.float32), "0 to 1"),
        (lambda pixels: np.clip(pixels / 8, 0, 255).astype(np.uint8), "8 bits"),
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
    assert "in steps of 1;" in str(note) or str(note).count("in steps of 1 ") == 1
    assert "--set '*: counts=alike'" in str(note)
    alike, _, notes = planned(tmp_path, settings=["*: counts=alike"])
    assert notes == []
    assert masters_of(alike, "light") == (True, True)


@pytest.mark.parametrize("change", [lambda p: 16 * np.rint(p / 8), lambda p: p / 8])
def test_all_frames_in_steps_of_16_are_alike(tmp_path, change):
    _, codes, notes = planned(write_level_night(tmp_path, lambda _k, _n, p: change(p)))
    assert (codes, notes) == ({}, [])


@pytest.mark.parametrize("kind", ["dark", "light"])
def test_floats_that_kept_their_bzero_do_not_count_as_others(tmp_path, kind):
    night = write_level_night(tmp_path, write=as_floats_with_bzero(kind))
    prepared, _, (note,) = planned(night)
    assert f"4 {kind} frames count floats with BZERO" in str(note)
    assert masters_of(prepared, "light") == (kind == "dark", False)


def test_signed_and_unsigned_integers_of_one_level_are_alike(tmp_path):
    signed = on(["bias 0", "bias 2"], lambda pixels: pixels.astype(np.int16))
    _, codes, notes = planned(write_level_night(tmp_path, signed))
    assert (codes, notes) == ({}, [])


def test_counts_that_wrapped_around_are_found(tmp_path):
    def wrapped(pixels):
        return (2 * pixels).astype(np.uint16).astype(np.int16)

    _, codes, _ = planned(write_level_night(tmp_path, on(["flat"], wrapped)))
    assert codes == {"flat": {"wrapped"}}


def test_a_card_of_saturation_that_pixels_exceed_is_not_used(tmp_path):
    night = write_level_night(tmp_path, SATURATE=4095.0)
    prepared, codes, (note,) = planned(night)
    assert codes == {}
    assert note.code == "saturation-disproved"
    assert "4095 ADU" in str(note)
    assert prepared.frames["saturate"].isna().all()
    _, _, notes = planned(night, settings=["*: saturate=65535"])
    assert notes == []


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


def test_what_a_run_leaves_out_is_said_in_the_light_and_the_page(tmp_path):
    night = write_level_night(tmp_path / "n", on(["dark"], lambda p: p - 300.0))
    reduced = reduce_night(night)
    assert not reduced.failed
    assert (
        "below that of a closed shutter" in (reduced.folder / "report.html").read_text()
    )


def test_what_is_doubtful_is_told_in_quiet_as_well(tmp_path):
    night = write_level_night(tmp_path / "n", on(["dark"], lambda p: p - 300.0))
    told = CliRunner().invoke(cli, [str(night), "-q"])
    assert told.exit_code == 0
    assert told.stdout == ""
    assert "below that of a closed shutter" in told.stderr
    assert "--include 'dark_60s_*'" in told.stderr


def test_a_night_of_whose_lights_nothing_could_be_made_ends_with_1(tmp_path):
    night = write_level_night(tmp_path / "n", on(["light"], lambda p: 0 * p))
    assert CliRunner().invoke(cli, [str(night), "-q"]).exit_code == 1
    without = [str(night), "-q", "--exclude", "light*"]
    assert CliRunner().invoke(cli, without).exit_code == 0


# ------------------------------------------------------- worked by hand, frame by frame


def raw(file, kind, level=BIAS, exptime=0.0, noise=NOISE, **more):
    """Make a frame of one level and noise from 32 rows that are drawn."""
    rng = np.random.default_rng(crc32(file.encode()))
    shape = more.pop("shape", np.zeros((32, 64)))
    rows = np.rint(level + shape + noise * rng.standard_normal((32, 64)))
    return Raw(file, kind, sum_up(rows.astype(np.uint16)), exptime, **more)


def bias_frames(n=3):
    return [raw(f"bias{i}", "bias") for i in range(n)]


def dark(name, exptime, rate=2.0, **more):
    level = BIAS + rate * exptime
    noise = np.sqrt(NOISE**2 + rate * exptime)
    return raw(name, "dark", level, exptime, noise, **more)


def test_a_dark_with_many_times_the_dark_current_of_others_is_lit():
    darks = [dark(f"d{t}", t, rate=20.0 if t == 100 else 1.0) for t in (50, 100, 300)]
    found = judge([[*bias_frames(), *darks]]).left_out
    assert list(found) == ["d100"]
    assert found["d100"].code == "lit-dark"
    assert found["d100"].found == pytest.approx(3000, rel=0.02)
    assert found["d100"].expected == pytest.approx(1100, rel=0.02)


@pytest.mark.parametrize(
    ("bias", "dark_level", "blamed"),
    [(600.0, 1030.0, "offset-bias"), (1000.0, 1430.0, "offset-dark")],
)
def test_lights_tell_whether_bias_or_darks_have_another_offset(
    bias, dark_level, blamed
):
    """Lights of 600 ADU of sky on 1000, at 1 electron/ADU, and two flats of 20000."""
    frames = [
        *(raw(f"b{i}", "bias", bias) for i in range(3)),
        *(
            raw(f"d{i}", "dark", dark_level, 60.0, np.hypot(6, 30**0.5))
            for i in range(3)
        ),
        *(raw(f"l{i}", "light", 1630.0, 60.0, np.hypot(6, 630**0.5)) for i in range(3)),
        *(raw(f"f{i}", "flat", 21000.0, 2.0, 20000**0.5) for i in range(2)),
    ]
    found = judge([frames]).left_out
    assert {doubt.code for doubt in found.values()} == {blamed}
    assert len(found) == 3


def test_of_two_exposures_nobody_can_tell_which_is_lit():
    darks = [dark("d50", 50, rate=1.0), dark("d100", 100, rate=20.0)]
    assert judge([[*bias_frames(), *darks]]).left_out == {}


@pytest.mark.parametrize("others", [True, False])
def test_the_faulty_darks_are_found_though_they_are_the_majority(others):
    """As a set of 5 long darks of which 3 have no dark current in their lower part."""
    half = np.zeros((32, 64))
    half[16:] = -766.0
    long = [
        dark(f"d300_{i}", 300, rate=766 / 300, shape=half if i < 3 else 0 * half)
        for i in range(5)
    ]
    short = [dark(f"d100_{i}", 100, rate=766 / 300) for i in range(3)]
    frames = [*bias_frames(), *long, *(short if others else [])]
    found = judge([frames]).left_out
    assert sorted(found) == ["d300_0", "d300_1", "d300_2"]
    assert {doubt.code for doubt in found.values()} == {"half-dark"}
    assert found["d300_0"].found == 0.5
    assert found["d300_0"].expected == pytest.approx(766, rel=0.02)


def test_light_in_a_part_of_one_dark_does_not_condemn_its_fellows():
    lit = np.zeros((32, 64))
    lit[16:] = 800.0
    darks = [dark("lit", 60, shape=lit), *(dark(f"d{i}", 60) for i in range(3))]
    assert judge([[*bias_frames(), *darks]]).left_out == {}


def test_warm_darks_are_not_held_against_cold_lights():
    warm = [dark(f"d{i}", 60, rate=100.0, temperature=25.0) for i in range(3)]
    lights = [
        raw(f"l{i}", "light", 1400.0, 60.0, 20.0, temperature=-10.0) for i in range(3)
    ]
    assert judge([[*bias_frames(), *warm, *lights]]).left_out == {}
    cold = [dark(f"d{i}", 60, rate=100.0, temperature=-10.0) for i in range(3)]
    found = judge([[*bias_frames(), *cold, *lights]]).left_out
    assert {doubt.code for doubt in found.values()} == {"above-lights"}


def test_bias_levels_of_other_nights_are_not_mixed():
    old = [raw(f"old{i}", "bias", 1500.0, night="2024-03-01") for i in range(3)]
    new = [raw(f"new{i}", "bias", 1000.0, night="2024-03-02") for i in range(3)]
    darks = [dark(f"d{i}", 60, night="2024-03-02") for i in range(3)]
    lights = [
        raw(f"l{i}", "light", 1700.0, 60.0, 25.0, night="2024-03-02") for i in range(3)
    ]
    judged = judge([[*old, *new, *darks, *lights]])
    assert (judged.left_out, judged.counts) == ({}, {})


def test_a_hundred_clean_nights_lose_no_frame():
    rng = np.random.default_rng(7)
    for n in range(300):
        level, read, rate = (
            rng.uniform(100, 3000),
            rng.uniform(1, 30),
            rng.uniform(0, 3),
        )
        drift, sky = level * rng.uniform(-0.04, 0.04), rng.uniform(0, 3000)
        frames = [raw(f"{n}b{i}", "bias", level, noise=read) for i in range(3)]
        for t in (10.0, 60.0, 300.0):
            noise = np.hypot(read, np.sqrt(rate * t))
            name = f"{n}d{t}"
            frames.append(raw(name, "dark", level + drift + rate * t, t, noise))
            up = level + drift + rate * t + sky
            noise = np.sqrt(read**2 + rate * t + sky)
            frames.append(raw(f"{n}l{t}", "light", up, t, noise))
        assert judge([frames]).left_out == {}, n


def test_a_doubt_is_told_once_with_the_ends_of_both_values(tmp_path):
    for n in range(3):
        pixels = np.full(SHAPE, 65535, np.uint16)
        pixels[0] -= n + 1
        write_frame(tmp_path, f"dark_{n}.fit", "dark", 60.0, pixels=pixels)
    write_frame(tmp_path, "bias_1.fit", "bias")
    prepared, codes, _ = planned(tmp_path)
    assert codes == {"dark": {"white"}}
    assert prepared.frames["why_not"].dropna().nunique() == 1
