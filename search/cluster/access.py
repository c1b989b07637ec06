"""Find out whether a Ray cluster lets this program in, before Ray connects to it.

Ray itself tries for a minute, fills the screen with warnings and does not say that the token is
wrong. Where there is no token at all, it ends in a traceback.
"""

from __future__ import annotations

import os
import socket

from ray.exceptions import AuthenticationError, RpcError

from search.cluster.ray_internals import answers_anyone, check_token, resolve_address

_SECONDS = 5.0  # for a machine to accept a connection, and for a cluster to answer
MODE = "RAY_AUTH_MODE"


class NoToken(Exception):
    """A cluster asks for a token that this program does not show; the message says what to do."""


def knock(address: str) -> bool:
    """Return if a cluster answers and lets this program in.

    Args:
        address: `auto`, or HOST:PORT.

    Returns:
        Whether it set MODE to `disabled`, for a cluster on this machine that lets in whoever calls.
        Ray shows a token wherever it finds one. The driver would then refuse every call of such a
        cluster, whose machines show no token, and actors would die before they have run.

    Raises:
        ConnectionError: No cluster answers there.
        NoToken: The cluster does not take our token, or we have none.
    """
    found = _listening(address)
    if address == "auto" and MODE not in os.environ and answers_anyone(found, _SECONDS):
        os.environ[MODE] = "disabled"
        return True
    try:
        check_token(found, is_auto=address == "auto")
    except AuthenticationError as error:
        raise NoToken(_what_to_do()) from error
    except RpcError as error:
        raise ConnectionError(str(error)) from error
    return False


def _listening(address: str) -> str:
    """Return HOST:PORT of an address, after something there has accepted a connection."""
    try:
        host, _, port = str(resolve_address(address)).rpartition(":")
        to = (host.strip("[]"), int(port))
    except ValueError as error:
        raise ConnectionError("an address is `auto`, `local` or HOST:PORT") from error
    try:
        socket.create_connection(to, timeout=_SECONDS).close()
    except OSError as error:
        raise ConnectionError(str(error)) from error
    return f"{host}:{port}"


def _what_to_do() -> str:
    """Return what is wrong with our token; the message never shows the token."""
    mode = os.environ.get(MODE)
    if mode is None or mode.lower() != "token":
        return f"{MODE} is {mode or 'not set'} here; export {MODE}=token"
    return (
        "the one here is missing or another one; copy the cluster's, ~/.ray/auth_token of the "
        "machine that called `ray up`, to the same place here"
    )
