"""Damage is found: by `verify` wherever it is, by a run before it is used."""

import json
import os
import shutil

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import hashes, write_frame, write_night

from autoreduce import make_plan, run_plan, scan
from autoreduce.cli import cli
from autoreduce.errors import Interrupted
from autoreduce.fits.ledger import LEDGER, Ledger, Stamp
from autoreduce.prepare import Choices
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits, Status
from autoreduce.running.folder import announce
from autoreduce.running.lock import LOCK
from autoreduce.running.verify import verify

NOT_READ = {"frames.csv", "autoreduce.log", LOCK}
"""Files of an output folder that are the observer's, or only ever added to."""
BIAS = "masters/bias_1x1_m10C.fits"


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    night = write_night(tmp_path_factory.mktemp("verify") / "night")
    for n in (1, 2):
        write_frame(night, f"short_{n:04d}.fit", "light", 30.0)
    reduce_night(night, output=night.with_name("products"))
    return night.parent


@pytest.fixture
def night(first, tmp_path):
    shutil.copytree(first, tmp_path / "copy")
    return tmp_path / "copy" / "night"


@pytest.fixture
def products(night):
    return night.with_name("products")


def run(night, *, limits=None, **choices):
    output = night.with_name("products")
    return reduce_night(
        night, output=output, choices=Choices(**choices), limits=limits, page=False
    )


def flip(path, at, bit=0):
    """Flip a bit, as an ageing disk does: time of writing as it was."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def command(*words):
    return CliRunner().invoke(cli, ["verify", *map(str, words)])


def codes(found):
    return {name: one.code for one in found for name in one.subject}


def notes(reduced, code):
    ends = reduced.report.outcomes.values()
    told = [*reduced.report.plan.notes, *(one for end in ends for one in end.remarks)]
    return [one for one in told if one.code == code]


# ------------------------------------------------------------------ verify


def test_what_was_just_written_is_sound_and_nothing_is_written(products):
    before = hashes(products)
    done = command(products, "--inputs")
    assert (done.exit_code, done.output) == (
        0,
        f"{products}: all is as it was written\n",
    )
    assert hashes(products) == before


def test_two_hundred_flipped_bits_are_all_found(products):
    rng = np.random.default_rng(13)
    files = [
        path
        for path in sorted(products.rglob("*"))
        if path.is_file() and path.name not in NOT_READ
    ]
    kinds = {path.suffix for path in files}
    assert kinds == {".fits", ".fit", ".json", ".csv", ".html", ".png"}
    for n in range(200):
        path = files[n % len(files)]
        content = path.read_bytes()
        flip(path, rng.integers(len(content)), rng.integers(8))
        assert verify(products), path
        path.write_bytes(content)
    assert verify(products) == []


def test_what_is_gone_or_edited_is_named_and_the_status_is_1(products):
    (products / BIAS).unlink()
    with (products / "lights.csv").open("a") as file:
        file.write("\n")
    done = command(products, "-q")
    assert done.exit_code == 1
    assert f"{BIAS}: is not there" in done.output
    assert "lights.csv: is not as it was written" in done.output


def test_an_edited_product_with_sums_of_its_own_is_found(products):
    with fits.open(products / BIAS, mode="update", checksum=True) as hdus:
        hdus[0].data[3, 5] += 100
        hdus[0].add_checksum()
    assert codes(verify(products)) == {BIAS: "changed"}


def test_without_a_ledger_what_has_checksums_is_read(products):
    (products / LEDGER).unlink()
    flip(products / BIAS, 5000)
    assert codes(verify(products)) == {LEDGER: "no-ledger", BIAS: "changed"}


def test_a_plan_that_is_gone_or_cut_is_told_once(products):
    (products / "plan.json").write_text("{")
    assert codes(verify(products)) == {"plan.json": "changed"}
    assert len(verify(products, inputs=True)) == 1
    (products / "plan.json").unlink()
    assert [(r.code, r.subject) for r in verify(products, inputs=True)] == [
        ("lost", ("plan.json",))
    ]


def test_products_of_a_plan_run_from_python_are_sound(night, tmp_path):
    """`run_plan` writes no plan.json: nothing is gone."""
    run_plan(make_plan(scan(night)), tmp_path / "products")
    assert verify(tmp_path / "products") == []


def test_a_frame_table_is_the_observers(products):
    with (products / "frames.csv").open("a") as file:
        file.write("\n")
    assert verify(products) == []


def test_inputs_are_read_when_asked_for(night, products):
    flip(night / "bias_0002.fit", 5000)
    (night / "flat_0001.fit").unlink()
    assert verify(products) == []
    found = codes(verify(products, inputs=True))
    names = {name.rpartition("/")[2]: code for name, code in found.items()}
    # The plan knows the night where it was reduced: it was copied since.
    assert names == {}
    path = products / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "root": str(night)}))
    found = codes(verify(products, inputs=True))
    names = {name.rpartition("/")[2]: code for name, code in found.items()}
    assert names == {
        "plan.json": "changed",
        "bias_0002.fit": "input-changed",
        "flat_0001.fit": "input-changed",
    }


def test_a_run_that_did_not_end_is_told(products):
    holder = {"process": 1, "host": "far", "start": "2024-03-02T01:02:03+00:00"}
    (products / LOCK).write_text(json.dumps(holder))
    (one,) = verify(products)
    assert one.code == "interrupted"
    assert "process 1 on far" in str(one)


def test_a_folder_without_products_is_refused(tmp_path):
    done = command(tmp_path)
    assert done.exit_code == 1
    assert "holds no products" in done.output


# ------------------------------------------------------------------ before it is used


@pytest.fixture
def unstamped(monkeypatch):
    """Hide the time of change: a disk that loses a bit does not set it."""
    of = Stamp.of.__func__
    hidden = classmethod(lambda cls, status: of(cls, status)._replace(ctime_ns=0))
    monkeypatch.setattr(Stamp, "of", hidden)


@pytest.fixture
def settled(night, products, unstamped):
    """Let a night and its products be of long ago, as the ledger knows."""
    for path in night.parent.rglob("*.*"):
        os.utime(path, ns=(10**18, 10**18))
    run(night)
    for path in products.rglob("*.*"):
        os.utime(path, ns=(10**18, 10**18))
    run(night)
    return night


def made(reduced):
    outcomes = reduced.report.outcomes.items()
    return {name for name, one in outcomes if one.status is Status.DONE}


def test_a_master_that_rotted_is_made_again_before_a_new_light_uses_it(
    settled, products
):
    sound = fits.getdata(products / BIAS)
    flip(products / BIAS, -4000)
    assert made(run(settled)) == set()
    write_frame(settled, "light_0004.fit", "light", 60.0)
    done = run(settled)
    assert {BIAS, "calibrated/light_0004.fit"} <= made(done)
    assert "calibrated/light_0001.fit" not in made(done)
    (told,) = notes(done, "not-as-written")
    assert told.subject == (BIAS,)
    assert (products / "left_over" / BIAS).is_file()
    np.testing.assert_array_equal(fits.getdata(products / BIAS), sound)
    assert verify(products) == []


def test_what_tasks_under_way_remember_hides_no_damage(settled, products, monkeypatch):
    """They send back what was known of the master before it was found unsound."""
    stale, part = Ledger.load(products / "ledger.json"), Ledger.part

    def late(self, names):
        self.learn(stale)
        return part(self, names)

    monkeypatch.setattr(Ledger, "part", late)
    flip(products / BIAS, -4000)
    write_frame(settled, "light_0004.fit", "light", 60.0)
    done = run(settled)
    assert BIAS in made(done)
    assert not done.failed


def test_a_light_that_rotted_and_its_master_are_made_again_before_a_stack(
    settled, products
):
    light = "calibrated/light_0002.fit"
    for name in (light, BIAS):
        flip(products / name, -4000)
    for path in (products / "stacks").iterdir():
        path.unlink()
    done = run(settled)
    told = {name for one in notes(done, "not-as-written") for name in one.subject}
    assert told == {light, BIAS}
    assert not done.failed
    assert verify(products) == []


def test_a_disk_that_keeps_nothing_ends_in_words(settled, products, monkeypatch):
    same = Ledger.is_same_since

    def never(self, begin_ns, name, *rest):
        return name != BIAS and same(self, begin_ns, name, *rest)

    monkeypatch.setattr(Ledger, "is_same_since", never)
    write_frame(settled, "light_0004.fit", "light", 60.0)
    done = run(settled)
    assert BIAS in done.failed
    assert "does not hold what was written" in done.report.outcomes[BIAS].reason
    header = fits.getheader(products / "calibrated/light_0004.fit")
    assert "B" not in header["CALSTAT"]


# ------------------------------------------------------------------ left over


def test_what_is_no_longer_planned_is_moved_and_named(night, products):
    mine = products / "calibrated" / "mine.fits"
    fits.writeto(mine, np.ones((2, 2)))
    done = run(night, exclude=["short_0002"])
    (told,) = notes(done, "stale")
    assert "calibrated/short_0002.fit" in str(told)
    assert not (products / "calibrated/short_0002.fit").exists()
    assert (products / "left_over/calibrated/short_0002.fit").is_file()
    assert mine.is_file()
    assert verify(products) == []
    run(night)
    again = run(night, exclude=["short_0002"])
    assert notes(again, "stale")
    left = {path.name for path in (products / "left_over/calibrated").iterdir()}
    assert left == {"short_0002.fit", "short_0002_2.fit"}


def test_if_most_would_go_nothing_does_unless_it_is_asked_for(night, products):
    before = hashes(products / "calibrated")
    few = ["light_*", "short_*", "flat_*"]
    done = run(night, exclude=few)
    (told,) = notes(done, "stale-most")
    assert told.way_out == "--prune"
    assert hashes(products / "calibrated") == before
    done = run(night, exclude=few, limits=Limits(prune=True))
    assert notes(done, "stale")
    assert hashes(products / "calibrated") == {}
    assert verify(products) == []


def test_an_edited_frame_table_is_kept_and_told(night, products):
    table = products / "frames.csv"
    edited = table.read_text().replace("M 13", "M 92")
    table.write_text(edited)
    done = run(night)
    (told,) = notes(done, "frames-edited")
    assert told.way_out == f"--frames {products / 'frames.edited.csv'}"
    assert (products / "frames.edited.csv").read_text() == edited
    assert "M 92" not in table.read_text()
    assert not notes(run(night), "frames-edited")
    table.write_text(edited)
    done = run(night, frames_csv=table)
    assert not notes(done, "frames-edited")
    assert "M 92" in table.read_text()


@pytest.mark.parametrize("end", ["before", "after"])
def test_a_kill_while_the_frame_table_is_written_is_no_edit(
    night, products, monkeypatch, end
):
    """End a run just before the table has its name, or before it is remembered."""
    table = products / "frames.csv"
    old = table.read_text()

    def killed(folder, what):
        if end == "before":
            announce(folder, what)
        if end == "before" or "frames.csv" in what:
            raise Interrupted(9)

    with monkeypatch.context() as patch:
        name = "announce" if end == "before" else "remember"
        patch.setattr(f"autoreduce.prepare.{name}", killed)
        with pytest.raises(Interrupted):
            run(night, exclude=["light_0001"])
    assert (table.read_text() == old) == (end == "before")
    assert not notes(run(night), "frames-edited")
    assert verify(products) == []
    table.write_text(old.replace("M 13", "M 92"))
    assert notes(run(night), "frames-edited")


def test_the_rest_of_a_run_that_was_killed_is_cleared(night, products):
    rests = [".plan.json.abcd1234.part.json", "masters/.a.fits.x_y1z2w3.part.fits"]
    mine = products / "masters" / "mine.part"
    for path in (*(products / name for name in rests), mine):
        path.write_text("half")
    run(night)
    assert not any((products / name).exists() for name in rests)
    assert mine.exists()


def test_two_runs_of_one_date_make_the_same_bytes(night, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    here = reduce_night(night, output=tmp_path / "a", page=False).folder
    there = reduce_night(night, output=tmp_path / "b", page=False).folder
    files = sorted(here.rglob("*.fit*"))
    assert len(files) > 10
    for path in (*files, here / "frames.csv", here / "lights.csv"):
        assert path.read_bytes() == (there / path.relative_to(here)).read_bytes()
    assert fits.getheader(here / BIAS)["DATE"] == "2023-11-14T22:13:20"


def test_a_run_that_makes_nothing_adds_two_lines_to_the_log(night, products):
    run(night)
    log = products / "autoreduce.log"
    before = log.read_text().count("\n")
    run(night)
    assert log.read_text().count("\n") - before == 2
