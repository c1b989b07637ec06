"""Ray's provider for AWS, with on-demand machines where there is no spot capacity.

Ray 2.60 has no such fallback. Its autoscaler does know a `priority` of node types, and could be
given an on-demand twin of each spot type; but it turns to the twin only once the spot type has
reached its `max_workers`. When EC2 refuses to start a spot machine the request is made again, for
the same type, for ever: `CloudResourceMonitor` hears of machines that started and then did not
join within an hour, not of those that never started.
"""

from __future__ import annotations

import logging
from typing import Any

from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException

log = logging.getLogger(__name__)

# EC2's words for what an on-demand machine would meet as well: no right, a wrong parameter, or a
# fault that passes. Any other refusal may be of spot alone: Ray asks in one zone after the other
# and passes on the last answer only, which may be that a zone has no such type (Unsupported).
# Source: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NOT_OF_SPOT = (
    *("AuthFailure", "Blocked", "OptInRequired", "PendingVerification", "Unauthorized"),
    *("Invalid", "Malformed", "Missing", "UnknownParameter"),
    *("Internal", "RequestExpired", "RequestLimitExceeded", "ServiceUnavailable", "Throttl"),
    "Unavailable",
)
_MARKET = "InstanceMarketOptions"


class SpotFirst(AWSNodeProvider):
    """Starts spot machines in any of the zones, else the same ones on demand."""

    def _create_node(
        self, node_config: dict[str, Any], tags: dict[str, str], count: int
    ) -> dict[str, Any]:
        """Start up to `count` machines; returns those started, by instance id.

        Raises:
            NodeLaunchException: EC2 refused; Ray's autoscaler asks again.
        """
        try:
            return self._start(node_config, tags, count)
        except NodeLaunchException as refusal:
            if _MARKET not in node_config or refusal.category.startswith(_NOT_OF_SPOT):
                raise
            log.warning("%s: on demand, since %s", node_config["InstanceType"], refusal.description)
            on_demand = {key: value for key, value in node_config.items() if key != _MARKET}
            return self._start(on_demand, tags, count)

    def _start(
        self, node_config: dict[str, Any], tags: dict[str, str], count: int
    ) -> dict[str, Any]:
        """Ask EC2 in one zone after the other, as Ray's own provider does."""
        started: dict[str, Any] = super()._create_node(node_config, tags, count)  # type: ignore[no-untyped-call]
        return started
