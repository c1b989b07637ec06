"""A stand-in for AWS: moto's server, and what cluster.yaml needs to be there."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from tests.cluster.rights import Asked, recorded

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"


@functools.cache
def _client(address: str, service: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="the-test-itself",
        aws_secret_access_key="testing",
    )


@dataclass(frozen=True)
class Cloud:
    """The stand-in.

    Attributes:
        address: Of the server.
        environment: Variables for programs that shall talk to it, and to nothing else.
        asked: All that was asked of it so far.
    """

    address: str
    environment: dict[str, str]
    asked: list[Asked]

    def client(self, service: str) -> Any:
        """A boto3 client of one service."""
        return _client(self.address, service)

    def machines(self, **wanted: str) -> list[dict[str, Any]]:
        """All machines that are not ended, as EC2 describes them; with these Ray tags only."""
        reservations = self.client("ec2").describe_instances()["Reservations"]
        found = [machine for group in reservations for machine in group["Instances"]]
        return [
            machine
            for machine in found
            if machine["State"]["Name"] in ("pending", "running")
            and {f"ray-{key.replace('_', '-')}": value for key, value in wanted.items()}.items()
            <= {tag["Key"]: tag["Value"] for tag in machine["Tags"]}.items()
        ]


@contextmanager
def serve(ip: str = "127.0.0.1") -> Iterator[Cloud]:
    """Serve at this address of this machine."""
    from moto.ec2.models.instance_types import InstanceTypeBackend
    from moto.server import ThreadedMotoServer

    # Of the 800 types of moto those that the file names; the rest takes Ray ten seconds to read.
    named = {t["node_config"]["InstanceType"] for t in node_types(load_cluster()).values()}
    known = [each for each in InstanceTypeBackend.instance_types if each["InstanceType"] in named]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    aws = ThreadedMotoServer(ip_address=ip, port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch, recorded() as asked:
        patch.setattr(InstanceTypeBackend, "instance_types", known)
        aws.start()
        address = "http://{}:{}".format(*aws.get_host_and_port())
        environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        try:
            yield Cloud(address, environment, asked)
        finally:
            aws.stop()


def load_cluster() -> dict[str, Any]:
    """Return what cluster.yaml says, read afresh."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    return loaded


def node_types(cluster: dict[str, Any]) -> dict[str, Any]:
    """Return the node types of a cluster, by name."""
    found: dict[str, Any] = cluster["available_node_types"]
    return found


def prepare(cloud: Cloud, policies: dict[str, Any], folder: Path) -> Path:
    """Make what the file's comments ask for, and write the file with the ids of that."""
    iam, ec2 = cloud.client("iam"), cloud.client("ec2")
    documents = {name: json.dumps(policy) for name, policy in policies.items()}
    for role in ("mtbert-head", "mtbert-worker"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=documents["trust"])
        iam.put_role_policy(RoleName=role, PolicyName="mtbert", PolicyDocument=documents[role])
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    (network,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    group = ec2.create_security_group(
        GroupName="mtbert", Description="itself", VpcId=network["VpcId"]
    )
    cluster = load_cluster()
    # The stand-in hands out public addresses that belong to somebody.
    cluster["provider"]["use_internal_ips"] = True
    for node_type in node_types(cluster).values():
        node_type["node_config"]["SecurityGroupIds"] = [group["GroupId"]]
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(cluster), encoding="utf-8")
    return path
