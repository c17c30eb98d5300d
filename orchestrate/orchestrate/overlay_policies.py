"""What must fit together in all that an overlay puts on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrate.pod_templates import containers, secret_keys, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]

STATE_BACKEND = "MELTANO_STATE_BACKEND_URI"
STATE_PLACES = ("gs://", "target-snowflake://")
OF_KUBERNETES = {"kube-root-ca.crt"}  # ConfigMaps that are in every namespace


def between(documents: list[Document]) -> Iterator[str]:
    """What does not fit together, as sentences."""
    maps = {
        d["metadata"]["name"]: d.get("data") or {} for d in documents if d["kind"] == "ConfigMap"
    }
    pods = {
        f"{document['kind']} {document['metadata']['name']}": found
        for document in documents
        if (found := template(document))
    }
    read = {name for pod in pods.values() for name in _maps_read(pod)}
    for name in sorted(maps.keys() - read):
        yield f"No pod reads the ConfigMap {name}. Correct its name, or remove it."
    for title, pod in pods.items():
        for sentence in (
            *_of_network(pod, documents),
            *_of_sources(pod, maps),
            *_of_secrets(pod["spec"], documents),
            *_of_containers(pod["spec"], maps),
        ):
            yield f"{title}: {sentence}"


def _of_network(pod: Document, documents: list[Document]) -> Iterator[str]:
    labels = (pod.get("metadata") or {}).get("labels") or {}
    policies = (document["spec"] for document in documents if document["kind"] == "NetworkPolicy")
    if not any(_closes(policy, labels) for policy in policies):
        yield (
            "No NetworkPolicy selects its pods for both directions, so they may call anyone. Give"
            " them the labels of one that does."
        )


def _closes(policy: Document, labels: dict[str, str]) -> bool:
    """Whether a policy holds for pods of these labels; of expressions that is not said."""
    selector = policy.get("podSelector") or {}
    selects = (selector.get("matchLabels") or {}).items() <= labels.items()
    both = {"Ingress", "Egress"} <= set(policy.get("policyTypes") or [])
    return selects and both and not selector.get("matchExpressions")


def _of_sources(pod: Document, maps: dict[str, Document]) -> Iterator[str]:
    """A pod would start without its settings if they were optional, and else never."""
    for name in sorted(set(_maps_read(pod)) - maps.keys() - OF_KUBERNETES):
        yield (
            f"Nothing makes the ConfigMap {name}, which its pods read. Add it to the overlay; to"
            " say that it has no values, an empty one."
        )
    for reference in _found(pod, {"configMapKeyRef"}):
        name, key = reference["name"], reference["key"]
        if name in maps and key not in maps[name] and not reference.get("optional"):
            yield f"The ConfigMap {name} has no {key}, without which its pods do not start. Add it."


def _of_secrets(pod: Document, documents: list[Document]) -> Iterator[str]:
    """Without External Secrets, people make the Secrets, and nothing is known of them here."""
    made = {
        (document["spec"].get("target") or {}).get("name") or document["metadata"]["name"]
        for document in documents
        if document["kind"] == "ExternalSecret"
    }
    for container in containers(pod) if made else []:
        for reference in secret_keys(container):
            if reference["name"] not in made and not reference.get("optional"):
                yield (
                    f"No ExternalSecret makes the Secret {reference['name']}, without which its"
                    " pods do not start. Add one, or correct the name."
                )


def _of_containers(pod: Document, maps: dict[str, Document]) -> Iterator[str]:
    for container in containers(pod):
        start = f"Container {container['name']}: "
        if not _is_pinned(container["image"]):
            yield f"{start}The image {container['image']} needs a tag or digest."
        if container["name"] == "meltano":
            state = str(_values(container, maps).get(STATE_BACKEND) or "")
            if not state:
                yield f"{start}{STATE_BACKEND} must be set, by the ConfigMap meltano-settings."
            elif not state.startswith(STATE_PLACES):
                yield f"{start}{STATE_BACKEND} must begin with {' or '.join(STATE_PLACES)}."


def _maps_read(pod: Document) -> Iterator[str]:
    """Names of the ConfigMaps that a pod refers to, wherever in it."""
    for reference in _found(pod, {"configMapRef", "configMapKeyRef", "configMap"}):
        yield str(reference.get("name"))


def _found(value: object, keys: set[str]) -> Iterator[Document]:
    """What stands below these keys, wherever in a manifest."""
    if isinstance(value, list):
        for element in value:
            yield from _found(element, keys)
    if isinstance(value, dict):
        for key, element in value.items():
            if key in keys:
                yield element
            yield from _found(element, keys)


def _values(container: Document, maps: dict[str, Document]) -> Document:
    """Variables of a container whose values stand in the files; later ones win."""
    values: Document = {}
    for source in container.get("envFrom", []):
        data = maps.get(source.get("configMapRef", {}).get("name"), {})
        values |= {f"{source.get('prefix', '')}{key}": value for key, value in data.items()}
    for entry in container.get("env", []):
        reference = (entry.get("valueFrom") or {}).get("configMapKeyRef", {})
        from_map = maps.get(reference.get("name"), {}).get(reference.get("key"))
        values[entry["name"]] = entry.get("value", from_map)
    return values


def _is_pinned(image: str) -> bool:
    """Whether it has a tag or digest; without one it is `latest`, whichever that is."""
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(colon) and tag != "latest"
