"""cluster.yaml: Ray's own schema, and the mistakes that the schema lets through.

Each check is a function from the loaded file to a list of problems. The real file must have none,
and a copy broken on purpose must have one: a check that finds nothing would otherwise go unseen.
"""

from __future__ import annotations

import copy
import importlib
import re
import tomllib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

Cluster = dict[str, Any]
Check = Callable[[Cluster], list[str]]

ROOT = Path(__file__).resolve().parents[1]
CLUSTER_YAML = ROOT / "cluster.yaml"
PYPROJECT = ROOT / "pyproject.toml"
TOKEN = "~/.ray/auth_token"
# Ray 2.60's, under which a silent machine is noticed after 65 seconds.
HEALTH_CHECKS = {"period_ms": 3000, "timeout_ms": 10_000, "failure_threshold": 5}
PINNED = frozenset({"ray", "torch", "optuna"})  # what every machine must have in one version

# The parameters of EC2's RunInstances that this file may use, with those inside them. Ray passes
# node_config on unread, so that a misspelt name is found by Amazon at the earliest. `SubnetIds` is
# Ray's own spelling.
EBS_KEYS = ("DeleteOnTermination", "Encrypted", "Iops", "KmsKeyId", "VolumeSize", "VolumeType")
NODE_CONFIG_KEYS: dict[str, Any] = {
    "BlockDeviceMappings": {"DeviceName": None, "Ebs": dict.fromkeys(EBS_KEYS)},
    "IamInstanceProfile": {"Arn": None, "Name": None},
    "ImageId": None,
    "InstanceMarketOptions": {
        "MarketType": None,
        "SpotOptions": {"MaxPrice": None, "SpotInstanceType": None},
    },
    "InstanceType": None,
    "KeyName": None,
    "MetadataOptions": {"HttpEndpoint": None, "HttpPutResponseHopLimit": None, "HttpTokens": None},
    "SecurityGroupIds": None,
    "SubnetIds": None,
}


def load_cluster() -> Cluster:
    """Read the file afresh, so that a test may break what it gets."""
    loaded = yaml.safe_load(CLUSTER_YAML.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def load_requirements() -> dict[str, list[Requirement]]:
    """The requirements in pyproject.toml: of the project under "", of each extra under its name."""
    if not PYPROJECT.exists():
        pytest.skip("no pyproject.toml")
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project.get("optional-dependencies", {})}
    return {name: [Requirement(line) for line in lines] for name, lines in lists.items()}


def node_types(cluster: Cluster) -> dict[str, Cluster]:
    types = cluster["available_node_types"]
    assert isinstance(types, dict)
    return types


def workers(cluster: Cluster) -> dict[str, Cluster]:
    head = cluster["head_node_type"]
    return {name: node for name, node in node_types(cluster).items() if name != head}


def node_configs(cluster: Cluster) -> Iterator[tuple[str, Cluster]]:
    for name, node in node_types(cluster).items():
        yield name, node["node_config"]


def commands(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every command that Ray will run, with the key that holds it."""
    for holder in (cluster, *node_types(cluster).values()):
        for key, value in holder.items():
            if key.endswith("_commands"):
                yield from ((key, command) for command in value)


def start_commands(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in cluster.get(key, []) if "ray start" in command]
        yield from ((key, command) for command in starts or [""])


def find_legacy_keys(cluster: Cluster) -> list[str]:
    """The one old key that Ray's schema still takes, and drops without a word."""
    return ["min_workers: belongs to a node type"] if "min_workers" in cluster else []


def find_worker_counts(cluster: Cluster) -> list[str]:
    """Caps that are missing, or below what they cap."""
    problems = [] if "max_workers" in cluster else ["max_workers: no cap on the cost"]
    for name, node in workers(cluster).items():
        least, most = node.get("min_workers", 0), node.get("max_workers")
        if most is None or least > most:
            problems.append(f"{name}: min_workers {least}, max_workers {most}")
    if cluster.get("idle_timeout_minutes", 0) not in range(1, 31):
        problems.append("idle_timeout_minutes: idle workers are kept too long, or ended at once")
    return problems


def find_mixed_sizes(cluster: Cluster) -> list[str]:
    """Types of several sizes that may be started: the autoscaler would only take the smallest."""
    gpus = {
        name: node["resources"].get("GPU", 0)
        for name, node in workers(cluster).items()
        if node.get("max_workers", 0) > 0
    }
    if not gpus:
        return ["no worker type has max_workers above 0"]
    return [f"types of different sizes: {gpus}"] if len(set(gpus.values())) > 1 else []


def find_provider(cluster: Cluster) -> list[str]:
    """A provider that cannot be imported, or under which spot has no fallback."""
    provider = cluster["provider"]
    if provider["type"] != "external":
        return [f"provider: {provider['type']} has no fallback to on-demand"]
    module, _, name = provider["module"].rpartition(".")
    try:
        found = hasattr(importlib.import_module(module), name)
    except ImportError:
        found = False
    return [] if found else [f"provider: there is no {provider['module']}"]


def find_security_groups(cluster: Cluster) -> list[str]:
    """Types for which Ray would make a group that admits ssh from anywhere, or of another one."""
    groups = {name: config.get("SecurityGroupIds") for name, config in node_configs(cluster)}
    problems = [f"{name}: no SecurityGroupIds" for name, ids in groups.items() if not ids]
    if len({str(ids) for ids in groups.values()}) > 1:
        problems.append(f"the security groups differ: {groups}")
    if "security_group" in cluster["provider"]:
        problems.append("provider: security_group only widens the group that Ray makes")
    return problems


def find_node_config_keys(cluster: Cluster) -> list[str]:
    """Names in node_config, at any depth, that RunInstances does not know."""

    def unknown(value: Any, known: Any, path: str) -> Iterator[str]:
        if isinstance(value, list):
            for item in value:
                yield from unknown(item, known, path)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if known is None or key not in known:
                    yield f"{path}.{key}: unknown; known: {', '.join(known or ())}"
                else:
                    yield from unknown(inner, known[key], f"{path}.{key}")

    return [
        problem
        for name, config in node_configs(cluster)
        for problem in unknown(config, NODE_CONFIG_KEYS, name)
    ]


def find_images(cluster: Cluster) -> list[str]:
    """Types without a pinned image, or with another one: Python must be the same everywhere."""
    images = {name: str(config.get("ImageId")) for name, config in node_configs(cluster)}
    problems = [
        f"{name}: ImageId {image} is no pinned image"
        for name, image in images.items()
        if not re.fullmatch(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?", image)
    ]
    if len(set(images.values())) > 1:
        problems.append(f"the images differ: {images}")
    return problems


def find_instance_types(cluster: Cluster) -> list[str]:
    return [
        f"{name}: InstanceType missing"
        for name, config in node_configs(cluster)
        if not config.get("InstanceType")
    ]


def find_resources(cluster: Cluster) -> list[str]:
    """A head that would take trials, or a worker type whose GPUs Ray would have to guess."""
    head = node_types(cluster)[cluster["head_node_type"]]["resources"]
    problems = [
        f"head: {kind} must be 0, not {head.get(kind)}"
        for kind in ("CPU", "GPU")
        if head.get(kind) != 0
    ]
    for name, node in workers(cluster).items():
        for kind in ("CPU", "GPU"):
            if node["resources"].get(kind, 0) <= 0:
                problems.append(f"{name}: no {kind} in resources")
    return problems


def find_markets(cluster: Cluster) -> list[str]:
    """Workers that are not spot, or a head that is."""
    head = cluster["head_node_type"]
    problems = []
    for name, config in node_configs(cluster):
        market = config.get("InstanceMarketOptions", {}).get("MarketType")
        if market != (None if name == head else "spot"):
            problems.append(f"{name}: MarketType {market}")
    return problems


def find_profiles(cluster: Cluster) -> list[str]:
    """Types that would get Ray's role of all rights (head) or no role at all (workers)."""
    return [
        f"{name}: no IamInstanceProfile"
        for name, config in node_configs(cluster)
        if not config.get("IamInstanceProfile")
    ]


def find_metadata_service(cluster: Cluster) -> list[str]:
    return [
        f"{name}: HttpTokens must be 'required' (IMDSv2)"
        for name, config in node_configs(cluster)
        if config.get("MetadataOptions", {}).get("HttpTokens") != "required"
    ]


def find_plain_disks(cluster: Cluster) -> list[str]:
    problems = []
    for name, config in node_configs(cluster):
        disks = config.get("BlockDeviceMappings", [])
        if not disks or any(disk.get("Ebs", {}).get("Encrypted") is not True for disk in disks):
            problems.append(f"{name}: a disk is not encrypted, or none is named")
    return problems


def find_stopped_nodes(cluster: Cluster) -> list[str]:
    kept = cluster["provider"].get("cache_stopped_nodes", True)
    return ["cache_stopped_nodes: stopped machines go on costing"] if kept else []


def find_missing_mounts(cluster: Cluster) -> list[str]:
    """Sources that do not exist; the token is made by the user and is not looked for."""
    return [
        f"{target}: no {source} here"
        for target, source in cluster.get("file_mounts", {}).items()
        if source != TOKEN and not (ROOT / Path(source).expanduser()).exists()
    ]


def find_unmounted_paths(cluster: Cluster) -> list[str]:
    """Checkouts installed from where none is put, and a ~ in quotes, which no shell expands."""
    problems = []
    for key, command in commands(cluster):
        if re.search(r"""["']~/""", command):
            problems.append(f"{key}: quoted ~ in {command}")
        for path in re.findall(r"pip install -e [\"']?(?:\$HOME|~)/([\w./-]+)", command):
            if f"~/{path}" not in cluster.get("file_mounts", {}):
                problems.append(f"{key}: ~/{path} is not in file_mounts")
    return problems


def find_ignored_negations(cluster: Cluster, root: Path = ROOT) -> list[str]:
    """`!name` in an ignore file that rsync reads: git would keep the file, rsync leaves it out."""
    return [
        f"{name}: rsync does not understand {line}"
        for name in cluster.get("rsync_filter", [])
        if (root / name).exists()
        for line in (root / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]


def find_token_gaps(cluster: Cluster) -> list[str]:
    """Machines that would start Ray without the token, or without being told to ask for it."""
    problems = []
    if cluster.get("file_mounts", {}).get(TOKEN) != TOKEN:
        problems.append(f"file_mounts: {TOKEN} is not sent")
    # A type's own list replaces the common one.
    lists = {"cluster": cluster.get("initialization_commands", [])} | {
        name: node["initialization_commands"]
        for name, node in node_types(cluster).items()
        if "initialization_commands" in node
    }
    for name, common in lists.items():
        text = "\n".join(common)
        if "export RAY_AUTH_MODE=token" not in text or "~/.bashrc" not in text:
            problems.append(f"{name}: RAY_AUTH_MODE=token is not put into ~/.bashrc")
    for key, command in commands(cluster):
        if re.search(r"RAY_AUTH_MODE=(?!token\b)|unset [^;&]*RAY_AUTH_MODE", command):
            problems.append(f"{key}: RAY_AUTH_MODE is turned off in {command}")
    return problems


def find_head_start(cluster: Cluster) -> list[str]:
    """A head without autoscaler, or with its dashboard open to the network."""
    problems = []
    for key, command in start_commands(cluster):
        if key != "head_start_ray_commands":
            continue
        if "--autoscaling-config=~/ray_bootstrap_config.yaml" not in command:
            problems.append("head: no --autoscaling-config: no worker would ever start")
        hosts = re.findall(r"--dashboard-host[= ](\S+)", command)
        if hosts not in (["127.0.0.1"], ["localhost"]):
            problems.append(f"head: --dashboard-host must be 127.0.0.1, not {hosts}")
    return problems


def find_thread_limits(cluster: Cluster) -> list[str]:
    """Starts of Ray that pass on the OMP_NUM_THREADS=1 under which Ray runs commands."""
    return [
        f"{key}: OMP_NUM_THREADS is not unset before ray start"
        for key, command in start_commands(cluster)
        if not re.search(r"unset [^;&]*\bOMP_NUM_THREADS\b.*ray start", command, re.DOTALL)
    ]


def find_health_checks(cluster: Cluster) -> list[str]:
    """A head that notices a silent machine after 20 seconds or later."""
    problems = []
    for key, command in start_commands(cluster):
        if key != "head_start_ray_commands":
            continue
        exported = re.findall(r"\bRAY_health_check_(\w+)=(\d+)\b", command.split("ray start")[0])
        checks = HEALTH_CHECKS | {name: int(value) for name, value in exported}
        longest = checks["failure_threshold"] * (checks["period_ms"] + checks["timeout_ms"]) / 1000
        if longest >= 20 or "export RAY_health_check_" not in command:
            problems.append(f"head: a silent machine is noticed after {longest:g} s")
    return problems


def find_job_stop(cluster: Cluster) -> list[str]:
    """A head on which `ray job stop` would kill a search that has begun to write its results."""
    seconds = [
        int(value)
        for key, command in start_commands(cluster)
        if key == "head_start_ray_commands"
        for value in re.findall(r"export [^;&]*\bRAY_JOB_STOP_WAIT_TIME_S=(\d+)", command)
    ]
    return [] if seconds and min(seconds) >= 60 else [f"head: `ray job stop` waits for {seconds} s"]


def find_scratch(cluster: Cluster) -> list[str]:
    """Workers whose temporary files and caches stay on the root disk."""
    start = [command for key, command in start_commands(cluster) if key.startswith("worker")]
    return [
        f"worker: {name} is not put on the NVMe"
        for name in ("TMPDIR", "HF_HOME", "MTBERT_CACHE")
        for command in start
        if not re.search(rf"export [^;&]*\b{name}=\$nvme/", command)
    ]


def find_sharing(cluster: Cluster) -> list[str]:
    """Workers on which trials that share a GPU would take turns."""
    start = [command for key, command in start_commands(cluster) if key.startswith("worker")]
    missing = any("nvidia-cuda-mps-control -d" not in command for command in start)
    return ["worker: MPS is not started"] if missing else []


def find_spot_notice(cluster: Cluster) -> list[str]:
    """Workers whose trials do not ask for notice; or a head that would be drained with them."""
    pattern = r"export MTBERT_SPOT_METADATA=http://169\.254\.169\.254;.*ray start"
    return [
        f"{key}: trials there should{'' if is_worker else ' not'} ask for notice"
        for key, command in start_commands(cluster)
        if (is_worker := key.startswith("worker")) != bool(re.search(pattern, command, re.DOTALL))
    ]


def find_head_cloud_library(cluster: Cluster) -> list[str]:
    """A head that cannot import boto3, hence start no worker. Setting the key drops Ray's own."""
    text = "\n".join(cluster.get("head_setup_commands", []))
    return [] if "[cluster]" in text or "boto3" in text else ["head: the cluster extra is missing"]


def find_setup(cluster: Cluster) -> list[str]:
    """A list that, left out, would be Ray's default: a nightly build of Ray, or open ports."""
    keys = ("head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    problems = [f"{key}_commands: left out" for key in keys if not cluster.get(f"{key}_commands")]
    if cluster.get("setup_commands") != []:
        problems.append("setup_commands: left to Ray, or run twice on workers")
    return problems


def find_extras(cluster: Cluster) -> list[str]:
    """Extras of the project that are installed and that pyproject.toml does not have."""
    known = load_requirements().keys()
    return [
        f"{key}: there is no extra {extra}"
        for key, command in commands(cluster)
        for extra in re.findall(r"mtbert\[([\w-]+)\]", command)
        if extra not in known
    ]


def find_wrong_pins(cluster: Cluster, requirements: list[Requirement]) -> list[str]:
    """Versions fixed in a command that pyproject.toml does not allow."""
    allowed: dict[str, SpecifierSet] = {}
    for req in requirements:
        name = canonicalize_name(req.name)
        allowed[name] = allowed.get(name, SpecifierSet()) & req.specifier
    pin = re.compile(rf"\b({'|'.join(sorted(PINNED))})(?:\[[^\]]*\])?\s*={{2,3}}\s*([\w.+!-]+)")
    return [
        f"{key}: {name}=={version}, but pyproject.toml says {name}{allowed.get(name, '')}"
        for key, command in commands(cluster)
        for name, version in pin.findall(command)
        if name not in allowed or not allowed[name].contains(version, prereleases=True)
    ]


def replace_in(key: str, old: str, new: str) -> Callable[[Cluster], None]:
    """Return a breakage that replaces a piece of the commands under a key."""

    def breakage(cluster: Cluster) -> None:
        broken = [command.replace(old, new) for command in cluster[key]]
        assert broken != cluster[key], f"{old!r} is not in {key}"
        cluster[key] = broken

    return breakage


def walk(cluster: Cluster, path: str) -> tuple[Any, str]:
    """Follow a path, of keys and (if digits) indices, to what holds its last key."""
    *parents, last = path.split(" ")
    place: Any = cluster
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    return place, last


def put(path: str, value: Any) -> Callable[[Cluster], None]:
    """Return a breakage that sets a key."""

    def breakage(cluster: Cluster) -> None:
        place, last = walk(cluster, path)
        place[last] = value

    return breakage


def drop(path: str) -> Callable[[Cluster], None]:
    """Return a breakage that removes a key."""

    def breakage(cluster: Cluster) -> None:
        place, last = walk(cluster, path)
        del place[last]

    return breakage


HEAD = "available_node_types head"
SPOT = "available_node_types a10g_4"
HEAD_START, WORKER_START = "head_start_ray_commands", "worker_start_ray_commands"
EXPORT_SPOT = "export MTBERT_SPOT_METADATA=http://169.254.169.254;"
UNSET = "unset OMP_NUM_THREADS"
BREAKAGES: list[tuple[Check, Callable[[Cluster], None]]] = [
    (find_legacy_keys, put("min_workers", 1)),
    (find_worker_counts, put(f"{SPOT} min_workers", 5)),
    (find_worker_counts, drop(f"{SPOT} max_workers")),
    (find_worker_counts, drop("max_workers")),
    (find_worker_counts, drop("idle_timeout_minutes")),
    (find_mixed_sizes, put("available_node_types a10g_1 max_workers", 4)),
    (find_mixed_sizes, put(f"{SPOT} max_workers", 0)),
    (find_provider, put("provider type", "aws")),
    (find_provider, put("provider module", "search.cluster.launch.spot_first.SpotLast")),
    (find_provider, put("provider module", "search.cluster.launch.nowhere.SpotFirst")),
    (find_security_groups, drop(f"{HEAD} node_config SecurityGroupIds")),
    (find_security_groups, put(f"{SPOT} node_config SecurityGroupIds", ["sg-1"])),
    (find_security_groups, put("provider security_group", {"IpPermissions": []})),
    (find_node_config_keys, put(f"{SPOT} node_config InstanceTyp", "g5.12xlarge")),
    (find_node_config_keys, put(f"{HEAD} node_config MetadataOptions HttpToken", "required")),
    (find_node_config_keys, put(f"{HEAD} node_config BlockDeviceMappings 0 Ebs Encrypt", True)),
    (find_images, drop(f"{SPOT} node_config ImageId")),
    (find_images, put(f"{HEAD} node_config ImageId", "ami-XXXX")),
    (find_images, put(f"{HEAD} node_config ImageId", "ami-00000000000000000")),
    (find_instance_types, drop(f"{HEAD} node_config InstanceType")),
    (find_resources, put(f"{HEAD} resources CPU", 4)),
    (find_resources, put(f"{HEAD} resources", {})),
    (find_resources, put(f"{SPOT} resources", {"CPU": 48})),
    (find_resources, put(f"{SPOT} resources GPU", 0)),
    (find_markets, drop(f"{SPOT} node_config InstanceMarketOptions")),
    (find_markets, put(f"{HEAD} node_config InstanceMarketOptions", {"MarketType": "spot"})),
    (find_profiles, drop(f"{SPOT} node_config IamInstanceProfile")),
    (find_profiles, drop(f"{HEAD} node_config IamInstanceProfile")),
    (find_metadata_service, drop(f"{HEAD} node_config MetadataOptions")),
    (find_metadata_service, put(f"{SPOT} node_config MetadataOptions HttpTokens", "optional")),
    (find_plain_disks, drop(f"{HEAD} node_config BlockDeviceMappings")),
    (find_plain_disks, drop(f"{SPOT} node_config BlockDeviceMappings 0 Ebs Encrypted")),
    (find_stopped_nodes, drop("provider cache_stopped_nodes")),
    (find_missing_mounts, put("file_mounts ~/mtbert", "./nowhere")),
    (find_unmounted_paths, drop("file_mounts ~/mtbert")),
    (find_unmounted_paths, replace_in("worker_setup_commands", "$HOME", "~")),
    (find_token_gaps, drop("file_mounts ~/.ray/auth_token")),
    (find_token_gaps, replace_in("initialization_commands", "=token", "=disabled")),
    (find_token_gaps, drop("initialization_commands")),
    (find_token_gaps, put(f"{SPOT} initialization_commands", ["true"])),
    (find_token_gaps, replace_in(WORKER_START, UNSET, f"{UNSET} RAY_AUTH_MODE")),
    (find_head_start, replace_in(HEAD_START, "--autoscaling-config=", "--autoscaling=")),
    (find_head_start, replace_in(HEAD_START, "=127.0.0.1", "=0.0.0.0")),
    (find_head_start, replace_in(HEAD_START, "--dashboard-host=127.0.0.1", "")),
    (find_head_start, drop(HEAD_START)),
    (find_thread_limits, replace_in(HEAD_START, UNSET, "true")),
    (find_thread_limits, replace_in(WORKER_START, UNSET, "true")),
    (find_health_checks, replace_in(HEAD_START, "health_check_timeout_ms=3000", "")),
    (find_health_checks, replace_in(HEAD_START, "period_ms=1000", "period_ms=4000")),
    (find_health_checks, replace_in(HEAD_START, "export ", "")),
    (find_job_stop, replace_in(HEAD_START, "RAY_JOB_STOP_WAIT_TIME_S=120", "")),
    (find_job_stop, replace_in(HEAD_START, "WAIT_TIME_S=120", "WAIT_TIME_S=3")),
    (find_scratch, replace_in(WORKER_START, "TMPDIR=", "TMP=")),
    (find_scratch, replace_in(WORKER_START, "HF_HOME=$nvme", "HF_HOME=$HOME")),
    (find_sharing, replace_in(WORKER_START, "nvidia-cuda-mps-control -d", "true")),
    (find_spot_notice, replace_in(WORKER_START, "MTBERT_SPOT_METADATA", "SPOT_METADATA")),
    (find_spot_notice, replace_in(HEAD_START, "ray start", f"{EXPORT_SPOT} ray start")),
    (find_head_cloud_library, replace_in("head_setup_commands", "[cluster]", "")),
    (find_head_cloud_library, put("head_setup_commands", [])),
    (find_setup, drop("setup_commands")),
    (find_setup, put("setup_commands", ['pip install -e "$HOME/mtbert"'])),
    (find_setup, put("worker_setup_commands", [])),
    (find_extras, replace_in("head_setup_commands", "[cluster]", "[clusters]")),
    (find_setup, drop(WORKER_START)),
]
CHECKS = [find_ignored_negations, *dict.fromkeys(check for check, _ in BREAKAGES)]


def validate_by_ray(cluster: Cluster) -> None:
    """Ray's check of `ray up`, over its defaults for AWS; needs neither boto3 nor a network."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(cluster)))


def test_ray_accepts_the_file() -> None:
    validate_by_ray(load_cluster())


def test_ray_refuses_an_unknown_key() -> None:
    cluster = load_cluster()
    put(f"{SPOT} max_worker", 4)(cluster)
    with pytest.raises(Exception, match="max_worker"):
        validate_by_ray(cluster)


@pytest.mark.parametrize("check", CHECKS)
def test_file_has_no_problem(check: Check) -> None:
    assert check(load_cluster()) == []


@pytest.mark.parametrize(("check", "breakage"), BREAKAGES)
def test_broken_copy_is_found(check: Check, breakage: Callable[[Cluster], None]) -> None:
    cluster = load_cluster()
    breakage(cluster)
    assert check(cluster) != []


def test_every_check_is_run_on_the_file() -> None:
    written = {value for name, value in globals().items() if name.startswith("find_")}
    assert written == {*CHECKS, find_wrong_pins}


def test_negated_ignore_pattern_is_found(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.csv\n!published.csv\n", encoding="utf-8")
    assert len(find_ignored_negations({"rsync_filter": [".gitignore"]}, tmp_path)) == 1


def test_pins_agree_with_pyproject() -> None:
    assert find_wrong_pins(load_cluster(), [*chain(*load_requirements().values())]) == []


@pytest.mark.parametrize(
    ("command", "n_problems"),
    [
        ("pip install torch==2.12.0", 1),
        ("pip install 'ray[tune]==2.60.0' torch==2.13.0", 0),
        ("pip install 'ray[default]==3.0.0.dev0'", 1),
        ("pip install optuna==5.0.0", 1),  # not in the requirements given here
        ("pip install torch", 0),
    ],
)
def test_contradicting_pin_is_found(command: str, n_problems: int) -> None:
    cluster = load_cluster()
    cluster["setup_commands"] = [command]
    requirements = [Requirement("ray[tune]==2.60.*"), Requirement("torch==2.13.0")]
    assert len(find_wrong_pins(cluster, requirements)) == n_problems


def test_cluster_extra_brings_what_ray_up_and_ray_job_need() -> None:
    extra = {canonicalize_name(req.name): req.extras for req in load_requirements()["cluster"]}
    assert "boto3" in extra
    assert "default" in extra["ray"]


def test_pyproject_fixes_what_all_machines_must_share() -> None:
    fixed = {
        canonicalize_name(req.name)
        for req in load_requirements()[""]
        if any(spec.operator in ("==", "===") for spec in req.specifier)
    }
    assert {"ray", "torch"} <= fixed
