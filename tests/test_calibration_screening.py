"""Nights with frames that cannot be, planned and reduced; clean ones left in peace."""

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from level_nights import PLAN, masters_of, on, planned, write_level_night
from small_night import SHAPE, write_frame

from autoreduce.cli import cli
from autoreduce.reduction import reduce_night
from autoreduce.remarks import Severity


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
    assert (f"(--include '{kinds[0]}_" in why) == (code != "no-data")


def test_detectors_of_a_mosaic_are_not_held_against_each_other(tmp_path):
    night = write_level_night(tmp_path)
    for path in night.iterdir():
        pixels, header = fits.getdata(path, header=True)
        for name in ("East", "West"):
            cards = fits.Header({**header, "CCDNAME": name})
            fits.append(path.with_suffix(".new"), pixels, cards)
        path.with_suffix(".new").rename(path)
    prepared, codes, _ = planned(night)
    assert codes == {}
    assert set(prepared.frames["detector"]) == {"East", "West"}


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


def test_counts_that_wrapped_around_are_found(tmp_path):
    def wrapped(pixels):
        return (2 * pixels).astype(np.uint16).astype(np.int16)

    _, codes, _ = planned(write_level_night(tmp_path, on(["flat"], wrapped)))
    assert codes == {"flat": {"all-wrapped"}}


def test_counts_a_part_of_which_wrapped_are_not_offered_to_be_included(tmp_path):
    def wrapped(pixels):
        return (25 * pixels).astype(np.uint16).astype(np.int16)

    prepared, codes, _ = planned(write_level_night(tmp_path, on(["light"], wrapped)))
    assert codes == {"light": {"wrapped"}}
    left = prepared.frames.loc[~prepared.frames["use"], "why_not"]
    assert not left.str.contains("--").any()


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
    # The log says what the terminal does, word for word.
    log = (tmp_path / "n_reduced" / "autoreduce.log").read_text()
    for line in told.stderr.splitlines():
        if line.startswith("  "):
            assert line.strip() in log


def test_a_night_of_whose_lights_nothing_could_be_made_ends_with_1(tmp_path):
    night = write_level_night(tmp_path / "n", on(["light"], lambda p: 0 * p))
    assert CliRunner().invoke(cli, [str(night), "-q"]).exit_code == 1
    without = [str(night), "-q", "--exclude", "light*"]
    assert CliRunner().invoke(cli, without).exit_code == 0


def test_a_doubt_is_told_once_with_the_ends_of_both_values(tmp_path):
    for n in range(3):
        pixels = np.full(SHAPE, 65535, np.uint16)
        pixels[0] -= n + 1
        write_frame(tmp_path, f"dark_{n}.fit", "dark", 60.0, pixels=pixels)
    write_frame(tmp_path, "bias_1.fit", "bias")
    prepared, codes, _ = planned(tmp_path)
    assert codes == {"dark": {"white"}}
    assert prepared.frames["why_not"].dropna().nunique() == 1


def test_a_way_out_names_all_the_frames_that_it_is_about(tmp_path):
    """Two white darks are told in one line, whose option takes both back."""
    change = on(["dark 0", "dark 1"], lambda pixels: pixels / 20 + 65500.0)
    night = write_level_night(tmp_path / "night", change)
    reduced = reduce_night(night, page=False)
    told = reduced.told(Severity.LEFT_OUT)[0]
    assert set(told.subject) == {"dark_60s_006.fit", "dark_60s_007.fit"}
    assert f"(--include '{','.join(told.subject)}')" in str(told)


def test_a_pedestal_that_a_card_tells_is_no_other_level(tmp_path):
    def card(kind, path, pixels):
        fits.setval(path, "PEDESTAL", value=-100 if kind == "bias" else 0)

    change = on(["bias"], lambda pixels: pixels + 100.0)
    _, codes, notes = planned(write_level_night(tmp_path, change, write=card))
    assert (codes, notes) == ({}, [])


def test_darks_without_dark_current_are_no_darks_of_that_exposure(tmp_path):
    """Two bias frames called darks of 60 s: the others have 30 ADU of dark current."""
    change = on(["dark 0", "dark 1"], lambda pixels: pixels - 30.0)
    prepared, codes, _ = planned(write_level_night(tmp_path, change))
    assert codes == {"dark": {"half-dark"}}
    left = prepared.frames.loc[~prepared.frames["use"], "file"]
    assert sorted(left) == ["dark_60s_006.fit", "dark_60s_007.fit"]


def test_a_frame_that_was_saved_again_counts_once(tmp_path):
    night = write_level_night(tmp_path)
    for name in ("light_60s_014.fit", "dark_60s_006.fit"):
        data, header = fits.getdata(night / name), fits.getheader(night / name)
        header["CRVAL1"] = 12.5
        fits.writeto(night / f"{name[:-4]}_solved.fit", data, header)
    frames = planned(night)[0].frames.set_index("file")
    left = frames.loc[~frames["use"], "code"].to_dict()
    assert left == {
        "light_60s_014_solved.fit": "same-pixels",
        "dark_60s_006_solved.fit": "same-pixels",
    }
    again = planned(night, include=("*_solved.fit",))[0].frames
    assert again["use"].all()


def with_overscan(pixels, *, is_lit):
    """Give a frame of `SHAPE` an overscan of eight columns; if lit, it is image."""
    strip = pixels[:, -8:] if is_lit else 300.0 + 4 * RNG.standard_normal((SHAPE[0], 8))
    return np.hstack([pixels, strip])


RNG = np.random.default_rng(17)


@pytest.mark.parametrize("is_lit", [True, False])
def test_an_overscan_that_sees_light_is_not_used(tmp_path, is_lit):
    ny, nx = SHAPE

    def change(kind, n, pixels):
        return with_overscan(pixels, is_lit=is_lit)

    cards = {"BIASSEC": f"[{nx + 1}:{nx + 8},1:{ny}]", "TRIMSEC": f"[1:{nx},1:{ny}]"}
    prepared, codes, _ = planned(write_level_night(tmp_path, change, **cards))
    assert codes == {}
    told = [one for one in prepared.plan.notes if one.code == "overscan-lit"]
    assert len(told) == is_lit
    assert prepared.frames["biassec"].isna().all() == is_lit
