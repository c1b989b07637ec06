"""Which machines Ray's autoscaler starts for the trials that wait, given cluster.yaml."""

from __future__ import annotations

from typing import Any

import pytest
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig, NodeTypeConfig
from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import (
    CloudResourceMonitor,
)
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import GangResourceRequest
from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent


def started(cluster: dict[str, Any], n_trials: int, gpus: float = 1.0) -> dict[str, int]:
    """Machines of each type that would be started for trials that wait.

    Args:
        cluster: What the file says.
        n_trials: How many wait, each in a placement group of its own, as Tune makes them.
        gpus: Of each.
    """
    config = AutoscalingConfig(cluster, skip_content_hash=True)
    types: dict[str, NodeTypeConfig] = config.get_node_type_configs()
    head = types.pop(cluster["head_node_type"])
    assert head.resources == {"CPU": 0, "GPU": 0}  # it runs already, and takes nothing
    for name, node_type in types.items():
        # What Ray looks up and adds.
        node_type.resources |= {"memory": 10**11, f"accelerator_type:{name.split('_')[0]}": 1}
    trial = GangResourceRequest(requests=[ResourceRequestUtil.make({"CPU": 1, "GPU": gpus})])
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=types,
        max_num_nodes=cluster["max_workers"],
        gang_resource_requests=[trial] * n_trials,
    )
    reply = ResourceDemandScheduler().schedule(request)
    return {launch.instance_type: launch.count for launch in reply.to_launch}


@pytest.mark.parametrize(
    ("n_trials", "gpus", "expected"), [(1, 1, 1), (4, 1, 1), (5, 1, 2), (16, 1, 4), (16, 0.25, 1)]
)
def test_no_more_machines_are_started_than_trials_fill(
    cluster: dict[str, Any], n_trials: int, gpus: float, expected: int
) -> None:
    assert started(cluster, n_trials, gpus) == {"a10g_4": expected}


def test_the_cap_holds(cluster: dict[str, Any]) -> None:
    assert started(cluster, 100) == {"a10g_4": cluster["max_workers"]}


def test_among_types_of_one_size_the_higher_priority_goes_first(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    types["l4_4"]["max_workers"] = types["a10g_4"]["max_workers"] = 3
    cluster["available_node_types"] = dict(reversed(types.items()))  # the order is no matter
    assert started(cluster, 16) == {"a10g_4": 3, "l4_4": 1}
    types["l4_4"]["priority"] = 3
    assert started(cluster, 16) == {"a10g_4": 1, "l4_4": 3}


def test_with_single_ones_beside_them_machines_with_four_gpus_are_not_started(
    cluster: dict[str, Any],
) -> None:
    """The reason for max_workers 0; once Ray packs trials, the file's comment can go."""
    types = cluster["available_node_types"]
    types["a10g_1"] |= {"max_workers": 4, "priority": 0}
    assert started(cluster, 16) == {"a10g_1": 4}


def test_ray_does_not_turn_from_a_type_that_cannot_be_started() -> None:
    """The reason for SpotFirst; once Ray does, a second type of lower priority would do."""
    monitor = CloudResourceMonitor()
    failed = InstanceUpdateEvent(
        instance_id="1", instance_type="spot", new_instance_status=Instance.ALLOCATION_FAILED
    )
    monitor.notify([failed])
    assert monitor.get_recoverable_resource_availabilities() == {}
    failed.new_instance_status = Instance.ALLOCATION_TIMEOUT
    monitor.notify([failed])
    assert monitor.get_recoverable_resource_availabilities() == {"spot": 0.0}
