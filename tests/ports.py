"""Find the TCP ports of processes, and call Ray's services there with or without a token."""

from __future__ import annotations

import os
import re
from http.client import HTTPConnection
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

import grpc

# One method of each service that a process of Ray may have. Empty requests change nothing.
_CALLS = (
    "InternalKVGcsService/InternalKVKeys",
    "NodeManagerService/GetNodeStats",
    "ObjectManagerService/Pull",
    "CoreWorkerService/GetCoreWorkerStats",
    "RayletDriver/ClusterInfo",
    "ReporterService/GetTraceback",
)
_AGENT = "/get_runtime_envs_info"  # of the agent, the only process with HTTP instead of gRPC


class Listening(NamedTuple):
    """Address and port on which a process listens for TCP."""

    host: IPv4Address | IPv6Address
    port: int


def listening(processes: list[int]) -> list[Listening]:
    """Return the TCP sockets on which processes, given by their ids, listen."""
    sockets = set()
    for process in processes:
        for file in Path(f"/proc/{process}/fd").glob("*"):
            if file.is_symlink() and (found := re.match(r"socket:\[(\d+)\]", os.readlink(file))):
                sockets.add(found[1])
    found_at = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address, _, port = fields[1].partition(":")
                found_at.append(Listening(_host(address), int(port, 16)))
    return found_at


def _host(address: str) -> IPv4Address | IPv6Address:
    """Parse an address of /proc/net/tcp: hexadecimal words of 32 bits with reversed bytes."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    host = ip_address(b"".join(words))
    return getattr(host, "ipv4_mapped", None) or host


def answers(at: Listening, token: str = "") -> set[str]:
    """Call all services at a port, with a token or, if it is empty, without one.

    Returns:
        Names of gRPC status codes, without that of unknown methods; for HTTP the status.
    """
    bearer = f"Bearer {token}"
    host = "127.0.0.1" if at.host.is_unspecified else str(at.host)
    found = set()
    with grpc.insecure_channel(f"{host}:{at.port}") as channel:
        for call in _CALLS:
            metadata = (("authorization", bearer),) if token else ()
            try:
                channel.unary_unary(f"/ray.rpc.{call}")(b"", timeout=10, metadata=metadata)
                found.add("OK")
            except grpc.RpcError as error:
                found.add(error.code().name)
    if found != {"UNAVAILABLE"}:
        return found - {"UNIMPLEMENTED"}
    connection = HTTPConnection(host, at.port, timeout=10)
    connection.request("POST", _AGENT, headers={"Authorization": bearer} if token else {})
    return {str(connection.getresponse().status)}
