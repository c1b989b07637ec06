"""The policy documents in the comments of cluster.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.log.folder import SearchFolder
from tests.cluster.cloud import Cloud, serve
from tests.cluster.rights import filled_in, refused


def test_roles_reach_no_further_than_they_must(policies: dict[str, Any]) -> None:
    assert policies.keys() == {"trust", "mtbert-worker", "mtbert-head"}
    allowed: dict[str, set[tuple[str, str]]] = {}
    for name, policy in policies.items():
        for statement in policy["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                allowed.setdefault(name, set()).add((action, statement.get("Resource", "")))
    bucket, prefix = "arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/PREFIX/*"
    results = {
        ("s3:ListBucket", bucket),
        ("s3:GetBucketLocation", bucket),
        ("s3:GetObject", prefix),
        ("s3:PutObject", prefix),
        ("s3:DeleteObject", prefix),
        ("s3:AbortMultipartUpload", prefix),
    }
    instances = "arn:aws:ec2:*:ACCOUNT:instance/*"
    assert allowed["mtbert-worker"] == results
    assert allowed["mtbert-head"] - results == {
        ("ec2:RunInstances", "*"),
        ("ec2:Describe*", "*"),
        ("ec2:CreateTags", "*"),
        ("ec2:TerminateInstances", instances),
        ("ec2:CreateTags", instances),
        ("iam:PassRole", "arn:aws:iam::ACCOUNT:role/mtbert-worker"),
    }


def test_rights_on_machines_are_limited_to_the_cluster(
    policies: dict[str, Any], cluster: dict[str, Any]
) -> None:
    name = cluster["cluster_name"]
    for statement in policies["mtbert-head"]["Statement"]:
        if "ec2:TerminateInstances" in statement["Action"]:
            tags = statement["Condition"]["StringEquals"]
            assert tags == {"aws:ResourceTag/ray-cluster-name": name}
        elif statement["Action"] == "ec2:CreateTags":
            assert statement["Condition"] == {"StringEquals": {"ec2:CreateAction": "RunInstances"}}


def test_only_machines_may_take_the_roles_and_only_machines_are_given_one(
    policies: dict[str, Any],
) -> None:
    (trust,) = policies["trust"]["Statement"]
    machines = "ec2.amazonaws.com"
    assert trust["Effect"] == "Allow"
    assert (trust["Principal"], trust["Action"]) == ({"Service": machines}, "sts:AssumeRole")
    (passing,) = [s for s in policies["mtbert-head"]["Statement"] if s["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": machines}}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    pytest.importorskip("moto.server", reason="moto is not installed")
    with serve() as cloud:
        cloud.client("s3").create_bucket(Bucket="results")
        yield cloud


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prefix", "below", "denied"),
    [
        ("mtbert", "", []),
        ("mtbert", "/team/first", []),
        # As the file says, PREFIX has no slash: Arrow puts an object for every folder above.
        ("team/mtbert", "", [("s3:PutObject", "arn:aws:s3:::results/team/")]),
    ],
)
def test_the_first_write_of_a_search_is_allowed(
    cloud: Cloud,
    policies: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    prefix: str,
    below: str,
    denied: list[tuple[str, str]],
) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    server = cloud.address.removeprefix("http://")
    storage = f"s3://results/{prefix}{below}?endpoint_override={server}&scheme=http"
    before = len(cloud.asked)
    SearchFolder("search", storage, tmp_path / "search").make()
    asked = [each for each in cloud.asked[before:] if each.who == "testing"]
    assert any(each.action == "s3:PutObject" for each in asked)
    for role in ("mtbert-worker", "mtbert-head"):
        assert refused(filled_in(policies[role], "results", prefix), asked) == denied, role
