"""Nights that many tests look at, made once for all of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

SMALL = (416, 313)


@dataclass(frozen=True)
class SimulatedNight:
    """The night of the notes, small, with its truth and what was made of it."""

    raw: Path
    truth: Path
    reduced: object

    @property
    def folder(self):
        """Where the products are."""
        return self.reduced.folder


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory):
    """Keep headers of the tests' files apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Do not wait until files are on the disk: no test takes the power away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def raw_notes_night(tmp_path_factory):
    """Simulate the 107 frames of the notes once; nobody may change them."""
    from autoreduce.simulate import simulate_night

    folder = tmp_path_factory.mktemp("notes") / "night"
    simulate_night("notes_2021", folder, seed=7, size=SMALL, truth=True)
    return folder


@pytest.fixture(scope="session")
def notes_night(raw_notes_night, tmp_path_factory):
    """Reduce the night of the notes with the default recipe."""
    from autoreduce.reduction import reduce_night
    from autoreduce.running.execute import Limits

    output = tmp_path_factory.mktemp("default") / "products"
    limits = Limits(planes=True)
    reduced = reduce_night(raw_notes_night, output=output, limits=limits)
    truth = raw_notes_night.with_name("night_truth")
    return SimulatedNight(raw_notes_night, truth, reduced)


@pytest.fixture(scope="session")
def notes_recipe_night(raw_notes_night, tmp_path_factory):
    """Reduce the night of the notes with the observer's own recipe."""
    from autoreduce.prepare import Choices
    from autoreduce.reduction import reduce_night

    output = tmp_path_factory.mktemp("as_in_the_notes") / "products"
    choices = Choices(recipe="notes")
    reduced = reduce_night(raw_notes_night, output=output, choices=choices, page=False)
    truth = raw_notes_night.with_name("night_truth")
    return SimulatedNight(raw_notes_night, truth, reduced)


@pytest.fixture
def open_light(tmp_path):
    """Lend a function that opens lights written by hand, in the test's own folder."""
    from small_products import make_light

    def opened(name, data, statistics=None, **facts):
        return make_light(tmp_path, name, data, statistics, **facts)

    return opened
