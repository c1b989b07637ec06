"""The files in search/cluster/launch: a lab's own machines, and Kubernetes."""

from __future__ import annotations

import copy
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config

from search.cluster import slots
from search.cluster.slots import n_slots, resolve_resources
from search.planning.options import SearchOptions, parse
from tests import test_cluster as checks
from tests.cluster.rayjob_schema import problems_of
from trainable.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "search" / "cluster" / "launch"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LAB_CHECKS: list[checks.Check] = [
    checks.find_token_gaps,
    checks.find_head_start,
    checks.find_thread_limits,
    checks.find_health_checks,
    checks.find_sharing,
    checks.find_unmounted_paths,
    checks.find_ignored_negations,
    checks.find_missing_mounts,
    checks.find_extras,
]


@pytest.fixture
def lab() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CLUSTERS / "local.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def rayjob() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CLUSTERS / "rayjob.yaml").read_text(encoding="utf-8"))
    return loaded


def documented(name: str) -> list[SearchOptions]:
    """The searches that a file's comments show, read as run.py reads them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = re.findall(r"python search/run\.py ([^'\n]*)'", text)
    return [parse(shlex.split(command)) for command in commands]


def test_ray_accepts_the_lab(lab: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(lab))
    validate_config(prepared)
    (node_type,) = prepared["available_node_types"].values()
    n_workers = len(lab["provider"]["worker_ips"])
    assert (node_type["min_workers"], node_type["max_workers"]) == (n_workers, n_workers)


def test_ray_refuses_an_unknown_key_of_the_lab(lab: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="worker_ip"):
        validate_config(prepare_config(lab | {"worker_ip": "192.0.2.11"}))


@pytest.mark.parametrize("check", LAB_CHECKS)
def test_lab_has_no_problem_that_the_cloud_may_not_have(
    lab: dict[str, Any], check: checks.Check
) -> None:
    assert check(prepare_config(lab)) == []


def test_lab_has_all_its_workers(lab: dict[str, Any]) -> None:
    """Ray's newer autoscaler starts one too few; the head has to be told, after Ray's own word."""
    command = lab["head_start_ray_commands"][-1]
    assert re.search(r"export RAY_enable_autoscaler_v2=0;.*ray start --head", command)


def test_addresses_of_the_lab_belong_to_nobody(lab: dict[str, Any]) -> None:
    provider = lab["provider"]
    for address in (provider["head_ip"], *provider["worker_ips"]):
        assert address.startswith("192.0.2."), "RFC 5737: for documentation"


@pytest.mark.parametrize("name", ["cluster.yaml", "search/cluster/launch/local.yaml"])
def test_documented_command_is_one_that_run_py_takes(name: str) -> None:
    found = documented(name)
    assert found
    assert {options.address for options in found} == {"auto"}
    assert SearchOptions().storage not in {options.storage for options in found}


def pods(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods' specifications, the head's first."""
    cluster = rayjob["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def find_versions(rayjob: dict[str, Any], text: str) -> list[str]:
    """A Ray or a Python other than those of pyproject.toml."""
    ray = next(
        req for req in map(Requirement, PROJECT["dependencies"]) if req.name == "ray"
    ).specifier
    problems = []
    (base, python) = re.findall(r"FROM rayproject/ray:([\d.]+)-py(\d+)", text)[0]
    for version in (base, rayjob["spec"]["rayClusterSpec"]["rayVersion"]):
        if not ray.contains(version):
            problems.append(f"Ray {version}, but pyproject.toml says {ray}")
    if not Requirement(f"python{PROJECT['requires-python']}").specifier.contains(
        f"{python[0]}.{python[1:]}"
    ):
        problems.append(f"Python {python}")
    return problems


def find_images(rayjob: dict[str, Any], text: str) -> list[str]:
    """Pods of different images, or an image that the comment does not build."""
    images = {pod["containers"][0]["image"] for pod in pods(rayjob)}
    built = set(re.findall(r"docker build -t (\S+)", text))
    same = images == built and built == set(re.findall(r"docker push (\S+)", text))
    return [] if len(images) == 1 and same else [f"images {images}, built {built}"]


def find_resources(rayjob: dict[str, Any], text: str) -> list[str]:
    """A head that takes trials, workers without a GPU, or limits other than what is requested."""
    head, *workers = pods(rayjob)
    problems = []
    if rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].get("num-cpus") != "0":
        problems.append("the head takes trials")
    for pod in (head, *workers):
        resources = pod["containers"][0]["resources"]
        if resources["limits"] != resources["requests"]:
            problems.append(f"limits {resources['limits']} are not the requests")
        if ("nvidia.com/gpu" in resources["limits"]) == (pod is head):
            problems.append("a GPU on the head, or none on a worker")
    return problems


def find_security(rayjob: dict[str, Any], text: str) -> list[str]:
    """No token, or a secret in the file rather than a service account's rights."""
    cluster = rayjob["spec"]["rayClusterSpec"]
    problems = [] if cluster.get("authOptions") == {"mode": "token"} else ["no token"]
    for pod in pods(rayjob):
        if "serviceAccountName" not in pod:
            problems.append("no service account: no rights to the bucket")
        for variable in pod["containers"][0].get("env", []):
            if re.search("KEY|TOKEN|SECRET|PASSWORD", variable["name"]):
                problems.append(f"{variable['name']} is in the file")
    return problems


def find_health_checks(rayjob: dict[str, Any], text: str) -> list[str]:
    """A head that notices a silent pod after 20 seconds or later."""
    found = checks.HEALTH_CHECKS | {
        variable["name"].removeprefix("RAY_health_check_"): int(variable["value"])
        for variable in pods(rayjob)[0]["containers"][0].get("env", [])
    }
    seconds = found["failure_threshold"] * (found["period_ms"] + found["timeout_ms"]) / 1000
    return [] if seconds < 20 else [f"a silent pod is noticed after {seconds:g} s"]


def find_entrypoint(rayjob: dict[str, Any], text: str) -> list[str]:
    """A search that the image does not have, or that would keep its results in the pod."""
    python, script, *arguments = shlex.split(rayjob["spec"]["entrypoint"])
    options = parse(arguments)
    folder = re.findall(r"COPY --chown=ray \. (\S+)", text)
    problems = [] if [python, script] == ["python", f"{folder[0]}/search/run.py"] else [script]
    if options.address != "auto" or "://" not in options.storage or options.name is None:
        problems.append("--address auto, --storage URI or --name is missing")
    return problems


def quantity(container: dict[str, Any], kind: str) -> float:
    return float(container["resources"]["requests"].get(kind, 0))


def find_room(rayjob: dict[str, Any], text: str) -> list[str]:
    """A search that ends before it has begun, or that never asks for the last worker."""
    head, worker = (pod["containers"][0] for pod in pods(rayjob))
    spec = rayjob["spec"]["rayClusterSpec"]
    group = spec["workerGroupSpecs"][0]
    head_cpus = spec["headGroupSpec"]["rayStartParams"].get("num-cpus", quantity(head, "cpu"))
    there = {"CPU": quantity(worker, "cpu"), "GPU": quantity(worker, "nvidia.com/gpu")}
    at_first = [{"CPU": float(head_cpus)}, *[there] * group["minReplicas"]]
    options = parse(shlex.split(rayjob["spec"]["entrypoint"])[2:])
    problems = [] if group["replicas"] == group["minReplicas"] else ["replicas: not minReplicas"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "_nodes", lambda: at_first)
        try:
            resources = resolve_resources(options, n_trials=1000)
        except InputError as error:
            return [str(error)]
    at_most = group["maxReplicas"] * n_slots(there, resources)
    if resources.max_concurrent != at_most:
        problems.append(f"{resources.max_concurrent} trials at a time, room for {at_most}")
    if resources.gpus == 0:
        problems.append("trials on the CPU")
    return problems


def find_lifetime(rayjob: dict[str, Any], text: str) -> list[str]:
    """A cluster that outlives its search, never grows, or a second attempt at the same search."""
    spec = rayjob["spec"]
    problems = [] if spec.get("shutdownAfterJobFinishes") is True else ["the cluster stays"]
    if spec.get("backoffLimit") != 0:
        problems.append("the search is started twice")
    if not spec["rayClusterSpec"].get("enableInTreeAutoscaling"):
        problems.append("no worker is ever started")
    if any(pod.get("restartPolicy") != "Never" for pod in pods(rayjob)):
        problems.append("restartPolicy: Ray's autoscaler v2 needs Never")
    return problems


def find_schema(rayjob: dict[str, Any], text: str) -> list[str]:
    """A field that Kubernetes or KubeRay would refuse, or drop without a word."""
    return problems_of(rayjob)


Find = Callable[[dict[str, Any], str], list[str]]
WORKER = "spec rayClusterSpec workerGroupSpecs 0 template spec"
HEAD = "spec rayClusterSpec headGroupSpec template spec"
GROUP = "spec rayClusterSpec workerGroupSpecs 0"
BREAKAGES: list[tuple[Find, Callable[[dict[str, Any]], None]]] = [
    (find_versions, checks.put("spec rayClusterSpec rayVersion", "2.59.0")),
    (find_images, checks.put(f"{WORKER} containers 0 image", "rayproject/ray:2.60.0")),
    (find_resources, checks.drop("spec rayClusterSpec headGroupSpec rayStartParams num-cpus")),
    (find_resources, checks.drop(f"{WORKER} containers 0 resources limits nvidia.com/gpu")),
    (find_resources, checks.put(f"{HEAD} containers 0 resources limits", {"cpu": "8"})),
    (find_security, checks.drop("spec rayClusterSpec authOptions")),
    (find_security, checks.drop(f"{WORKER} serviceAccountName")),
    (
        find_security,
        checks.put(f"{WORKER} containers 0 env", [{"name": "HF_TOKEN", "value": "hf_x"}]),
    ),
    (find_health_checks, checks.drop(f"{HEAD} containers 0 env")),
    (find_entrypoint, checks.put("spec entrypoint", "python search/run.py --address auto")),
    (find_room, checks.put(f"{GROUP} minReplicas", 0)),
    (find_room, checks.put(f"{GROUP} replicas", 0)),
    (find_room, checks.put(f"{GROUP} maxReplicas", 8)),
    (find_room, checks.put("spec entrypoint", "python run.py --address auto")),
    (find_room, checks.put("spec entrypoint", "python run.py --cpus-per-trial 9")),
    (find_schema, checks.put("spec ttlSecondAfterFinished", 60)),
    (find_schema, checks.put(f"{GROUP} minReplica", 1)),
    (find_schema, checks.put(f"{GROUP} maxReplicas", "4")),
    (find_schema, checks.drop(f"{GROUP} groupName")),
    (find_schema, checks.put("spec rayClusterSpec autoscalerOptions version", 2)),
    (find_schema, checks.put("spec rayClusterSpec headGroupSpec rayStartParams num-cpus", 0)),
    (find_schema, checks.put(f"{WORKER} volume", [])),
    (find_schema, checks.put(f"{WORKER} containers 0 envs", [])),
    (find_lifetime, checks.drop("spec shutdownAfterJobFinishes")),
    (find_lifetime, checks.drop("spec backoffLimit")),
    (find_lifetime, checks.drop("spec rayClusterSpec enableInTreeAutoscaling")),
    (find_lifetime, checks.put(f"{WORKER} restartPolicy", "Always")),
]


def comments() -> str:
    return (CLUSTERS / "rayjob.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("find", list(dict.fromkeys(find for find, _ in BREAKAGES)))
def test_rayjob_has_no_problem(rayjob: dict[str, Any], find: Find) -> None:
    assert find(rayjob, comments()) == []


@pytest.mark.parametrize(("find", "breakage"), BREAKAGES)
def test_broken_copy_of_the_rayjob_is_found(
    rayjob: dict[str, Any], find: Find, breakage: Callable[[dict[str, Any]], None]
) -> None:
    breakage(rayjob)
    assert find(rayjob, comments()) != []


def test_image_of_another_ray_is_found(rayjob: dict[str, Any]) -> None:
    assert find_versions(rayjob, comments().replace("ray:2.60.0", "ray:2.61.0")) != []
    assert find_versions(rayjob, comments().replace("-py311", "-py310")) != []


def test_an_image_holds_nothing_that_git_ignores() -> None:
    """Git's `name/` is at any depth, docker's only at the root, where most of these are."""
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines():
        name = line.rstrip("/")
        assert name in left_out or f"**/{name}" in left_out, line
    assert ".git" in left_out


def test_the_key_of_the_lab_is_not_a_personal_one(lab: dict[str, Any]) -> None:
    """Ray copies it to the head."""
    assert not Path(lab["auth"]["ssh_private_key"]).name.startswith("id_")
