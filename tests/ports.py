"""What processes listen on, and what Ray's ports answer to somebody without the token."""

from __future__ import annotations

import os
import re
from http.client import HTTPConnection
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

import grpc

# A call of each service that a process of Ray may have; empty requests do nothing.
_CALLS = (
    "InternalKVGcsService/InternalKVKeys",
    "NodeManagerService/GetNodeStats",
    "ObjectManagerService/Pull",
    "CoreWorkerService/GetCoreWorkerStats",
    "RayletDriver/ClusterInfo",
    "ReporterService/GetTraceback",
)
_AGENT = "/get_runtime_envs_info"  # of the one process that speaks HTTP


class Listening(NamedTuple):
    """A TCP socket of a process.

    Attributes:
        host: Address on which it listens.
        port: Its number.
    """

    host: IPv4Address | IPv6Address
    port: int


def listening(processes: list[int]) -> list[Listening]:
    """Return where processes listen for TCP."""
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
    """Read an address as the kernel writes it: words of 32 bits, their bytes in reverse."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    host = ip_address(b"".join(words))
    return getattr(host, "ipv4_mapped", None) or host


def answers(at: Listening, token: str = "") -> set[str]:
    """Return what is answered to calls with a token, or with none.

    Returns:
        Names of gRPC's states; of the port that speaks HTTP its status.
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
