"""What is asked of the stand-in for AWS, and whether the policies of cluster.yaml allow it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

CLUSTER_YAML = Path(__file__).resolve().parents[2] / "cluster.yaml"
ACCOUNT = "123456789012"  # of the stand-in
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]*)/(\w+)/")


@dataclass(frozen=True)
class Asked:
    """What somebody asked of AWS.

    Attributes:
        who: Their access key's id.
        action: As policies name it.
        resource: As policies name it; `*` where all are meant.
        context: Keys of conditions that are known from the request.
    """

    who: str
    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


def load_policies() -> dict[str, Any]:
    """Return the policy documents in the comments of cluster.yaml, by the names of their files."""
    text = CLUSTER_YAML.read_text(encoding="utf-8")
    found = re.findall(r"^# ([\w-]+)\.json: .*\n(?:# \S.*\n)*((?:#   .*\n)+)", text, re.MULTILINE)
    return {name: json.loads(document.replace("\n#", "\n")[1:]) for name, document in found}


def filled_in(policy: dict[str, Any], bucket: str = "BUCKET", prefix: str = "PREFIX") -> Any:
    """Return a policy with names in the places of BUCKET, PREFIX and ACCOUNT."""
    text = json.dumps(policy).replace("BUCKET", bucket).replace("PREFIX", prefix)
    return json.loads(text.replace("ACCOUNT", ACCOUNT))


def refused(policy: dict[str, Any], asked: list[Asked]) -> list[tuple[str, str]]:
    """Return action and resource of what a policy does not allow, once each."""
    return sorted({(a.action, a.resource) for a in asked if not _is_allowed(policy, a)})


def _is_allowed(policy: dict[str, Any], asked: Asked) -> bool:
    def matches(patterns: str | list[str], name: str) -> bool:
        return any(
            fnmatchcase(name, pattern)
            for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        )

    return any(
        matches(statement["Action"], asked.action)
        and matches(statement["Resource"], asked.resource)
        and statement.get("Condition", {"StringEquals": {}})["StringEquals"].items()
        <= asked.context.items()
        for statement in policy["Statement"]
    )


@contextmanager
def recorded() -> Iterator[list[Asked]]:
    """Record what is asked of moto's servers in this process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    real, asked = DomainDispatcherApplication.__call__, []

    def note(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if signed:
            who, region, service = signed.groups()
            asked.extend(
                Asked(who, *each)
                for each in (_of_s3(environ) if service == "s3" else _of(environ, service, region))
            )
        return real(self, environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DomainDispatcherApplication, "__call__", note)
        yield asked


_What = Iterator[tuple[str, str, dict[str, str]]]


def _body(environ: dict[str, Any]) -> str:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body.decode()


def _of_s3(environ: dict[str, Any]) -> _What:
    bucket, _, key = unquote(environ["PATH_INFO"]).strip().lstrip("/").partition("/")
    if bucket.startswith("$"):  # "$extremelyunlikelytoexist$": Arrow finds out whose S3 it is
        return
    method, query = environ["REQUEST_METHOD"], parse_qs(environ["QUERY_STRING"], True)
    arn = f"arn:aws:s3:::{bucket}"
    if key:
        name = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(method)
        if method == "DELETE" and "uploadId" in query:
            name = "AbortMultipartUpload"
        yield f"s3:{name or 'PutObject'}", f"{arn}/{key}", {}
    elif method == "POST" and "delete" in query:
        for each in re.findall(r"<Key>(.*?)</Key>", _body(environ)):
            yield "s3:DeleteObject", f"{arn}/{each}", {}
    elif method in ("GET", "HEAD"):
        yield "s3:GetBucketLocation" if "location" in query else "s3:ListBucket", arn, {}
    else:
        yield f"s3:{method} of a bucket", arn, {}


def _of(environ: dict[str, Any], service: str, region: str) -> _What:
    fields = {name: values[0] for name, values in parse_qs(_body(environ)).items()}
    action = fields["Action"]
    ids = [v for name, v in fields.items() if re.match(r"(InstanceId|ResourceId)\.\d", name)]
    changes = action in ("TerminateInstances", "CreateTags")
    for id in ids if changes else ["*"]:
        arn = f"arn:aws:{service}:{region}:{ACCOUNT}:instance/{id}" if changes else id
        yield f"{service}:{action}", arn, {"aws:ResourceTag/ray-cluster-name": _tag(region, id)}
    if action == "RunInstances":
        if any(name.startswith("TagSpecification") for name in fields):
            yield "ec2:CreateTags", "*", {"ec2:CreateAction": action}
        if role := fields.get("IamInstanceProfile.Name"):  # the profile is named as its role
            arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
            yield "iam:PassRole", arn, {"iam:PassedToService": "ec2.amazonaws.com"}


def _tag(region: str, id: str) -> str:
    """Return the cluster's name that a machine is tagged with."""
    from moto.ec2.models import ec2_backends

    machine = ec2_backends[ACCOUNT][region].get_instance_by_id(id)
    tags = machine.get_tags() if machine else []
    return next((tag["value"] for tag in tags if tag["key"] == "ray-cluster-name"), "")
