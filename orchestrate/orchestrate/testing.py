"""A stand-in for Kubernetes' API server, for tests: what it stores, refuses and streams.

Source: the API conventions, and the answers that clients get from a cluster. It departs from one
in these: it fills in no defaults and validates nothing; lists are owned as a whole by whoever
applies them; nothing is scheduled, tests say what becomes of a Job.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrate.field_owners import FieldOwners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    Document = dict[str, Any]
    Key = tuple[str, str, str]  # namespace, plural, name

KINDS = {
    "v1": ("ConfigMap", "Pod", "ServiceAccount", "Secret"),
    "batch/v1": ("CronJob", "Job"),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "external-secrets.io/v1": ("ExternalSecret", "SecretStore"),
}
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
REASONS = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired"}
POLL_SECONDS = 0.01


class RefusalError(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason or REASONS[code],
            "code": code,
        }


@dataclass
class ApiServer:
    """One cluster; an ASGI application.

    Attributes:
        objects: What is stored, by namespace, plural and name.
        logs: Text of pods' logs, by the pod's name; a pod without one is told 404, or 400 if it is
            there but its container never started.
        cut_logs: Pods whose logs end in the middle, as when a node is drained.
        forbidden: Pairs of verb and plural that get 403.
        requests: Method and path of every request.
        oldest_version: Watches from an earlier resource version are told 410.
        on_create: Called with each new object, as controllers are.
    """

    objects: dict[Key, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    cut_logs: set[str] = field(default_factory=set)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    oldest_version: int = 0
    on_create: Callable[[Document], None] = lambda _: None
    _events: list[tuple[int, str, Document]] = field(default_factory=list)
    _owners: dict[Key, FieldOwners] = field(default_factory=lambda: defaultdict(FieldOwners))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        item = "/{root:path}/namespaces/{namespace}/{plural}"
        methods = list(VERBS)
        routes = [
            Route("/version", self._version),
            Route("/api", self._groups),
            Route("/apis", self._groups),
            Route(f"{item}/{{name}}/log", self._log),
            Route(f"{item}/{{name}}", self._item, methods=methods),
            Route(item, self._collection, methods=methods),
            Route("/{root:path}", self._resources),
        ]
        await Starlette(routes=routes)(scope, receive, send)

    # What tests see and do

    def find(self, plural: str) -> dict[str, Document]:
        """The objects of a kind, by name."""
        return {key[2]: value for key, value in self.objects.items() if key[1] == plural}

    def put(self, document: Document, namespace: str = "tributary") -> Document:
        """Store an object and tell those who watch."""
        key = (namespace, _plural(document["kind"]), document["metadata"]["name"])
        known = self.objects.get(key, {}).get("metadata", {})
        metadata = {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            **{name: known[name] for name in ("uid", "creationTimestamp") if name in known},
            **document["metadata"],
            "namespace": namespace,
            "resourceVersion": str(self._version_number + 1),
        }
        stored = copy.deepcopy({**document, "metadata": metadata})
        self._events.append((self._version_number + 1, "MODIFIED" if known else "ADDED", stored))
        self.objects[key] = stored
        return stored

    @property
    def _version_number(self) -> int:
        return self._events[-1][0] if self._events else 100

    # Discovery

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})

    async def _groups(self, request: Request) -> Response:
        if request.url.path == "/api":
            return JSONResponse({"kind": "APIVersions", "versions": ["v1"]})
        groups = []
        for version in KINDS:
            name, slash, number = version.partition("/")
            if slash:
                entry = {"groupVersion": version, "version": number}
                groups.append({"name": name, "versions": [entry], "preferredVersion": entry})
        return JSONResponse({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    async def _resources(self, request: Request) -> Response:
        version = request.path_params["root"].partition("/")[2]
        resources = [
            {
                "name": _plural(kind),
                "singularName": kind.lower(),
                "namespaced": True,
                "kind": kind,
                "verbs": ["create", "delete", "get", "list", "patch", "watch"],
            }
            for kind in KINDS.get(version, ())
        ]
        return JSONResponse(
            {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        )

    # Objects

    async def _collection(self, request: Request) -> Response:
        try:
            self._admit(request)
            if request.method == "POST":
                return JSONResponse(self._create(request, await request.json()), 201)
            if request.query_params.get("watch") in {"true", "True"}:
                return StreamingResponse(self._watch(request), media_type="application/json")
            return JSONResponse(
                {
                    "kind": f"{_kind(request)}List",
                    "apiVersion": "v1",
                    "metadata": {"resourceVersion": str(self._version_number)},
                    "items": [_bare(found) for found in self._selected(request)],
                }
            )
        except RefusalError as refusal:
            return JSONResponse(refusal.status, refusal.code)

    async def _item(self, request: Request) -> Response:
        try:
            self._admit(request)
            if request.method == "PATCH":
                return JSONResponse(self._patch(request, await request.body()))
            found = self._existing(request)
            if request.method == "DELETE":
                del self.objects[_key(request)]
                self._events.append((self._version_number + 1, "DELETED", found))
                return JSONResponse({"kind": "Status", "apiVersion": "v1", "status": "Success"})
            return JSONResponse(found)
        except RefusalError as refusal:
            return JSONResponse(refusal.status, refusal.code)

    async def _log(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            self._admit(request, f"{request.path_params['plural']}/log")
            if name in self.logs:
                return StreamingResponse(self._lines(name), media_type="text/plain")
            self._existing(request)
            refusal = RefusalError(400, f'container "meltano" in pod "{name}" is terminated')
        except RefusalError as error:
            refusal = error
        return JSONResponse(refusal.status, refusal.code)

    async def _lines(self, pod: str) -> AsyncIterator[str]:
        yield self.logs[pod]
        if pod in self.cut_logs:
            raise ConnectionResetError("The node hung up.")

    def _admit(self, request: Request, resource: str = "") -> None:
        self.requests.append((request.method, request.url.path))
        plural, verb = resource or request.path_params["plural"], VERBS[request.method]
        if (verb, plural) in self.forbidden:
            raise RefusalError(
                403,
                f'{plural} is forbidden: User "deployer" cannot {verb} resource "{plural}" in the'
                f' namespace "{request.path_params["namespace"]}"',
            )

    def _existing(self, request: Request) -> Document:
        key = _key(request)
        if key not in self.objects:
            raise RefusalError(404, f'{key[1]} "{key[2]}" not found')
        return self.objects[key]

    def _create(self, request: Request, document: Document) -> Document:
        namespace, plural = request.path_params["namespace"], request.path_params["plural"]
        name = document["metadata"]["name"]
        if (namespace, plural, name) in self.objects:
            raise RefusalError(409, f'{plural} "{name}" already exists', "AlreadyExists")
        stored = self.put(document, namespace)
        self.on_create(stored)
        return stored

    def _patch(self, request: Request, body: bytes) -> Document:
        key, manager = _key(request), request.query_params["fieldManager"]
        change: Document = yaml.safe_load(body)
        if request.headers["content-type"] == "application/apply-patch+yaml":
            return self._apply(key, manager, change, request)
        live = copy.deepcopy(self._existing(request))
        self._owners[key].merge(manager, live, change)
        return self.put(live, key[0])

    def _apply(self, key: Key, manager: str, wanted: Document, request: Request) -> Document:
        owners = copy.deepcopy(self._owners[key])
        live = copy.deepcopy(self.objects.get(key, {"metadata": {}}))
        force = request.query_params.get("force") in {"true", "True"}
        if conflicts := owners.apply(manager, live, wanted, force=force):
            listed = "; ".join(f'conflict with "{who}": .{path}' for who, path in conflicts)
            raise RefusalError(409, f"Apply failed with {len(conflicts)} conflict: {listed}")
        if request.query_params.get("dryRun") == "All":
            return {**live, "metadata": {"uid": "dry", "resourceVersion": "0", **live["metadata"]}}
        self._owners[key] = owners
        return self.put(live, key[0])

    # Selecting and watching

    def _selected(self, request: Request) -> list[Document]:
        namespace, plural = request.path_params["namespace"], request.path_params["plural"]
        mine = (v for k, v in self.objects.items() if k[:2] == (namespace, plural))
        return [found for found in mine if _matches(found, request)]

    async def _watch(self, request: Request) -> AsyncIterator[str]:
        since = int(request.query_params.get("resourceVersion", 0))
        if since < self.oldest_version:
            status = RefusalError(410, f"too old resource version: {since} ({self.oldest_version})")
            yield json.dumps({"type": "ERROR", "object": status.status}) + "\n"
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + float(request.query_params.get("timeoutSeconds", 60))
        while loop.time() < end and not await request.is_disconnected():
            for version, kind, document in self._events:
                if version > since and _is_of(document, request) and _matches(document, request):
                    since = version
                    yield json.dumps({"type": kind, "object": document}) + "\n"
            await asyncio.sleep(POLL_SECONDS)


def kubeconfig(url: str, namespace: str = "tributary") -> str:
    """The text of a kubeconfig for a server at this URL."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "deployer", "user": {"token": "kubeconfig-token-of-tests"}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": "deployer", "namespace": namespace},
                }
            ],
        }
    )


def _plural(kind: str) -> str:
    return "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"


def _kind(request: Request) -> str:
    plural = request.path_params["plural"]
    return next(k for kinds in KINDS.values() for k in kinds if _plural(k) == plural)


def _key(request: Request) -> Key:
    parameters = request.path_params
    return parameters["namespace"], parameters["plural"], parameters["name"]


def _bare(document: Document) -> Document:
    """Items of a list do not say what they are."""
    return {name: value for name, value in document.items() if name not in {"kind", "apiVersion"}}


def _is_of(document: Document, request: Request) -> bool:
    parameters = request.path_params
    place = (document["metadata"]["namespace"], _plural(document["kind"]))
    return place == (parameters["namespace"], parameters["plural"])


def _matches(document: Document, request: Request) -> bool:
    labels = document["metadata"].get("labels", {})
    for part in filter(None, request.query_params.get("labelSelector", "").split(",")):
        name, equals, value = part.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    wanted = re.fullmatch(r"metadata\.name=(.*)", request.query_params.get("fieldSelector", ""))
    return wanted is None or document["metadata"]["name"] == wanted[1]
