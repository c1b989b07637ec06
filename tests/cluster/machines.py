"""Machines for the stand-in for AWS, on this one: each instance that runs is a set of namespaces.

Nothing can leave: all of them are on a network of the test's own, from which no way leads out, and
which is gone, as the machines are, when this process ends, however it ends.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.cluster.cloud import Cloud

GATEWAY = "172.31.255.254"  # the stand-in hands out addresses in 172.31.0.0/16
METADATA = "169.254.169.254"
NEEDED = ("sshd", "ssh", "ssh-keygen", "rsync", "ip", "unshare", "setpriv")
_SCRIPT = Path(__file__).with_name("machine.sh")
_LOOK_SECONDS = 0.3
_CLONE_NEWNET = 0x40000000
_OWN_NETWORK = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """Return why no machines can be made here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux, for network namespaces"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    lacking = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if lacking:
        return (
            f"there is no {', '.join(lacking)}; install openssh-server, openssh-client, rsync, "
            f"iproute2 and util-linux"
        )
    return ""


@contextmanager
def own_network() -> Iterator[None]:
    """Let this thread, and what it starts, see only a network with a bridge for machines.

    Raises:
        OSError: The kernel does not allow it.
    """
    with open(_OWN_NETWORK) as before:
        _call("unshare", _CLONE_NEWNET)
        try:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "machines", "type", "bridge")
            _ip("address", "add", f"{GATEWAY}/16", "dev", "machines")
            _ip("address", "add", f"{METADATA}/32", "dev", "machines")
            _ip("link", "set", "machines", "up")
            yield
        finally:
            _call("setns", before.fileno(), _CLONE_NEWNET)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Machines:
    """Starts a machine for each instance of the stand-in that runs, and kills those of others.

    Args:
        cloud: The stand-in.
        folder: Empty, for files of machines.
        shared: A folder that machines and the test see; on machines it is /mnt.

    Attributes:
        seen: Id -> all machines that there ever were, as EC2 described them at first.
    """

    def __init__(self, cloud: Cloud, folder: Path, shared: Path) -> None:
        self._cloud, self._folder, self._shared = cloud, folder, shared
        self._environment = folder / "environment"
        exports = [f"export {name}={value}\n" for name, value in cloud.environment.items()]
        self._environment.write_text("".join(exports), encoding="utf-8")
        self.seen: dict[str, dict[str, Any]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ids: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="machines")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        for id in list(self._running):
            self._kill(id)

    @property
    def running(self) -> set[str]:
        """Ids of machines that run."""
        return {id for id, process in list(self._running.items()) if process.poll() is None}

    def id_at(self, address: str) -> str:
        """Return the id of the last machine with this address; the stand-in gives it again."""
        return self._ids[address]

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            wanted = {machine["InstanceId"]: machine for machine in self._cloud.machines()}
            for id in self._running.keys() - wanted.keys():
                self._kill(id)
            for id in wanted.keys() - self._running.keys():
                self.seen[id] = wanted[id]
                self._start(id, wanted[id]["PrivateIpAddress"])

    def _start(self, id: str, address: str) -> None:
        keys = self._cloud.client("ec2").describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        text = "".join(f"{key['PublicKey'].strip()}\n" for key in keys)
        (self._shared / "authorized_keys").write_text(text, encoding="utf-8")
        folder = self._folder / id
        folder.mkdir()
        pythons = [sys.prefix, sys.base_prefix]
        given = [folder, id, address, GATEWAY, self._shared, self._environment, *pythons]
        # Killed with this thread; and all that runs in the machine with it.
        namespaces = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
        command = ["setpriv", "--pdeathsig", "KILL", *namespaces, "bash", _SCRIPT, *given]
        with (self._folder / f"{id}.txt").open("wb") as printed:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed
            )
        self._running[id], self._ids[address] = process, id
        self._connect(process, f"m-{id[-12:]}")

    def _connect(self, process: subprocess.Popen[bytes], name: str) -> None:
        network = f"/proc/{process.pid}/ns/net"
        while process.poll() is None and os.readlink(network) == os.readlink(_OWN_NETWORK):
            time.sleep(0.01)
        there = ["peer", "name", "eth0", "netns", str(process.pid)]
        _ip("link", "add", name, "type", "veth", *there)
        _ip("link", "set", name, "master", "machines", "up")

    def _kill(self, id: str) -> None:
        process = self._running.pop(id)
        process.kill()
        process.wait()
