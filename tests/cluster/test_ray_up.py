"""`ray up`, a worker, `ray exec` and `ray down`, against a stand-in for AWS.

Ray, boto3 and cluster.yaml are the real ones. AWS is moto's server on the loopback; `ssh` and
`rsync` record how they are called and do nothing, so that no other machine is ever contacted.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from tests.cluster.cloud import Cloud, load_cluster, node_types, prepare, serve
from tests.cluster.rights import ACCOUNT, filled_in, refused

pytestmark = pytest.mark.slow
pytest.importorskip("boto3", reason="boto3 is not installed")
pytest.importorskip("moto.server", reason="moto is not installed")

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef" * 4
SEARCH = "cd ~/mtbert && python search/run.py --address auto --storage s3://BUCKET/PREFIX"
RECORDED = Path(__file__).with_name("recorded.txt")
# What differs from one run to the next, and its place in the recording.
PASSING = {
    r"/tmp/ray_ssh_\w+/\w+": "SSH_SOCKETS",
    r"\bi-[0-9a-f]{17}\b": "INSTANCE",
    r"\S+/home/": "HOME/",
    r"\S+/ray-bootstrap-\w+": "TMP/ray-bootstrap",
    r"ray-autoscaler_\S+?\.pem": "ray-autoscaler.pem",
}
# What the recorded rsync leaves behind: the head's configuration, whose source Ray deletes.
KEEP_CONFIGURATION = """
import shutil
if "ray_bootstrap_config.yaml" in sys.argv[-1]:
    shutil.copyfile(sys.argv[-2], {target!r})
"""


@dataclass(frozen=True)
class Lived:
    """What happened in the life of a cluster; each list of commands in order.

    Attributes:
        configuration: cluster.yaml, with the ids that exist in the stand-in.
        head: The head, as EC2 described it.
        worker: The spot worker.
        refused: The worker that was asked for when there was no spot capacity.
        elsewhere: The worker that was asked for when moreover the first zone had no such type.
        errors: Of a launch that EC2 refused for another reason.
        up: Commands of `ray up`.
        join: Commands with which the head made the worker join.
        exec: Commands of `ray exec`.
        left: Machines after `ray down`.
    """

    configuration: dict[str, Any]
    head: dict[str, Any]
    worker: dict[str, Any]
    refused: dict[str, Any]
    elsewhere: dict[str, Any]
    errors: list[str]
    up: list[str]
    join: list[str]
    exec: list[str]
    left: list[dict[str, Any]]


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with serve() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def lived(
    cloud: Cloud,
    patch: pytest.MonkeyPatch,
    policies: dict[str, Any],
    make_recorder: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Lived:
    folder = tmp_path_factory.mktemp("cluster")
    home, temporary, configuration = folder / "home", folder / "tmp", folder / "bootstrap.yaml"
    (home / ".ray").mkdir(parents=True)
    (home / "mtbert").mkdir()  # where `ray up` puts it on the head, with the next
    (home / "ray_bootstrap_key.pem").touch()
    (home / ".ray" / "auth_token").write_text(TOKEN, encoding="utf-8")
    temporary.mkdir()
    recorder = make_recorder(folder)
    recorder.add("ssh")
    recorder.add("rsync", then=KEEP_CONFIGURATION.format(target=str(configuration)))
    environment = cloud.environment | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PATH": f"{recorder.folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    path = prepare(cloud, policies, folder)

    def run(*arguments: str) -> list[str]:
        """Run a command of Ray's as a user does; returns what it did on other machines."""
        before = len(recorder.calls())
        done = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *arguments],
            cwd=ROOT,
            env=os.environ | environment | {"AWS_ACCESS_KEY_ID": "user"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"ray {arguments[0]}: {done.stdout} {done.stderr}"
        return [call.text for call in recorder.calls()[before:]]

    up = run("up", str(path), "--yes")
    (head,) = cloud.machines(node_type="head")
    for name, value in environment.items():
        patch.setenv(name, value)
    workers, errors = work(cloud, patch, configuration)
    before = len(recorder.calls())
    join(configuration, workers[0], head["PrivateIpAddress"])
    joined = [call.text for call in recorder.calls()[before:]]
    executed = run("exec", str(path), "--tmux", SEARCH)
    run("down", str(path), "--yes")
    resolved = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    return Lived(resolved, head, *workers, errors, up, joined, executed, cloud.machines())


def work(
    cloud: Cloud, patch: pytest.MonkeyPatch, configuration: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Start workers as the head's autoscaler does: with spot capacity, twice without, in vain."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.instances import InstanceBackend
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler.v2.instance_manager.config import FileConfigReader
    from ray.autoscaler.v2.instance_manager.node_provider import NodeProviderAdapter

    reader = FileConfigReader(str(configuration))
    config = reader.get_cached_autoscaling_config()
    provider = _get_node_provider(
        config.get_provider_config(), config.get_config("cluster_name"), use_cache=False
    )
    adapter = NodeProviderAdapter(provider, reader)
    run_instances = InstanceBackend.run_instances

    def launch(request: str) -> list[str]:
        """Ask for one worker, and wait for it or for the errors."""
        adapter.launch({"a10g_4": 1}, request)
        for _ in range(200):
            if errors := adapter.poll_errors():
                return [str(error.__cause__) for error in errors]
            if cloud.machines(launch_request=request):
                return []
            time.sleep(0.05)
        raise TimeoutError(f"no worker for {request}")

    def no_spot(self: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("instance_market_options"):
            raise EC2ClientError("InsufficientInstanceCapacity", "There is no Spot capacity.")
        return run_instances(self, *arguments, **options)

    def no_spot_in_the_only_zone(self: Any, *arguments: Any, **options: Any) -> Any:
        if options["subnet_id"] == zones[0]:
            raise EC2ClientError("Unsupported", "The instance type is not supported in this zone.")
        return no_spot(self, *arguments, **options)

    def no_right(self: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("instance_market_options"):
            raise EC2ClientError("UnauthorizedOperation", "You are not authorized.")
        return run_instances(self, *arguments, **options)

    assert launch("plenty") == []
    patch.setattr(InstanceBackend, "run_instances", no_spot)
    assert launch("scarce") == []
    zones = config.get_config("available_node_types")["a10g_4"]["node_config"]["SubnetIds"]
    patch.setattr(InstanceBackend, "run_instances", no_spot_in_the_only_zone)
    assert launch("elsewhere") == []
    patch.setattr(InstanceBackend, "run_instances", no_right)
    errors = launch("forbidden")
    patch.setattr(InstanceBackend, "run_instances", run_instances)
    requests = ("plenty", "scarce", "elsewhere")
    return [worker for name in requests for worker in cloud.machines(launch_request=name)], errors


def join(configuration: Path, worker: dict[str, Any], head_ip: str) -> None:
    """Set up a worker as the head's autoscaler does."""
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
    from ray.autoscaler.v2.instance_manager.ray_installer import RayInstaller
    from ray.core.generated.instance_manager_pb2 import Instance

    loaded = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    config = AutoscalingConfig(loaded, skip_content_hash=True)
    provider = _get_node_provider(loaded["provider"], loaded["cluster_name"], use_cache=False)
    provider.non_terminated_nodes({})
    instance = Instance(instance_type="a10g_4", cloud_instance_id=worker["InstanceId"])
    RayInstaller(provider, config).install_ray(instance, head_ip)


def remote(calls: list[str]) -> list[str]:
    """What was done on the other machine: the command that ran there, or `put PATH`."""
    done = []
    for call in calls:
        if call.startswith("rsync "):
            done.append("put " + call.rsplit(":", 1)[1].rstrip("/"))
        else:
            script = shlex.split(call[call.index("bash --login") :])[-1]
            done.append(script.split(" && (", 1)[1].removesuffix(")"))
    return done


def recording(lived: Lived) -> str:
    """Return all commands in order, without what differs from one run to the next."""
    names = {
        lived.head["PrivateIpAddress"]: "HEAD",
        lived.worker["PrivateIpAddress"]: "WORKER",
        str(ROOT): "CHECKOUT",
    }
    known = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    lists = {"ray up": lived.up, "a worker": lived.join, "ray exec": lived.exec}
    lines = []
    for title, calls in lists.items():
        lines += [f"# {title}", *(known.sub(lambda found: names[found[0]], c) for c in calls), ""]
    text = "\n".join(lines)
    for pattern, name in PASSING.items():
        text = re.sub(pattern, name, text)
    return text


def test_commands_are_those_that_were_recorded(lived: Lived) -> None:
    found = recording(lived)
    if not RECORDED.exists():
        RECORDED.write_text(found, encoding="utf-8")
        pytest.fail(f"{RECORDED} was not there and is written anew: read it, and commit it")
    assert found == RECORDED.read_text(encoding="utf-8"), f"meant? then: rm {RECORDED}, run again"


def test_worker_is_told_where_the_head_is_and_what_it_has(lived: Lived) -> None:
    (start,) = [each for each in remote(lived.join) if "ray start" in each]
    assert f"export RAY_HEAD_IP={lived.head['PrivateIpAddress']};" in start
    assert '"GPU":4' in start.replace(" ", "")


def test_search_runs_in_the_checkout_on_the_head(lived: Lived) -> None:
    (command,) = remote(lived.exec)
    assert shlex.split(command)[:5] == ["tmux", "new", "-d", "bash", "-c"]
    assert SEARCH in command


def test_checkout_goes_over_without_what_is_not_wanted_there(lived: Lived) -> None:
    (call,) = [call for call in lived.up if call.endswith(":~/mtbert/")]
    for excluded in ("--exclude .git ", "--exclude .venv ", "--filter dir-merge,- .gitignore"):
        assert excluded in call


def test_only_machines_of_the_cluster_are_contacted(lived: Lived) -> None:
    own = {lived.head["PrivateIpAddress"], lived.worker["PrivateIpAddress"]}
    for call in [*lived.up, *lived.join, *lived.exec]:
        (address,) = re.findall(r"ubuntu@([\w.]+)", call)
        assert address in own


def test_token_is_in_no_command_and_in_no_configuration(lived: Lived) -> None:
    assert TOKEN not in json.dumps(lived.configuration)
    assert not any(TOKEN in call for call in [*lived.up, *lived.join, *lived.exec])


def test_head_is_on_demand_and_workers_are_spot(lived: Lived) -> None:
    assert lived.head["InstanceType"] == "m6i.xlarge"
    assert "InstanceLifecycle" not in lived.head
    assert lived.worker["InstanceType"] == "g5.12xlarge"
    assert lived.worker["InstanceLifecycle"] == "spot"


def test_without_spot_capacity_the_same_machine_is_started_on_demand(lived: Lived) -> None:
    for machine in (lived.refused, lived.elsewhere):
        assert "InstanceLifecycle" not in machine
        assert machine["IamInstanceProfile"]["Arn"] == lived.worker["IamInstanceProfile"]["Arn"]
        for key in ("InstanceType", "ImageId", "SecurityGroups"):
            assert machine[key] == lived.worker[key]
    assert lived.elsewhere["SubnetId"] != lived.refused["SubnetId"]


def test_other_refusals_reach_the_autoscaler(lived: Lived) -> None:
    (error,) = lived.errors
    assert "UnauthorizedOperation" in error


@pytest.mark.parametrize(
    ("word", "falls_back"),
    [
        ("InsufficientInstanceCapacity", True),
        ("MaxSpotInstanceCountExceeded", True),
        ("SpotMaxPriceTooLow", True),
        ("Unsupported", True),
        ("UnauthorizedOperation", False),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", False),
        ("InvalidAMIID.NotFound", False),
        ("RequestLimitExceeded", False),
    ],
)
def test_refusals_that_may_be_of_spot_alone_lead_to_demand(
    monkeypatch: pytest.MonkeyPatch, word: str, falls_back: bool
) -> None:
    from ray.autoscaler.node_launch_exception import NodeLaunchException

    from search.cluster.launch.spot_first import SpotFirst

    def start(self: Any, node_config: dict[str, Any], tags: Any, count: int) -> dict[str, Any]:
        if "InstanceMarketOptions" in node_config:
            raise NodeLaunchException(word, "no", None)
        return {"i-1": node_config}

    monkeypatch.setattr(SpotFirst, "_start", start)
    monkeypatch.setattr(SpotFirst, "__del__", lambda self: None, raising=False)
    spot = {"InstanceType": "g5.12xlarge", "InstanceMarketOptions": {"MarketType": "spot"}}
    provider = SpotFirst.__new__(SpotFirst)
    if falls_back:
        assert provider._create_node(spot, {}, 1) == {"i-1": {"InstanceType": "g5.12xlarge"}}
    else:
        with pytest.raises(NodeLaunchException, match=word):
            provider._create_node(spot, {}, 1)


def test_machines_have_the_roles_and_the_security_group(lived: Lived) -> None:
    for machine, role in ((lived.head, "mtbert-head"), (lived.worker, "mtbert-worker")):
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{role}")
        (group,) = machine["SecurityGroups"]
        assert group["GroupName"] == "mtbert"


def test_the_roles_suffice(lived: Lived, cloud: Cloud, policies: dict[str, Any]) -> None:
    """For the head's provider, and with what the file adds for whoever calls `ray up`."""
    head = filled_in(policies["mtbert-head"])
    user = copy.deepcopy(head)
    user["Statement"] += [
        {"Action": "iam:PassRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/mtbert-head"},
        {"Action": "ec2:CreateKeyPair", "Resource": "*"},
    ]
    for who, policy in (("testing", head), ("user", user)):
        asked = [each for each in cloud.asked if each.who == who]
        actions = {each.action for each in asked}
        assert {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"} <= actions, who
        assert refused(policy, asked) == [], who
    strange = [each for each in cloud.asked if each.who == "user"]
    assert ("ec2:CreateKeyPair", "*") in refused(head, strange)


def test_nothing_is_left_after_ray_down(lived: Lived) -> None:
    assert lived.left == []


def test_ray_makes_no_role_and_no_group_of_its_own(lived: Lived, cloud: Cloud) -> None:
    roles = {role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]}
    groups = cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    assert roles == {"mtbert-head", "mtbert-worker"}
    assert {group["GroupName"] for group in groups} == {"default", "mtbert"}


def test_resources_are_those_of_the_machines(cloud: Cloud) -> None:
    for name, node_type in node_types(load_cluster()).items():
        wanted = node_type["node_config"]["InstanceType"]
        (found,) = cloud.client("ec2").describe_instance_types(InstanceTypes=[wanted])[
            "InstanceTypes"
        ]
        gpus = found.get("GpuInfo", {"Gpus": []})["Gpus"]
        count = sum(gpu["Count"] for gpu in gpus)
        if name != "head":
            assert node_type["resources"] == {
                "CPU": found["VCpuInfo"]["DefaultVCpus"],
                "GPU": count,
            }
            assert name == f"{gpus[0]['Name'].lower()}_{count}"
            assert found["InstanceStorageSupported"], "no NVMe"
