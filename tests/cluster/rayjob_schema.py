"""A part of the schema of ray.io/v1 RayJob: the fields that a simple job may use.

Kubernetes drops fields that it does not know, or refuses them, as it is configured. Here all but
these are refused, at every level; who needs another one adds it. Source: the types of KubeRay,
ray-operator/apis/ray/v1 (v1.5), and of Kubernetes' core/v1 (v1.28).
"""

from __future__ import annotations

from typing import Any

import jsonschema

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
# resource.Quantity: cpu: 4 and cpu: "4" are both taken.
QUANTITIES: Schema = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def several(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def fields(*required: str, **known: Schema) -> Schema:
    return {
        "type": "object",
        "properties": known,
        "required": list(required),
        "additionalProperties": False,
    }


RESOURCES = fields(requests=QUANTITIES, limits=QUANTITIES)
METADATA = fields(name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
CONTAINER = fields(
    "name",
    "image",
    name=TEXT,
    image=TEXT,
    imagePullPolicy=one_of("Always", "IfNotPresent", "Never"),
    command=several(TEXT),
    args=several(TEXT),
    env=several(fields("name", "value", name=TEXT, value=TEXT)),
    resources=RESOURCES,
    volumeMounts=several(
        fields("name", "mountPath", name=TEXT, mountPath=TEXT, subPath=TEXT, readOnly=FLAG)
    ),
)
POD = fields(
    "containers",
    containers=several(CONTAINER),
    restartPolicy=one_of("Always", "OnFailure", "Never"),
    serviceAccountName=TEXT,
    nodeSelector=TEXTS,
    tolerations=several(fields(key=TEXT, operator=TEXT, value=TEXT, effect=TEXT)),
    imagePullSecrets=several(fields("name", name=TEXT)),
    volumes=several(
        fields(
            "name",
            name=TEXT,
            emptyDir=fields(medium=TEXT, sizeLimit=TEXT),
            persistentVolumeClaim=fields("claimName", claimName=TEXT, readOnly=FLAG),
        )
    ),
)
TEMPLATE = fields("spec", metadata=METADATA, spec=POD)
CLUSTER = fields(
    "headGroupSpec",
    rayVersion=TEXT,
    authOptions=fields(mode=one_of("disabled", "token")),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=fields(
        version=one_of("v1", "v2"),
        idleTimeoutSeconds=WHOLE,
        upscalingMode=one_of("Default", "Aggressive", "Conservative"),
        resources=RESOURCES,
    ),
    headGroupSpec=fields("template", rayStartParams=TEXTS, template=TEMPLATE),
    workerGroupSpecs=several(
        fields(
            "groupName",
            "template",
            groupName=TEXT,
            replicas=WHOLE,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            rayStartParams=TEXTS,
            template=TEMPLATE,
        )
    ),
)
RAYJOB = fields(
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=METADATA,
    spec=fields(
        entrypoint=TEXT,
        submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode"),
        backoffLimit=WHOLE,
        activeDeadlineSeconds=WHOLE,
        shutdownAfterJobFinishes=FLAG,
        ttlSecondsAfterFinished=WHOLE,
        runtimeEnvYAML=TEXT,
        suspend=FLAG,
        rayClusterSpec=CLUSTER,
    ),
)


def problems_of(rayjob: dict[str, Any]) -> list[str]:
    """Return what the schema does not take, each with where it is."""
    found = jsonschema.Draft7Validator(RAYJOB).iter_errors(rayjob)
    return [f"{error.json_path}: {error.message}" for error in found]
