"""The same tasks on a Dask cluster on this machine."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_night

from autoreduce.errors import PlanError
from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

distributed = pytest.importorskip("distributed")


@pytest.fixture
def scheduler():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            protocol="tcp://",
            host="127.0.0.1",
        )
    with cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_cluster_makes_the_same_products(tmp_path, scheduler):
    night = write_night(tmp_path / "night")
    here = reduce_night(night, output=tmp_path / "here", page=False)
    there = reduce_night(
        night,
        output=tmp_path / "there",
        limits=Limits(scheduler=scheduler),
        page=False,
    )
    assert not there.failed
    for path in sorted(here.folder.rglob("*.fit*")):
        other = there.folder / path.relative_to(here.folder)
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(other))
        assert fits.getheader(path)["DIGEST"] == fits.getheader(other)["DIGEST"]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("autoreduce.running.cluster.SECONDS_TO_ANSWER", 1)
    night = write_night(tmp_path / "night")
    limits = Limits(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(PlanError, match=r"no Dask scheduler answers at tcp://127"):
        reduce_night(night, limits=limits, page=False)
