"""Overlays, put together by kubectl or kustomize, offline."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from orchestrate.errors import OrchestrateError
from orchestrate.manifests import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (("kubectl", "kustomize"), ("kustomize", "build"))
FILE = "kustomization.yaml"


def command() -> list[str] | None:
    """What builds a kustomization on this machine, if anything does."""
    return next((list(words) for words in COMMANDS if shutil.which(words[0])), None)


def overlays(project: Path) -> list[str]:
    """Names of the overlays: of the folders with a kustomization."""
    return sorted(path.parent.name for path in (project / FOLDER / "overlays").glob(f"*/{FILE}"))


def build(project: Path, overlay: str) -> list[dict[str, Any]]:
    """The documents of an overlay.

    Raises:
        OrchestrateError: There is no such overlay, neither kubectl nor kustomize is installed, or
            the overlay is not in order.
    """
    folder = project / FOLDER / "overlays" / overlay
    if not (folder / FILE).is_file():
        known = ", ".join(overlays(project)) or "none"
        raise OrchestrateError(f"There is no overlay {overlay}; the overlays are: {known}.")
    words = command()
    if words is None:
        raise OrchestrateError("Overlays are put together by kubectl or kustomize. Install one.")
    done = subprocess.run([*words, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OrchestrateError(f"Overlay {overlay} is not in order: {done.stderr.strip()}")
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def with_image(documents: list[dict[str, Any]], image: str) -> None:
    """Let every pod of ours run this image instead of the overlay's."""
    for document in documents:
        if document["kind"] == "CronJob":
            for container in pod_spec(document)["containers"]:
                container["image"] = image


def pod_spec(cronjob: dict[str, Any]) -> dict[str, Any]:
    """The part of a CronJob that is the pod."""
    spec: dict[str, Any] = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec
