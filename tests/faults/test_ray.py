"""A sweep on a Ray cluster of two nodes, one of which is killed and replaced; slow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweeps import check, completed, make_sweep, trials_of

from wellai_exp.compute import Ray
from wellai_exp.errors import SettingError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes that compute, and a head that does not."""
    pytest.importorskip("ray", reason="the package ray is missing")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def test_a_killed_node_costs_nothing_and_a_new_one_is_used(
    cluster: Any, tmp_path: Path, injected: Callable[..., None]
) -> None:
    nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    n, done, before = 40, [0], {}
    sweep = replace(make_sweep(tmp_path, n, seconds=0.5), place=Ray(address=cluster.address, workers=2))

    def finished() -> None:
        done[0] += 1
        if done[0] == 8:
            before.update(completed(sweep))
            cluster.remove_node(nodes[1], allow_graceful=False)
        if done[0] == 20:
            cluster.add_node(num_cpus=1)

    sweep.run(finished)
    check(sweep, before)
    assert len(before) >= 7
    # Somebody's trial was lost with the node, and done again.
    assert len(trials_of(sweep)) == n + 1
    injected("node of a Ray cluster killed")


def test_no_cluster_is_one_sentence() -> None:
    pytest.importorskip("ray", reason="the package ray is missing")
    with pytest.raises(SettingError, match=r"compute.address=127.0.0.1:1: no Ray cluster answers there"):
        Ray(address="127.0.0.1:1").hire(None, Path("log"))  # type: ignore[arg-type]
