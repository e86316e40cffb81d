"""What makes a product out of date, and what does not."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_frame, write_night

from autoreduce.fits.checksum import check_sums
from autoreduce.fits.ledger import LEDGER, Ledger, content_digest
from autoreduce.library.masters import add_to_library, check_library
from autoreduce.pixels.combination import Combination
from autoreduce.pixels.linearity import Linearity
from autoreduce.planning.plan import Action, FrameInput, Task
from autoreduce.planning.recipe import Crosstalk, Recipe, load_recipe
from autoreduce.prepare import Choices
from autoreduce.products.state import (
    METHODS,
    SETTINGS,
    found_digest,
    raw_name,
    recipe_for,
    task_state,
    written_digest,
)
from autoreduce.reduction import reduce_night
from autoreduce.running import execute
from autoreduce.running.execute import Limits, Status

# ------------------------------------------------------------------ settings

BESIDE = {"name", "options", "title"}
"""Settings that are told in headers and change nothing."""


def leaves(part, at=""):
    """List the settings of a recipe with their values, each by its name."""
    for field in fields(part):
        name, value = f"{at}{field.name}", getattr(part, field.name)
        if is_dataclass(value) and name not in SETTINGS:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def test_every_setting_is_said_to_change_some_products_or_none():
    names = {name for name, _ in leaves(Recipe("mine"))}
    assert names - BESIDE == set(SETTINGS)


def other_table(value):
    if isinstance(value, Linearity):
        return Linearity(polynomial=(1.0, 1e-6))
    if isinstance(value, Combination):
        return replace(value, low=9.0)
    return replace(value, smallest=0.01)


def other_value(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, Crosstalk(1, 2, 1e-4))
    if isinstance(value, StrEnum):
        return next(one for one in type(value) if one is not value)
    if isinstance(value, str):
        return {"central": "[1:9,1:9]"}.get(value, "mean")
    if is_dataclass(value):
        return other_table(value)
    return value * 1.5


def changed(part, name):
    first, _, rest = name.partition(".")
    value = getattr(part, first)
    return replace(
        part, **{first: changed(value, rest) if rest else other_value(value)}
    )


USUAL = {"planes": False, "fill": None, "electrons": False}
"""What runs ask for if nothing is said."""


def digest(action, recipe, *, contents=None, needs=None, planes=False, **more):
    asked = USUAL | {"planes": planes}
    task = Task("output", action, "group", {}, **more)
    told = recipe_for(recipe, action)
    return task_state(task, told, contents or {}, needs or {}, asked).digest


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_the_state_of_the_products_that_use_it(name):
    usual = load_recipe()
    mine = changed(usual, name)
    assert mine != usual
    found = {a for a in Action if digest(a, mine) != digest(a, usual)}
    assert found == SETTINGS[name]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_task_is_given_no_setting_that_does_not_count(name):
    usual = load_recipe()
    for action in Action:
        same = recipe_for(changed(usual, name), action) == recipe_for(usual, action)
        assert same == (action not in SETTINGS[name])


def test_the_name_of_a_recipe_is_told_and_changes_nothing():
    usual = load_recipe()
    mine = replace(usual, name="mine")
    assert recipe_for(mine, Action.FLAT).name == "mine"
    assert digest(Action.FLAT, mine) == digest(Action.FLAT, usual)


RECORDERS = []


def _recorder(number):
    return RECORDERS[number]


class Recorder:
    """A recipe that notes which of its settings are asked for, also of copies."""

    def __init__(self, part, asked, at=""):
        self._part, self._asked, self._at = part, asked, at

    def __reduce__(self):
        RECORDERS.append(self)
        return _recorder, (len(RECORDERS) - 1,)

    def __getattr__(self, name):
        value, path = getattr(self._part, name), f"{self._at}{name}"
        if is_dataclass(value) and path not in SETTINGS:
            return Recorder(value, self._asked, f"{path}.")
        self._asked.add(path)
        return value


@pytest.mark.parametrize("recipe", ["default", "notes"])
def test_no_task_asks_for_a_setting_that_it_is_not_given(tmp_path, monkeypatch, recipe):
    night = write_night(tmp_path / "night")
    for n in (1, 2):
        write_frame(night, f"short_{n:04d}.fit", "light", 30.0)
    asked = defaultdict(set)
    run = execute.run_task

    def recording(task, workspace, digest, products):
        recorder = Recorder(workspace.recipe, asked[task.action])
        return run(task, replace(workspace, recipe=recorder), digest, products)

    monkeypatch.setattr(execute, "run_task", recording)
    planes = Limits(planes=True)
    done = reduce_night(
        night, choices=Choices(recipe=recipe), limits=planes, page=False
    )
    assert not done.failed
    several_detectors = {Action.EXPOSURE}
    not_made = {Action.REGISTER} if recipe == "notes" else set()
    assert set(asked) == set(Action) - not_made - several_detectors
    for action, names in asked.items():
        given = {name for name, actions in SETTINGS.items() if action in actions}
        assert names - BESIDE <= given


# ------------------------------------------------------------------ the digest


def test_the_state_is_made_from_what_goes_in():
    recipe, frame = load_recipe(), FrameInput("a.fit", exptime=2.0)
    how = {"frames": (frame,), "contents": {"a.fit": "1"}, "needs": {"bias": "2"}}
    found = {
        digest(Action.FLAT, recipe, **{**how, **other})
        for other in (
            {},
            {"contents": {"a.fit": "2"}},
            {"contents": {"a.fit": ""}},
            {"needs": {"bias": "3"}},
            {"needs": {}},
            {"planes": True},
            {"frames": (replace(frame, exptime=3.0),)},
            {"products": ("dark",)},
            {"reference": "a"},
        )
    }
    assert len(found) == 9
    assert digest(Action.FLAT, recipe, **how) in found


@pytest.mark.parametrize(
    ("asked", "actions"),
    [
        ({"planes": True}, set(Action)),
        ({"fill": 0.0}, {Action.CALIBRATE, Action.STACK}),
        ({"electrons": True}, {Action.CALIBRATE}),
    ],
)
def test_what_a_run_asks_for_is_part_of_the_state_of_what_it_changes(asked, actions):
    recipe = load_recipe()
    found = {
        action
        for action in Action
        if task_state(Task("o", action, "g", {}), recipe, {}, {}, USUAL | asked)
        != task_state(Task("o", action, "g", {}), recipe, {}, {}, USUAL)
    }
    assert found == actions


def test_what_is_not_told_of_a_frame_is_no_part_of_the_state():
    recipe, contents = load_recipe(), {"a.fit": "1"}
    bare = digest(Action.BIAS, recipe, contents=contents, frames=(FrameInput("a.fit"),))
    told = FrameInput("a.fit", exptime=None, egain=None, keep=False)
    assert digest(Action.BIAS, recipe, contents=contents, frames=(told,)) == bare


def test_extensions_of_one_file_share_its_content():
    assert raw_name("a/b.fit[2]") == raw_name("a/b.fit") == "raw/a/b.fit"


# ------------------------------------------------------------------ nights


def write_full_night(folder):
    """Write a night from which every kind of product is made."""
    write_night(folder)
    for n in (1, 2):
        write_frame(folder, f"short_{n:04d}.fit", "light", 30.0)
    return folder


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """Make all products of a night once; to be copied, not used."""
    night = write_full_night(tmp_path_factory.mktemp("state") / "night")
    reduce_night(night, output=night.with_name("products"), page=False)
    return night.parent


@pytest.fixture
def night(first, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(first, place)
    return place / "night"


def run(night, **options):
    output = options.pop("output", night.with_name("products"))
    return reduce_night(night, output=output, page=False, **options)


def made_again(reduced):
    outcomes = reduced.report.outcomes.items()
    return {name for name, o in outcomes if o.status is not Status.CURRENT}


def told_again(reduced):
    ends = reduced.report.outcomes.values()
    remarks = [one for end in ends for one in end.remarks]
    return {name for r in remarks if r.code == "not-as-written" for name in r.subject}


def test_a_copy_of_night_and_products_is_current(night):
    done = run(night)
    assert made_again(done) == set()
    assert told_again(done) == set()


def test_a_touched_night_is_current(night):
    run(night)
    for path in night.iterdir():
        path.touch()
        path.chmod(0o600)
    assert made_again(run(night)) == set()


def test_a_touched_product_is_current(night):
    for path in night.with_name("products").rglob("*.*"):
        path.touch()
    done = run(night)
    assert made_again(done) == told_again(done) == set()


def test_a_night_that_is_moved_or_copied_is_current(night, tmp_path):
    products = night.with_name("products")
    moved = night.rename(tmp_path / "elsewhere")
    assert made_again(run(moved, output=products)) == set()
    shutil.copytree(moved, tmp_path / "twin")
    assert made_again(run(tmp_path / "twin", output=products)) == set()


def test_a_night_copied_over_itself_is_current(night):
    for path in sorted(night.iterdir()):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert made_again(run(night)) == set()


def test_a_changed_byte_redoes_what_depends_on_it(night):
    run(night)
    frame = night / "flat_0002.fit"
    status, content = frame.stat(), bytearray(frame.read_bytes())
    content[2880 + 100] ^= 1
    frame.write_bytes(content)
    os.utime(frame, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = frame.stat()
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    again = made_again(run(night))
    assert any("flat_R" in name for name in again)
    assert "calibrated/light_0001.fit" in again
    assert not any("bias" in name or "dark" in name for name in again)


def test_every_kind_of_product_has_a_number_of_its_method():
    assert set(METHODS) == set(Action)


@pytest.mark.parametrize("kind", [Action.STACK, Action.CALIBRATE, Action.FLAT])
def test_a_new_method_makes_its_products_again_and_what_is_made_of_them(
    night, monkeypatch, kind
):
    tasks = run(night).report.plan.tasks
    monkeypatch.setitem(METHODS, kind, METHODS[kind] + 1)
    expected = {task.output for task in tasks if task.action is kind}
    assert expected
    for _ in Action:  # a step down each time
        expected |= {task.output for task in tasks if expected & set(task.needs)}
    assert {task.output for task in tasks} - expected
    assert made_again(run(night)) == expected
    assert made_again(run(night)) == set()


def test_the_table_of_inputs_tells_what_the_frames_hold(night):
    path = night.with_name("products") / "masters" / "bias_1x1_m10C.fits"
    table = fits.getdata(path, "INPUTS")
    assert list(table["digest"]) == [content_digest(night / f) for f in table["file"]]


# ------------------------------------------------------------------ damaged products

PRODUCTS = {
    "bias": "masters/bias_1x1_m10C.fits",
    "light": "calibrated/light_0001.fit",
    "stack": "stacks/*.fit*",
    "rates": "masters/dark_current*.fits",
    "fit": "masters/dark_*.json",
    "places": "registration/*.json",
}


def find(night, kind):
    products = night.with_name("products")
    return next(p for p in sorted(products.glob(PRODUCTS[kind])))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2880])


def cut_header(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3000] ^= 16
    path.write_bytes(content)


def zero(path):
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[3:5] = 0


def edit(path):
    """Change a pixel as an observer would, checksums made right."""
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[0].data[3, 5] += 100
        hdus[0].add_checksum()


def edit_header(path):
    fits.setval(path, "LEVEL", value=300.5)


def reword(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "offset": 17.0}))


def output_of(path, night):
    return path.relative_to(night.with_name("products")).as_posix()


DAMAGES = [truncate, cut_header, empty, flip, zero, edit, edit_header]


def damaged(night, kinds, damages):
    """Damage a product of each kind in a way of its own; tell which task makes it."""
    found = {}
    for kind, damage in zip(kinds, damages, strict=True):
        product = find(night, kind)
        damage(product)
        task = product.with_suffix(".json") if kind == "rates" else product
        found[product] = output_of(task, night)
    return found


def in_turn(damages, n):
    """List damages of n kinds at a time: in all, each kind is damaged in every way."""
    return [(*damages[i:], *damages[:i])[:n] for i in range(len(damages))]


IMAGES = ("bias", "light", "stack", "rates")


@pytest.mark.parametrize("damages", in_turn(DAMAGES, len(IMAGES)))
def test_products_that_are_not_as_written_are_made_again_and_told(night, damages):
    before = [fits.getdata(find(night, kind), memmap=False) for kind in IMAGES]
    tasks = damaged(night, IMAGES, damages)
    done = run(night)
    assert made_again(done) == set(tasks.values())
    assert told_again(done) == {output_of(product, night) for product in tasks}
    for product, data in zip(tasks, before, strict=True):
        np.testing.assert_array_equal(fits.getdata(product, memmap=False), data)
        check_sums(product)
    after = run(night)
    assert made_again(after) == told_again(after) == set()


@pytest.mark.parametrize("keyword", [b"DIGEST  =", b"CREATOR =", b"BITPIX  ="])
def test_a_product_with_a_spoilt_keyword_is_still_known_for_ours(night, keyword):
    product = find(night, "bias")
    content = product.read_bytes()
    assert content.count(keyword) >= 1
    product.write_bytes(content.replace(keyword, b"X" + keyword[1:], 1))
    done = run(night)
    assert not done.failed
    assert made_again(done) == told_again(done) == {PRODUCTS["bias"]}


def test_a_file_of_somebody_else_is_not_overwritten(night):
    product = find(night, "bias")
    fits.writeto(product, np.ones((4, 4)), overwrite=True)
    done = run(night)
    assert PRODUCTS["bias"] in done.failed
    assert fits.getdata(product).shape == (4, 4)


@pytest.mark.parametrize("damages", in_turn([reword, truncate, empty], 2))
def test_fits_and_registrations_that_were_changed_are_made_again(night, damages):
    kinds = ("fit", "places")
    before = [find(night, kind).read_text() for kind in kinds]
    tasks = damaged(night, kinds, damages)
    done = run(night)
    assert made_again(done) == told_again(done) == set(tasks.values())
    assert [product.read_text() for product in tasks] == before


def test_a_product_that_is_gone_is_made_again_without_a_word(night):
    find(night, "bias").unlink()
    done = run(night)
    assert made_again(done) == {PRODUCTS["bias"]}
    assert told_again(done) == set()


def test_a_product_in_the_place_of_another_is_made_again(night):
    light = find(night, "light")
    shutil.copyfile(light.with_name("light_0002.fit"), light)
    assert made_again(run(night)) == {PRODUCTS["light"]}


@pytest.mark.parametrize("seed", range(4))
def test_every_flipped_bit_of_a_product_is_found(night, seed):
    rng = np.random.default_rng(seed)
    for kind in ("bias", "light", "stack", "rates"):
        path = find(night, kind)
        content, digest = path.read_bytes(), written_digest(path)
        known = Ledger()
        known.look(kind, path, written_digest)
        for at in rng.integers(0, len(content), 50):
            spoilt = bytearray(content)
            spoilt[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(spoilt)
            assert not known.is_same(kind, path, found_digest)
        path.write_bytes(content)
        assert found_digest(path) == digest


# ------------------------------------------------------------------ the ledger itself


def fit_and_places(night):
    return {output_of(find(night, kind), night) for kind in ("fit", "places")}


@pytest.mark.parametrize("text", [None, b"", b'{"form": 1, "files": {"a": [1]}}'])
def test_without_a_ledger_checksums_tell_what_is_current(night, text):
    """What has no checksums is made again, and nothing that is made from it."""
    path = night.with_name("products") / LEDGER
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    done = run(night)
    assert made_again(done) == fit_and_places(night)
    assert told_again(done) == set()
    assert made_again(run(night)) == set()


def test_without_a_ledger_a_damaged_product_is_made_again(night):
    (night.with_name("products") / LEDGER).unlink()
    flip(find(night, "light"))
    assert PRODUCTS["light"] in made_again(run(night))
    check_sums(find(night, "light"))


def test_an_interrupted_run_keeps_what_it_learned(first, tmp_path):
    night = tmp_path / "night"
    shutil.copytree(first / "night", night)

    def interrupt(event, task, done, total):
        if event == "end" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(night, progress=interrupt)
    assert raw_name("bias_0001.fit") in Ledger.load(tmp_path / "products" / LEDGER)
    done = run(night)
    assert not done.failed
    assert told_again(done) == set()
    assert made_again(run(night)) == set()


REDUCE = """
import sys
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits
night, folder = sys.argv[1:]
done = reduce_night(night, output=folder, limits=Limits(wait=True), page=False)
sys.exit(len(done.failed))
"""


def test_two_runs_at_once_leave_a_ledger_that_holds(first, tmp_path):
    night = tmp_path / "night"
    shutil.copytree(first / "night", night)
    command = [sys.executable, "-c", REDUCE, str(night), str(tmp_path / "products")]
    runs = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait() for one in runs] == [0, 0]
    run(night)
    assert made_again(run(night)) == set()
    for path in (tmp_path / "products").rglob("*.fit*"):
        check_sums(path)


# ------------------------------------------------------------------ masters of a library


@pytest.fixture
def library(first, tmp_path):
    add_to_library(tmp_path / "library", [first / "products"])
    return tmp_path / "library"


@pytest.fixture
def lights(tmp_path):
    groups = ("bias", "dark", "flat", "flatdark")
    return write_night(tmp_path / "lights", without=groups)


def flat_of(library):
    return next(library.glob("flat_R*.fits"))


def test_a_library_that_was_touched_or_copied_over_remakes_nothing(library, lights):
    choices = Choices(library=library)
    run(lights, choices=choices)
    for path in library.iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert made_again(run(lights, choices=choices)) == set()


def test_a_damaged_master_of_a_library_is_not_used_and_told(library, lights):
    choices = Choices(library=library)
    run(lights, choices=choices)
    whole = flat_of(library).read_bytes()
    flip(flat_of(library))
    for _ in range(2):
        done = run(lights, choices=choices)
        light = done.report.outcomes[PRODUCTS["light"]]
        assert "not flat-fielded" in light.reason
        header = fits.getheader(done.folder / PRODUCTS["light"])
        assert "F" not in header["CALSTAT"]
    flat_of(library).write_bytes(whole)
    done = run(lights, choices=choices)
    assert PRODUCTS["light"] in made_again(done)
    assert "F" in fits.getheader(done.folder / PRODUCTS["light"])["CALSTAT"]


def test_what_was_made_with_a_master_that_was_edited_is_made_again(library, lights):
    choices = Choices(library=library)
    run(lights, choices=choices)
    edit(flat_of(library))
    check_sums(flat_of(library))
    assert PRODUCTS["light"] in made_again(run(lights, choices=choices))


def test_checking_finds_a_master_that_was_edited(library):
    assert check_library(library) == {}
    edit(flat_of(library))
    problems = check_library(library)
    assert list(problems) == [flat_of(library).name]
    assert "does not hold what was added" in problems[flat_of(library).name]


def test_a_library_without_its_ledger_is_read_from_its_headers(library, lights):
    choices = Choices(library=library)
    run(lights, choices=choices)
    (library / LEDGER).write_text("nonsense")
    assert made_again(run(lights, choices=choices)) == set()
    assert check_library(library) == {}
