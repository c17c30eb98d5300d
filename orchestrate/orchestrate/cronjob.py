"""The manifest of one CronJob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate.needs import SYSTEM_DATABASE
from orchestrate.quantities import gibibytes

if TYPE_CHECKING:
    from orchestrate.annotations import Database
    from orchestrate.needs import SecretKeys
    from orchestrate.plan import PlannedJob

MANAGED_BY = {"app.kubernetes.io/managed-by": "tributary-orchestrate"}
APPLICATION = {"app.kubernetes.io/name": "tributary"}
SCHEDULE_LABEL = "tributary/schedule"
SCHEMAS_ANNOTATION = "tributary/schemas"
FIXED_IP = "tributary/fixed-ip"  # label and taint of the nodes that leave from a fixed address

IMAGE = "tributary"  # overlays say where it is, and which
PROXY_IMAGE = "cloud-sql-proxy"
PROJECT = "/project"
SCRATCH = f"{PROJECT}/output"
# The loader ends the running message, uploads what it has and commits: seconds, or minutes when a
# gigabyte waits to be merged.
GRACE_SECONDS = 300
START_WITHIN_SECONDS = 3600
KEEP_SECONDS = 2 * 24 * 3600
OUT_OF_MEMORY = 137
USER = 10001
RUN_ID = "TARGET_SNOWFLAKE_RUN_ID"

ENVIRONMENT = {
    "MELTANO_ENVIRONMENT": "prod",
    "MELTANO_PROJECT_READONLY": "true",
    "MELTANO_AUTO_INSTALL": "false",
    "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
    "MELTANO_DISABLE_USER_YAML_CONFIG": "true",
    "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MELTANO_SYS_DIR_ROOT": f"{SCRATCH}/.meltano",
    "HOME": SCRATCH,
    "TMPDIR": SCRATCH,
}


def cronjob(job: PlannedJob) -> dict[str, Any]:
    """The manifest, without a namespace: overlays say where it goes."""
    labels = {**APPLICATION, **MANAGED_BY, SCHEDULE_LABEL: job.name}
    annotations = {SCHEMAS_ANNOTATION: ",".join(job.schemas)}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": job.name, "labels": labels, "annotations": annotations},
        "spec": {
            "schedule": job.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": START_WITHIN_SECONDS,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": _job(job, labels)},
        },
    }


def _job(job: PlannedJob, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "backoffLimit": 1,
        "activeDeadlineSeconds": job.annotations.deadline_minutes * 60,
        "ttlSecondsAfterFinished": KEEP_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": "meltano",
                        "operator": "In",
                        "values": [OUT_OF_MEMORY],
                    },
                },
            ]
        },
        "template": {"metadata": {"labels": labels}, "spec": _pod(job)},
    }


def _pod(job: PlannedJob) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": "tributary",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job)],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": job.annotations.ephemeral_storage}}
        ],
    }
    database = job.annotations.database
    if database and database.cloud_sql_instance:
        pod["initContainers"] = [_cloud_sql_proxy(database)]
    if job.annotations.fixed_ip:
        pod["nodeSelector"] = {FIXED_IP: "true"}
        pod["tolerations"] = [{"key": FIXED_IP, "operator": "Exists", "effect": "NoSchedule"}]
    return pod


def _container(job: PlannedJob) -> dict[str, Any]:
    memory, storage = job.annotations.memory, job.annotations.ephemeral_storage
    # The container's own log and copies count too, beside what lies in the volume.
    disk = f"{gibibytes(storage) + 1:f}Gi"
    schemas = [word for schema in job.schemas for word in ("--schema", schema)]
    return {
        "name": "meltano",
        "image": IMAGE,
        "args": ["orchestrate", "pod", *schemas, job.schedule.name],
        "workingDir": PROJECT,
        "env": [*_variables(), *(ref for keys in job.secrets for ref in _secret_refs(keys))],
        "envFrom": [{"configMapRef": {"name": name, "optional": True}} for name in job.settings],
        "resources": {
            "requests": {
                "cpu": job.annotations.cpu,
                "memory": memory,
                "ephemeral-storage": storage,
            },
            "limits": {"memory": memory, "ephemeral-storage": disk},
        },
        "securityContext": _locked_down(),
        "volumeMounts": [
            {"name": "scratch", "mountPath": SCRATCH},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - in the pod, its own
        ],
    }


def _variables() -> list[dict[str, Any]]:
    """Values that are no secret; the loader's ledger calls the run by the name of its Job.

    The schedule's own `env` is not among them: `meltano schedule run` sets it.
    """
    run_id = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    return [
        *({"name": name, "value": value} for name, value in ENVIRONMENT.items()),
        {"name": RUN_ID, "valueFrom": run_id},
    ]


def _secret_refs(secret: SecretKeys) -> list[dict[str, Any]]:
    """Each key by its name. Most have alternatives, so only the system database must be there."""
    return [
        {
            "name": key,
            "valueFrom": {
                "secretKeyRef": {
                    "name": secret.name,
                    "key": key,
                    "optional": key != SYSTEM_DATABASE,
                }
            },
        }
        for key in secret.keys
    ]


def _cloud_sql_proxy(database: Database) -> dict[str, Any]:
    """A native sidecar: it is ready before the container starts, and ends after it."""
    port = [f"--port=$({database.port_variable})"] if database.port_variable else []
    return {
        "name": "cloud-sql-proxy",
        "image": PROXY_IMAGE,
        "restartPolicy": "Always",
        "args": [
            "--structured-logs",
            "--exit-zero-on-sigterm",
            "--health-check",
            "--http-address=0.0.0.0",
            *port,
            f"$({database.cloud_sql_instance})",
        ],
        "envFrom": [{"configMapRef": {"name": f"{database.name}-settings"}}],
        "startupProbe": {
            "httpGet": {"path": "/startup", "port": 9090},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
            "limits": {"memory": "256Mi", "ephemeral-storage": "256Mi"},
        },
        "securityContext": _locked_down(),
    }


def _locked_down() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
