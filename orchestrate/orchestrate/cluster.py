"""The cluster, through the official client."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from orchestrate.cronjob import MANAGED_BY
from orchestrate.errors import OrchestrateError
from orchestrate.refusals import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]
    Kind = tuple[str, str]  # apiVersion and kind

FIELD_MANAGER = "tributary-orchestrate"
OURS = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
CRONJOB, JOB, POD = ("batch/v1", "CronJob"), ("batch/v1", "Job"), ("v1", "Pod")
# What may have been applied once and be gone from the files now.
PRUNED = (
    CRONJOB,
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("external-secrets.io/v1", "ExternalSecret"),
    ("external-secrets.io/v1", "SecretStore"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
)
NOT_FOUND, GONE = 404, 410
NOT_ALLOWED = {401, 403}
WATCH_SECONDS = 30  # shorter than the time-out, since a watch may have nothing to say
# To connect, and between two pieces of an answer; a run may log nothing for long.
TIMEOUTS_SECONDS = (10.0, 60.0)
LOG_TIMEOUTS_SECONDS = (10.0, 3600.0)
# What the client makes of a folder, of no YAML, of other YAML, and of bytes that are no text.
UNREADABLE = (OSError, yaml.YAMLError, TypeError, AttributeError, ValueError)
# A second try, since what lies between may have dropped the connection while a run was followed.
RETRIES = Retry(total=3, read=1)
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class _ApiClient(client.ApiClient):
    """A client that does not wait for ever for a server that does not answer."""

    def __init__(self) -> None:
        configuration = client.Configuration.get_default_copy()
        configuration.retries = RETRIES
        super().__init__(configuration)

    def call_api(self, *request: Any, **options: Any) -> Any:  # noqa: ANN401 - the client's
        options["_request_timeout"] = options.get("_request_timeout") or TIMEOUTS_SECONDS
        return super().call_api(*request, **options)


class Cluster:
    """One namespace of a cluster.

    Attributes:
        namespace: Where everything of ours is.
        server: URL of its API.
    """

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self.server = str(api.configuration.host)
        self._api = api
        self._dynamic: DynamicClient | None = None

    def get(self, document: Document) -> Document | None:
        """The live object that a document is about, or None."""
        name = document["metadata"]["name"]
        with refusals(f"reading {title(document)}"):
            try:
                found = self._kind(document).get(name=name, namespace=self.namespace)
            except ApiException as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        live: Document = found.to_dict()
        return live

    def apply(self, document: Document, *, dry_run: bool = False, force: bool = False) -> Document:
        """Apply a document on the server; return what it becomes.

        Raises:
            OrchestrateError: The cluster refuses, or another manager has set one of the fields.
        """
        arguments = {"dry_run": "All"} if dry_run else {}
        with refusals(f"applying {title(document)}"):
            applied = self._kind(document).server_side_apply(
                body=document,
                namespace=self.namespace,
                field_manager=FIELD_MANAGER,
                force_conflicts=force,
                **arguments,
            )
        changed: Document = applied.to_dict()
        return changed

    def delete(self, document: Document) -> None:
        """Delete an object, and in the background what it owns."""
        with refusals(f"deleting {title(document)}"):
            try:
                self._kind(document).delete(
                    name=document["metadata"]["name"],
                    namespace=self.namespace,
                    propagation_policy="Background",
                )
            except ApiException as error:
                if error.status != NOT_FOUND:  # else someone was faster
                    raise

    def list(self, kind: Kind, **selectors: str) -> list[Document]:
        """The objects of a kind in the namespace; selectors as `label_selector="a=b"`."""
        with refusals(f"listing the objects of kind {kind[1]}"):
            found = self._resource(kind).get(namespace=self.namespace, **selectors)
        items: list[Document] = found.to_dict()["items"]
        return [{**item, "apiVersion": kind[0], "kind": kind[1]} for item in items]

    def ours(self) -> Iterator[Document]:
        """Every object in the namespace that carries our label, of the kinds we make."""
        for kind in PRUNED:
            if self.knows(kind):
                yield from self.list(kind, label_selector=OURS)

    def create(self, document: Document) -> None:
        """Make a new object."""
        with refusals(f"creating {title(document)}"):
            self._kind(document).create(
                body=document, namespace=self.namespace, field_manager=FIELD_MANAGER
            )

    def merge(self, document: Document, change: Document) -> None:
        """Change some fields of an object."""
        with refusals(f"changing {title(document)}"):
            self._kind(document).patch(
                body=change,
                name=document["metadata"]["name"],
                namespace=self.namespace,
                content_type="application/merge-patch+json",
                field_manager=FIELD_MANAGER,
            )

    def wait_for_change(self, document: Document) -> None:
        """Wait until an object is not what it was, or for half a minute."""
        watcher = watch.Watch()  # type: ignore[no-untyped-call]  # the client leaves it out
        with refusals(f"watching {title(document)}"):
            try:
                next(
                    self._kind(document).watch(
                        namespace=self.namespace,
                        name=document["metadata"]["name"],
                        resource_version=document["metadata"]["resourceVersion"],
                        timeout=WATCH_SECONDS,
                        watcher=watcher,
                    ),
                    None,
                )
            except ApiException as error:
                if error.status != GONE:  # its version is too old to go on from: it has changed
                    raise

    def log(self, pod: str, container: str) -> Iterator[str]:
        """The lines of a pod's log, until it ends; a sentence instead of what is lost.

        An evicted pod may have no log, a deleted one is not there, and a drained node hangs up.
        """
        with refusals(f"reading the log of pod {pod}"):
            watcher = watch.Watch()  # type: ignore[no-untyped-call]  # the client leaves it out
            try:
                yield from watcher.stream(  # type: ignore[no-untyped-call]  # likewise
                    client.CoreV1Api(self._api).read_namespaced_pod_log,
                    pod,
                    self.namespace,
                    container=container,
                    _request_timeout=LOG_TIMEOUTS_SECONDS,
                )
            except ApiException as error:
                if error.status in NOT_ALLOWED:
                    raise
                yield f"Pod {pod} left no log."
            except HTTPError:
                yield f"The log of pod {pod} was cut off."

    def knows(self, kind: Kind) -> bool:
        """Whether the cluster has objects of this kind; operators bring their own."""
        with refusals(f"looking for the kind {kind[1]}"):
            try:
                self._resource(kind)
            except ResourceNotFoundError:
                return False
        return True

    def _kind(self, document: Document) -> Any:  # noqa: ANN401 - the client's class is not typed
        return self._resource(kind_of(document))

    def _resource(self, kind: Kind) -> Any:  # noqa: ANN401 - likewise
        if self._dynamic is None:
            with tempfile.TemporaryDirectory() as folder:
                # The client's own cache would outlive a change of the cluster.
                cache = f"{folder}/discovery.json"
                self._dynamic = DynamicClient(self._api, cache_file=cache)  # type: ignore[no-untyped-call]  # the client leaves it out
        return self._dynamic.resources.get(api_version=kind[0], kind=kind[1])


def connect(namespace: str | None, context: str | None = None) -> Cluster:
    """Open the cluster of the kubeconfig, or without one that which this pod runs in.

    Raises:
        OrchestrateError: There is neither, or the kubeconfig has no such context.
    """
    given = os.environ.get("KUBECONFIG")  # kubectl takes an empty one for none, too
    path = given or str(Path("~/.kube/config").expanduser())
    exists = any(Path(part).exists() for part in path.split(os.pathsep) if part)
    if given and not exists:
        raise OrchestrateError(f"There is no file {path}, which KUBECONFIG names. Correct it.")
    try:
        if context or exists:
            config.load_kube_config(config_file=path, context=context)  # type: ignore[no-untyped-call]  # the client leaves it out
            own = _namespace_of(path, context)
        else:
            config.load_incluster_config()  # type: ignore[no-untyped-call]  # likewise
            own = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except ConfigException as error:
        said = str(error).rstrip(".")
        raise OrchestrateError(
            f"There is no cluster to talk to: {said}. Set KUBECONFIG, or run this in a pod."
        ) from None
    except UNREADABLE:
        raise OrchestrateError(
            f"The kubeconfig {path} cannot be read as one. Correct it, or set KUBECONFIG."
        ) from None
    return Cluster(_ApiClient(), namespace or own)


def _namespace_of(path: str, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(config_file=path)  # type: ignore[no-untyped-call]  # the client leaves it out
    chosen = next((found for found in contexts if found["name"] == context), active)
    return str(chosen["context"].get("namespace", "default"))


def kind_of(document: Document) -> Kind:
    """What a document says it is."""
    return document["apiVersion"], document["kind"]


def title(document: Document) -> str:
    """How sentences call an object."""
    return f"{document['kind']} {document['metadata']['name']}".rstrip()
