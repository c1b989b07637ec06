"""The life of a cluster in test_chain.py, from `ray up` to `ray down`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.log.history import History
from tests.chaos import counting
from tests.cluster.cloud import ROOT, Cloud, node_types
from tests.cluster.machines import Machines

OPTIONS = "--space smoke --budget 12000 --units 2 --trials 4 --scheduler none --max-concurrent 2"
N_TRIALS, UNITS = 4, (1, 2)
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Lived:
    """What happened in the life of a cluster.

    Attributes:
        printed: By the search.
        folder: What the bucket held in the end of the search's folder.
        events: Its log.
        steps: That trials made.
        taken: Id of the machine that was taken away.
        running: Statuses of trials when it was.
        head: The only machine once idle ones were given back, as EC2 described it.
        workers: All that there ever were.
        left: Machines after `ray down`.
        left_running: Those of them of which processes ran.
    """

    printed: str
    folder: Path
    events: list[Event]
    steps: list[dict[str, Any]]
    taken: str
    running: list[str]
    head: dict[str, Any]
    workers: list[dict[str, Any]]
    left: list[dict[str, Any]]
    left_running: set[str]


class User:
    """Who has a checkout, keys of the stand-in, and a home of their own.

    Args:
        cloud: The stand-in.
        folder: Empty.
        configuration: Their cluster.yaml.
    """

    def __init__(self, cloud: Cloud, folder: Path, configuration: Path) -> None:
        self._configuration, self.printed = str(configuration), folder / "search.txt"
        home, temporary = folder / "home", folder / "tmp"
        home.mkdir()
        temporary.mkdir()
        kept = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
        own = {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
        self._environment = kept | cloud.environment | own
        self.ray("get-auth-token", "--generate", on_cluster=False)

    def ray(self, command: str, *options: str, on_cluster: bool = True) -> None:
        """Run a command of Ray's as a user does."""
        arguments = [command, *([self._configuration] if on_cluster else []), *options]
        # Not to a pipe: connections that ssh keeps open would hold it.
        printed = self.printed.with_name(f"{command}.txt")
        done = self._start(arguments, printed).wait(PATIENCE_SECONDS)
        assert done == 0, f"ray {command}: {printed.read_text()}"

    def execute(self, program: str) -> subprocess.Popen[bytes]:
        """Start a program on the head; what it prints goes to `printed`."""
        return self._start(["exec", self._configuration, program], self.printed)

    def _start(self, arguments: list[str], printed: Path) -> subprocess.Popen[bytes]:
        with printed.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", *arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )


def pretend(configuration: Path) -> None:
    """Let workers be small, with a GPU that is not there, and be given back soon."""
    cluster = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    node_types(cluster)["a10g_4"]["resources"] = {"CPU": 1, "GPU": 1}
    cluster["idle_timeout_minutes"] = 0.25
    configuration.write_text(yaml.safe_dump(cluster), encoding="utf-8")


def wait_for(what: str, holds: Callable[[], Any], printed: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}:\n{printed.read_text()[-5000:]}")
        time.sleep(0.5)


def fetch(cloud: Cloud, folder: Path, only: str = "") -> list[Event]:
    """Copy the search's folder, or one file of it, from the bucket.

    Returns:
        The events; none before there is a log.
    """
    s3 = cloud.client("s3")
    there = s3.list_objects_v2(Bucket="results", Prefix=f"runs/chain/{only}")
    for key in [found["Key"] for found in there.get("Contents", [])]:
        if not key.endswith("/"):  # else it stands for a folder
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            s3.download_file("results", key, str(folder / key))
    log = folder / "runs" / "chain" / EVENTS
    return read_events(log) if log.exists() else []


def answer(shared: Path, id: str) -> tuple[int, str]:
    """Answer as the metadata service of this machine."""
    taken = shared / counting.TAKEN_FILE
    if not taken.exists() or taken.read_text() != id:
        return 404, ""
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    notice = {"action": "terminate", "time": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return 200, json.dumps(notice)


def live(cloud: Cloud, machines: Machines, user: User, shared: Path, folder: Path) -> Lived:
    """Let a user live through the life of a cluster."""
    cloud.client("s3").create_bucket(Bucket="results")
    server = cloud.address.removeprefix("http://")
    storage = f"s3://results/runs?endpoint_override={server}&scheme=http"
    user.ray("up", "--yes")
    program = f"python tests/cluster/chain_search.py /mnt {OPTIONS} --quiet --name chain"
    search = user.execute(f"cd ~/mtbert && {program} --address auto --storage '{storage}'")

    def has_left() -> bool:
        assert search.poll() is None, user.printed.read_text()
        kinds = [event["event"] for event in fetch(cloud, folder, EVENTS)]
        return "leaving" in kinds and "cost" in kinds[kinds.index("leaving") :]

    try:
        wait_for("a trial to leave its machine", has_left, user.printed)
        running = [t.status for t in History(fetch(cloud, folder, EVENTS)).trials.values()]
        taken = (shared / counting.TAKEN_FILE).read_text()
        cloud.client("ec2").terminate_instances(InstanceIds=[taken])
        wait_for("its end", lambda: taken not in machines.running, user.printed)
        wait_for("the search to end", lambda: search.poll() is not None, user.printed)
    finally:
        search.kill()
        search.wait()
    assert search.returncode == 0, user.printed.read_text()
    wait_for("idle workers", lambda: not cloud.machines(node_type="worker"), user.printed)
    (head,) = cloud.machines()
    user.ray("down", "--yes")
    left = cloud.machines()
    wait_for("machines to stop", lambda: not machines.running, user.printed)
    events = fetch(cloud, folder)
    return Lived(
        printed=user.printed.read_text(),
        folder=folder / "runs" / "chain",
        events=events,
        steps=counting.steps(shared),
        taken=taken,
        running=running,
        head=head,
        workers=[m for id, m in machines.seen.items() if id != head["InstanceId"]],
        left=left,
        left_running=machines.running,
    )
