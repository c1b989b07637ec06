"""Connect to a Ray cluster, or start a local Ray."""

from __future__ import annotations

import logging
import os

import ray

from search.cluster.access import MODE, NoToken, knock
from search.cluster.local_ray import PRIVATE, shut_down, start_local
from trainable.errors import InputError


def connect(address: str | None) -> str:
    """Connect to a cluster, or start a local Ray.

    Args:
        address: Of the cluster, or `local` for a local Ray. By default RAY_ADDRESS, then a cluster
            that runs on this machine, then a local Ray.

    Returns:
        What it is connected to, for people.

    Raises:
        InputError: A cluster was named and does not answer, or does not take our token.
    """
    # Ray's coming default; without it Ray prints a notice about trials without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    named = address or os.environ.get("RAY_ADDRESS")
    note, is_open = "", False
    if named != "local":
        try:
            is_open = knock(named or "auto")
            ray.init(address=named or "auto", log_to_driver=False, logging_level=logging.ERROR)
            shared = ray.cluster_resources()  # type: ignore[no-untyped-call]
            if PRIVATE not in shared or named not in (None, "auto"):
                return f"the cluster at {ray.get_runtime_context().gcs_address}"
            shut_down()
            if named:
                raise ConnectionError("what runs on this machine is the local Ray of a search")
        except ConnectionError as error:
            if named:
                raise InputError(
                    f"no Ray cluster answers at {named!r} ({error}); start one with `ray up "
                    f"cluster.yaml`, or drop --address and RAY_ADDRESS for a local Ray"
                ) from error
        except NoToken as error:
            if named:
                raise InputError(
                    f"the Ray cluster at {named!r} asks for a token: {error}"
                ) from error
            note = f" (a cluster that runs here asks for a token: {error})"
    if is_open:  # `knock` has set the mode for an open cluster; the local Ray asks for a token
        del os.environ[MODE]
    start_local()
    return f"a local Ray on this machine{note}"
