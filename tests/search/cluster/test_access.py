"""A cluster that asks for a token lets in who has it, and tells everybody else what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.cluster import connect as cluster
from search.cluster.access import NoToken, knock
from search.cluster.local_ray import PRIVATE
from tests.chaos.clusters import children
from tests.ports import answers, listening
from trainable.errors import InputError

RIGHT, WRONG = "0123456789abcdef" * 2, "fedcba9876543210" * 2
# Ray reads the mode once in a process: cluster and clients have processes of their own.
SERVER = """
import sys
from ray.cluster_utils import Cluster
head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=head)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
CLIENT = """
import sys
from search.cluster.connect import connect
from trainable.errors import InputError
try:
    print(connect(sys.argv[1]))
except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
"""

# As a driver that finds a cluster on its machine; others may run here, so it is told which.
FINDER = """
import sys
import ray
from search.cluster import access
access._listening = lambda address: sys.argv[1]
is_open = access.knock("auto")
ray.init(address=sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=0)
class Actor:
    def answer(self):
        return 1
actor = Actor.remote()  # which would never run
print(is_open, ray.get(actor.answer.remote()))
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a user with an own home, and nothing of Ray but these variables."""
    home.mkdir(exist_ok=True)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"HOME": str(home)} | variables


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A cluster that asks for a token: its address, and the process that holds it."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": RIGHT}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment(tmp_path_factory.mktemp("head"), **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip(), server.pid
        server.communicate()


@pytest.fixture(scope="module")
def address(served: tuple[str, int]) -> str:
    return served[0]


def start(folder: Path, repository: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment(folder, **variables),
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_only_the_right_token_is_let_in(address: str, repository: Path, tmp_path: Path) -> None:
    token = tmp_path / "right" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text(RIGHT)
    client = ("-c", CLIENT, address)
    # One of them is the whole program.
    program = ("search/run.py", "--storage", str(tmp_path / "runs"), "--address", address)
    given: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
        "right": (client, {"RAY_AUTH_MODE": "token"}),
        "wrong": (program, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": WRONG}),
        "absent": (client, {"RAY_AUTH_MODE": "token"}),
        "disabled": (client, {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": RIGHT}),
    }
    clients = {
        name: start(tmp_path / name, repository, *command, **variables)
        for name, (command, variables) in given.items()
    }
    said = {name: (*client.communicate(), client.returncode) for name, client in clients.items()}
    assert said.pop("right") == (f"the cluster at {address}\n", "", 0)
    assert {name: status for name, (_, _, status) in said.items()} == dict.fromkeys(said, 2)
    asks = f"error: the Ray cluster at '{address}' asks for a token: "
    copy = "the one here is missing or another one; copy the cluster's, ~/.ray/auth_token"
    because = {"wrong": copy, "absent": copy, "disabled": "RAY_AUTH_MODE is disabled here; export"}
    for name, (out, error, _) in said.items():
        assert out == "", name
        assert error.splitlines()[-1].startswith(asks + because[name]), name
        assert "Traceback" not in error, name
        assert RIGHT not in error, name
        assert WRONG not in error, name


@pytest.mark.slow
def test_every_port_asks_for_the_token(served: tuple[str, int]) -> None:
    found = listening([served[1], *children(served[1])])
    assert len(found) >= 4  # GCS, objects, raylet, the agent of its environments
    for at in found:
        assert answers(at) in ({"UNAUTHENTICATED"}, {"401"}), at
        assert answers(at, WRONG) in ({"UNAUTHENTICATED"}, {"403"}), at
        assert answers(at, RIGHT) & {"OK", "200", "500"}, at


@pytest.mark.slow
def test_a_cluster_that_asks_for_none_is_shown_no_token(repository: Path, tmp_path: Path) -> None:
    """Though this user has one, from a local search."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text(RIGHT)
    with start(tmp_path, repository, "-c", SERVER, RAY_AUTH_MODE="disabled") as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        client = start(tmp_path, repository, "-c", FINDER, address)
        said, error = client.communicate()
        server.communicate()
    assert (said, client.returncode) == ("True 1\n", 0), error


def test_where_nobody_answers_it_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ConnectionError, match="refused"):
            knock(f"127.0.0.1:{taken.getsockname()[1]}")
    for address in ("nonsense", "ray://127.0.0.1"):
        with pytest.raises(ConnectionError, match="HOST:PORT"):
            knock(address)
    with pytest.raises(InputError, match="no Ray cluster answers at 'nonsense'"):
        cluster.connect("nonsense")


def test_no_search_joins_the_local_ray_of_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "knock", lambda address: False)
    monkeypatch.setattr(cluster.ray, "init", lambda **options: None)
    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: {PRIVATE: 1.0})
    monkeypatch.setattr(cluster, "shut_down", lambda: left.append("shut down"))
    monkeypatch.setattr(cluster, "start_local", lambda: left.append("start"))
    assert cluster.connect(None) == "a local Ray on this machine"
    assert left == ["shut down", "start"]
    with pytest.raises(InputError, match=r"no Ray cluster answers at 'auto' \(what runs on this"):
        cluster.connect("auto")
    assert left == ["shut down", "start", "shut down"]


def test_a_strangers_cluster_on_this_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> None:
        assert address == "auto"
        raise NoToken("export RAY_AUTH_MODE=token")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "knock", refuse)
    monkeypatch.setattr(cluster, "start_local", lambda: None)
    found = cluster.connect(None)
    assert found.startswith("a local Ray on this machine (a cluster that runs here asks for a tok")

    def open_and_gone(address: str) -> bool:
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return True

    def gone(**options: object) -> None:
        raise ConnectionError("it ended")

    monkeypatch.setenv("RAY_AUTH_MODE", "of the user")  # is put back at the end
    monkeypatch.setattr(cluster, "knock", open_and_gone)
    monkeypatch.setattr(cluster.ray, "init", gone)
    assert cluster.connect(None) == "a local Ray on this machine"
    assert "RAY_AUTH_MODE" not in os.environ  # it asks for a token
    monkeypatch.setattr(cluster, "knock", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(InputError, match="'auto' asks for a token: export RAY_AUTH_MODE=token"):
        cluster.connect(None)
