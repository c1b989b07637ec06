"""The policy documents in the comments of cluster.yaml."""

from __future__ import annotations

from typing import Any


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
