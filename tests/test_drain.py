"""SIGTERM to a worker: it finishes what is nearly done, gives back what is not, and burns no attempt."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.cluster import TENTH, Cluster, new_cluster

# quick to sweep, but no lease or silence ends here, however busy the machine is
_PATIENT = TENTH | {"JOB_LEASE_S": "30", "JOB_STALL_S": "60", "JOB_WORKER_ALIVE_S": "30"}


async def _drain_while_drawing(cluster: Cluster) -> int:
    """Let one picture be drawn, end its worker in order meanwhile, and return that worker's exit code."""
    anna = cluster.sandbox.person("Anna", patience=60)
    await anna.says("a red circle")
    await anna.sees_text("/4")  # a step is done
    ((worker_id,),) = await cluster.sql("SELECT worker_id FROM job")
    (process,) = [
        child.process for name, child in cluster.children.items() if child.process and cluster.worker_id(name) == worker_id
    ]
    process.terminate()
    code = await asyncio.wait_for(process.wait(), 70)
    await anna.sees_photo()
    return code


@pytest.mark.long  # the chaos run in `make test` drains a worker, too
@pytest.mark.timeout(180)
async def test_what_would_take_long_is_given_back_to_another_worker(tmp_path: Path) -> None:
    async with new_cluster("sqlite+filesystem", tmp_path, _PATIENT | {"JOB_DRAIN_S": "1"}, draw_s=12) as cluster:
        assert await _drain_while_drawing(cluster) == 0
        audit = await cluster.sql("SELECT to_state, why FROM audit ORDER BY id")
        assert [why for state, why in audit if state == "queued"] == ["accepted", "drained"]
        assert await cluster.sql("SELECT attempt, crash_count FROM job") == [(1, 0)]


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_what_is_nearly_done_is_finished(tmp_path: Path) -> None:
    async with new_cluster("sqlite+filesystem", tmp_path, _PATIENT | {"JOB_DRAIN_S": "60"}, draw_s=10) as cluster:
        assert await _drain_while_drawing(cluster) == 0
        assert await cluster.sql("SELECT count(*) FROM audit WHERE to_state = 'running'") == [(1,)]
