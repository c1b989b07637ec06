"""Searches on two nodes whose results come home to a bucket, or to a folder that all share."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped, unused-ignore]
import pytest
from moto.server import ThreadedMotoServer
from ray.cluster_utils import Cluster

from search.commands import export as exporting
from search.commands.run import main
from search.log.events import Event, read_events
from search.log.find_folder import find_folder, split
from search.log.folder import EVENTS, SearchFolder
from tests.cluster.rights import Asked, filled_in, load_policies, recorded, refused
from trainable.errors import InputError

SECRET = "a-secret-that-must-stay-one"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
OPTIONS = ["--space", "smoke", "--budget", "20000", "--units", "2", "--eta", "2", "--quiet"]


@dataclass(frozen=True)
class Bucket:
    """A bucket of a stand-in for S3 on this machine, which keeps every version of an object."""

    s3: Any
    uri: str
    asked: list[Asked]

    def read(self) -> dict[str, bytes]:
        """Return key -> content."""
        found = self.s3.list_objects_v2(Bucket="results").get("Contents", [])
        return {o["Key"]: self._get(o["Key"]) for o in found}

    def history(self, key: str) -> list[bytes]:
        """Return all that an object was, oldest first."""
        versions = self.s3.list_object_versions(Bucket="results", Prefix=key)["Versions"]
        return [self._get(key, VersionId=version["VersionId"]) for version in reversed(versions)]

    def _get(self, key: str, **options: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket="results", Key=key, **options)["Body"].read()
        return content


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        # Often, so that a search of seconds is long enough to see the log grow in the bucket.
        patch.setattr("search.log.mirror._SECONDS", 0.2)
        patch.setattr("search.log.mirror._SECONDS_PER_COPYING_SECOND", 1)
        yield patch


@pytest.fixture(scope="module")
def bucket(environment: pytest.MonkeyPatch) -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    own = {"aws_access_key_id": "the-test-itself", "aws_secret_access_key": SECRET}
    s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **own)
    s3.create_bucket(Bucket="results")
    s3.put_bucket_versioning(Bucket="results", VersioningConfiguration={"Status": "Enabled"})
    uri = f"s3://results/runs?endpoint_override={host}:{port}&scheme=http"
    try:
        with recorded() as asked:
            yield Bucket(s3, uri, asked)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def address(environment: pytest.MonkeyPatch, repository: Path) -> Iterator[str]:
    """A cluster of two nodes with a place each; the head has none."""
    environment.setenv("PYTHONPATH", str(repository))
    small: Any = {"object_store_memory": 80_000_000}
    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, **small}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, num_gpus=0, **small)
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def run(*arguments: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([*OPTIONS, *arguments]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def finished(bucket: Bucket, address: str) -> str:
    """A search of two trials in the bucket; returns what it printed."""
    options = ("--trials", "2", "--name", "first", "--storage", bucket.uri)
    return run(*options, "--address", address)


@pytest.fixture
def another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that has nothing of earlier ones."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def events_of(bucket: Bucket, tmp_path: Path) -> list[Event]:
    path = tmp_path / EVENTS
    path.write_bytes(bucket.read()[f"runs/first/{EVENTS}"])
    return read_events(path)


@pytest.mark.slow
def test_all_results_are_in_the_bucket(finished: str, bucket: Bucket, tmp_path: Path) -> None:
    assert "2 nodes looked at: storage, versions and code are as here" in finished
    names = {key.removeprefix("runs/first/") for key in bucket.read()}
    assert {EVENTS, "best.json", "trials.csv", "report.md", "report.html"} <= names
    for number in range(2):
        board = f"tensorboard/trial_{number:04d}/events.out"
        assert any(name.startswith(board) for name in names)
    assert not [name for name in names if ".preflight" in name or ".probe" in name]
    events = events_of(bucket, tmp_path)
    assert events[-1]["event"] == "closed"
    assert not [event for event in events if event["event"] == "failed"]


@pytest.mark.slow
def test_checkpoints_that_nobody_needs_are_not(
    finished: str, bucket: Bucket, tmp_path: Path
) -> None:
    events = events_of(bucket, tmp_path)
    saved = {event["path"] for event in events if event["event"] == "saved"}
    deleted = {event["path"] for event in events if event["event"] == "deleted"}
    assert deleted < saved
    files = [re.fullmatch(r"runs/first/(.+)/state\.safetensors", key) for key in bucket.read()]
    assert {file[1] for file in files if file} == saved - deleted
    best = json.loads(bucket.read()["runs/first/best.json"])
    kept = {int(path[len("trial_") :][:4]) for path in saved - deleted}
    assert {0, best["trial"]} <= kept, "of the default, too"
    assert len(kept) <= 2


@pytest.mark.slow
def test_the_log_is_copied_while_the_search_runs(finished: str, bucket: Bucket) -> None:
    *earlier, last = bucket.history(f"runs/first/{EVENTS}")
    assert len(earlier) >= 2
    assert all(last.startswith(version) for version in earlier)
    assert b'"closed"' in last
    assert b'"suggested"' in earlier[0] + earlier[1]
    assert b'"closed"' not in earlier[0]


@pytest.mark.slow
def test_the_roles_of_the_cluster_file_allow_all_that_it_asks(
    finished: str, bucket: Bucket
) -> None:
    asked = [each for each in bucket.asked if each.who == CREDENTIALS["AWS_ACCESS_KEY_ID"]]
    reads, writes = {"s3:ListBucket", "s3:GetObject"}, {"s3:PutObject", "s3:DeleteObject"}
    assert reads | writes <= {each.action for each in asked}
    for role in ("mtbert-worker", "mtbert-head"):
        assert refused(filled_in(load_policies()[role], "results", "runs"), asked) == [], role
    elsewhere = filled_in(load_policies()["mtbert-worker"], "results", "other")
    assert refused(elsewhere, asked), "nothing was asked that a policy could refuse"


@pytest.mark.slow
def test_no_secret_is_in_the_bucket(finished: str, bucket: Bucket) -> None:
    assert all(SECRET.encode() not in content for content in bucket.read().values())
    assert SECRET not in finished


@pytest.mark.slow
def test_results_are_written_again_on_another_machine(
    finished: str, bucket: Bucket, another_machine: None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert exporting.main(["first", "--storage", bucket.uri, "--out", str(out)]) == 0
    for name in ("best.json", "trials.csv"):
        assert (out / name).read_bytes() == bucket.read()[f"runs/first/{name}"]


@pytest.mark.slow
def test_another_search_learns_from_it(
    finished: str, bucket: Bucket, another_machine: None
) -> None:
    uri = SearchFolder("first", bucket.uri, Path()).uri
    assert uri in finished
    options = ("--warm-start", uri, "--name", "second", "--storage", bucket.uri)
    assert "2 trials carried over" in run(*options, "--dry-run")


@pytest.mark.slow
def test_a_search_goes_on_on_another_machine(
    finished: str, bucket: Bucket, address: str, another_machine: None, tmp_path: Path
) -> None:
    before = bucket.read()[f"runs/first/{EVENTS}"]
    options = ("--trials", "3", "--name", "first", "--storage", bucket.uri, "--resume")
    run(*options, "--address", address)
    assert bucket.read()[f"runs/first/{EVENTS}"].startswith(before)
    events = events_of(bucket, tmp_path)
    assert [e["trial"] for e in events if e["event"] == "suggested"] == [0, 1, 2]
    assert events[-1]["event"] == "closed"
    assert len(bucket.read()["runs/first/trials.csv"].splitlines()) == 4


@pytest.mark.slow
def test_a_folder_that_both_nodes_share_serves_as_well(address: str, tmp_path: Path) -> None:
    printed = run(
        *("--trials", "2", "--name", "first", "--storage", str(tmp_path), "--address", address)
    )
    assert "2 nodes looked at: storage, versions and code are as here" in printed
    assert {EVENTS, "best.json", "tensorboard"} <= {p.name for p in (tmp_path / "first").iterdir()}
    assert not list(tmp_path.rglob(".preflight*"))
    # Of the default and of the best of the others.
    assert len(list(tmp_path.rglob("state.safetensors"))) == 2


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://key:{SECRET}@bucket/prefix",
        f"abfs://container:{SECRET}@account.dfs.core.windows.net/prefix",
        f"abfs://container@account.dfs.core.windows.net/prefix?client_secret={SECRET}",
        f"s3://bucket/prefix?region=eu-west-1&session_token={SECRET}",
    ],
)
def test_a_storage_with_a_secret_in_it_is_refused_without_repeating_it(uri: str) -> None:
    with pytest.raises(InputError, match="would be written to the log") as caught:
        find_folder(uri, "name", resume=False)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "uri"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix/name"),
        ("s3://bucket/prefix/", "s3://bucket/prefix/name"),
        ("s3://bucket?region=eu-west-1", "s3://bucket/name?region=eu-west-1"),
        ("/runs", "/runs/name"),
        ("/", "/name"),
    ],
)
def test_the_uri_of_a_search_says_where_it_is(storage: str, uri: str) -> None:
    assert SearchFolder("name", storage, Path()).uri == uri
    root, name = split(uri)
    assert (SearchFolder("name", root, Path()).uri, name) == (uri, "name")
