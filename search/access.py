"""Whether a Ray cluster lets this program in, found out before Ray connects.

Ray itself would try for a minute, fill the screen with warnings and then not say that it was the
token; and where there is no token at all, it would end in a traceback.
"""

from __future__ import annotations

import os
import socket

import grpc
from ray._private.authentication import authentication_token_setup as tokens
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RpcError

_SECONDS = 5.0  # for a machine to accept a connection, and for a cluster to answer
MODE = tokens.AUTH_MODE_ENV_VAR
_CALL = "/ray.rpc.NodeInfoGcsService/GetClusterId"


class NoToken(Exception):
    """A cluster asks for a token that this program does not show; the message says what to do."""


def knock(address: str) -> bool:
    """Return if a cluster answers and lets this program in.

    Args:
        address: `auto`, or HOST:PORT.

    Returns:
        Whether it set MODE to `disabled`, for a cluster on this machine that lets in whoever calls.
        Ray would show a token wherever there is one, and the driver then refuses what such a
        cluster, whose machines show none, says to it: actors die before they have run.

    Raises:
        ConnectionError: No cluster answers there.
        NoToken: The cluster does not take our token, or we have none.
    """
    found = _listening(address)
    if address == "auto" and MODE not in os.environ and _is_open(found):
        os.environ[MODE] = "disabled"
        return True
    try:
        if address == "auto":  # as Ray does
            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        # Without this check the client would abort the process.
        tokens.ensure_token_if_auth_enabled(create_token_if_missing=False)
        GcsClient(address=found)
    except AuthenticationError as error:
        raise NoToken(_what_to_do()) from error
    except RpcError as error:
        raise ConnectionError(str(error)) from error
    return False


def _is_open(found: str) -> bool:
    """Return whether a cluster answers whoever calls."""
    with grpc.insecure_channel(found) as channel:
        try:
            channel.unary_unary(_CALL)(b"", timeout=_SECONDS)
        except grpc.RpcError:
            return False
    return True


def _listening(address: str) -> str:
    """Return HOST:PORT of an address, where something listens."""
    try:
        host, _, port = str(canonicalize_bootstrap_address(address)).rpartition(":")
        to = (host.strip("[]"), int(port))
    except ValueError as error:
        raise ConnectionError("an address is `auto`, `local` or HOST:PORT") from error
    try:
        socket.create_connection(to, timeout=_SECONDS).close()
    except OSError as error:
        raise ConnectionError(str(error)) from error
    return f"{host}:{port}"


def _what_to_do() -> str:
    """Say what is wrong with our token, without the token."""
    mode = os.environ.get(MODE)
    if mode is None or mode.lower() != "token":
        return f"{MODE} is {mode or 'not set'} here; export {MODE}=token"
    return (
        "the one here is missing or another one; copy the cluster's, ~/.ray/auth_token of the "
        "machine that called `ray up`, to the same place here"
    )
