"""`ray job submit`, as search/docs/cluster.md has it, on a head that asks for a token."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.log.events import Event, read_events
from search.log.folder import EVENTS
from tests.chaos.clusters import children
from tests.cluster.cloud import ROOT, load_cluster
from tests.ports import answers, listening

RAY = Path(sys.executable).with_name("ray")
DASHBOARD = "http://127.0.0.1:8265"
PATIENCE_SECONDS = 240.0
needs_dashboard = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp_cors") is None,
    reason="needs ray[default]: pip install -e '.[cluster]'",
)


def typed() -> list[str]:
    """Return the lines of the block on jobs in search/docs/cluster.md."""
    text = (ROOT / "search/docs/cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "ray job submit" in block]
    return str(block).splitlines()


def exports(lines: list[str]) -> dict[str, str]:
    """Return the variables that lines export."""
    words = [shlex.split(line, comments=True) for line in lines]
    return dict(word[1].split("=", 1) for word in words if word[:1] == ["export"])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass(frozen=True)
class Laptop:
    """Where the commands of search/docs/cluster.md are typed, with its exports, and no more.

    Attributes:
        address: Of the dashboard.
        environment: Variables there.
        head: The process that holds the head.
        bucket: What stands for s3://BUCKET/PREFIX.
    """

    address: str
    environment: dict[str, str]
    head: int
    bucket: Path

    def type(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a line, which begins with `ray`."""
        real = {DASHBOARD: self.address, "s3://BUCKET/PREFIX": str(self.bucket)}
        for documented, own in real.items():
            line = line.replace(documented, own)
        return subprocess.run(
            [RAY, *shlex.split(line)[1:]],
            env=self.environment | more,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A head with one CPU, and who may submit to it."""
    folder, dashboard = tmp_path_factory.mktemp("laptop"), free_port()
    (folder / "mtbert").symlink_to(ROOT)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    paths = f"{RAY.parent}{os.pathsep}{os.environ['PATH']}"
    user = kept | {"HOME": str(folder), "PATH": paths} | exports(typed())
    subprocess.run([RAY, "get-auth-token", "--generate"], env=user, check=True, capture_output=True)
    cluster = load_cluster()
    commands = cluster["initialization_commands"] + cluster["head_start_ray_commands"]
    on_head = dict(re.findall(r"\b(RAY_\w+)=(\w+)", " ".join(commands)))
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:  # Ray's need a short path
        options = [
            *("--head", "--block", "--port=0", "--num-cpus=1", f"--temp-dir={sockets}"),
            *("--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *("--dashboard-agent-listen-port=0", f"--ray-client-server-port={free_port()}"),
        ]
        with subprocess.Popen(
            [RAY, "start", *options], env=user | on_head, stdout=subprocess.PIPE, text=True
        ) as head:
            assert head.stdout is not None
            started = any("will now block" in line for line in head.stdout)
            try:
                assert started
                address = f"http://127.0.0.1:{dashboard}"
                yield Laptop(address, user, head.pid, folder / "bucket")
            finally:
                head.terminate()
                head.communicate()


def events_of(laptop: Laptop) -> list[Event]:
    """Return what the log of the search has; nothing before it is there."""
    log = laptop.bucket / "NAME" / EVENTS
    return read_events(log) if log.exists() else []


def wait_for_trial(laptop: Laptop) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not any(event["event"] == "started" for event in events_of(laptop)):
        if time.monotonic() > end:
            raise AssertionError("no trial has started")
        time.sleep(0.2)


@pytest.mark.slow
@needs_dashboard
def test_a_search_joins_the_cluster_and_a_stopped_job_ends_in_order(laptop: Laptop) -> None:
    submit, logs, stop = [line for line in typed() if line.startswith("ray job ")]
    submitted = laptop.type(submit)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    (job,) = set(re.findall(r"raysubmit_\w+", submitted.stdout))
    wait_for_trial(laptop)
    stopped = laptop.type(stop.replace("ID", job))
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    printed = laptop.type(logs.replace("--follow ID", job)).stdout
    assert "using the cluster at " in printed
    assert "results in " in printed
    assert events_of(laptop)[-1]["event"] == "closed"


@pytest.mark.slow
@needs_dashboard
def test_output_and_exit_status_of_a_job_arrive(laptop: Laptop) -> None:
    done = laptop.type(f"ray job submit --address {DASHBOARD} -- bash -c 'cd ~/mtbert; ls; exit 7'")
    assert done.returncode != 0
    assert "pyproject.toml" in done.stdout
    assert "exit code 7" in done.stdout + done.stderr


@pytest.mark.slow
@needs_dashboard
def test_without_the_token_nothing_is_submitted(laptop: Laptop, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for strange in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0123456789abcdef" * 2}):
        refused = laptop.type(f"ray job submit --address {DASHBOARD} -- touch {trace}", **strange)
        assert refused.returncode != 0
        assert "401" in refused.stdout + refused.stderr or "token" in refused.stderr
    assert not trace.exists()


@pytest.mark.slow
@needs_dashboard
def test_every_port_of_a_head_asks_for_the_token(laptop: Laptop) -> None:
    token = (Path(laptop.environment["HOME"]) / ".ray" / "auth_token").read_text()
    found = listening([laptop.head, *children(laptop.head)])
    said = {at: answers(at) for at in found}
    counters = {at for at, answer in said.items() if answer == {"405"}}
    refused = [answer for at, answer in said.items() if at not in counters]
    assert {"UNAUTHENTICATED"} in refused
    assert [answer for answer in refused if answer not in ({"UNAUTHENTICATED"}, {"401"})] == []
    for at in found:
        assert not answers(at, token) & {"UNAUTHENTICATED", "401", "403"}, at
    for at in counters:
        with urllib.request.urlopen(f"http://127.0.0.1:{at.port}/metrics") as answer:
            assert answer.read().startswith(b"# HELP ")
    dashboard = int(laptop.address.rpartition(":")[2])
    assert [str(at.host) for at in found if at.port == dashboard] == ["127.0.0.1"]


def test_cluster_file_says_the_same_of_the_users_own_machine() -> None:
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    header = re.findall(r"^#   (.*)$", text.split("WHAT TO MAKE ONCE")[0], re.MULTILINE)
    before = header[: next(n for n, line in enumerate(header) if line.startswith("ray job submit"))]
    assert exports([line for line in before if line.startswith("export ")]) == exports(typed())
    assert exports(typed()) == {"RAY_AUTH_MODE": "token"}
