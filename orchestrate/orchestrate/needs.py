"""Which Secrets and ConfigMaps a pod reads, so that it sees the keys of its own plugins only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrate.annotations import KubernetesAnnotations
    from orchestrate.plugin_files import Plugin

MELTANO = "meltano"
# Two pods with a database each on their own disk would not know of each other, so there is none
# without this ("kubernetes.md", section 4).
SYSTEM_DATABASE = "MELTANO_DATABASE_URI"
ALERT_URL = "TRIBUTARY_ALERT_URL"
MELTANO_SECRETS = (
    SYSTEM_DATABASE,
    "MELTANO_STATE_BACKEND_GCS_APPLICATION_CREDENTIALS_JSON",
    ALERT_URL,
)


@dataclass(frozen=True)
class SecretKeys:
    """A Secret, and the keys of it that a pod sees as environment variables."""

    owner: str
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.owner}-secrets"


def needs(
    plugins: list[Plugin], annotations: list[KubernetesAnnotations]
) -> tuple[tuple[SecretKeys, ...], tuple[str, ...]]:
    """The Secrets, and the names of the ConfigMaps, of a pod that runs these plugins.

    A variable that several plugins read, as a utility may read the loader's, comes from the
    loader's Secret.
    """
    secrets = [SecretKeys(MELTANO, MELTANO_SECRETS)]
    given = set(MELTANO_SECRETS)
    for owner in _owners(plugins):
        keys = tuple(name for name in owner.secret_variables if name not in given)
        given |= set(keys)
        if keys:
            secrets.append(SecretKeys(owner.name, keys))
    owners = [MELTANO, *(owner.name for owner in _owners(plugins))]
    for database in (found.database for found in annotations if found.database):
        secrets.append(SecretKeys(database.name, tuple(sorted(database.secret_variables))))
        owners.append(database.name)
    return tuple(secrets), tuple(f"{owner}-settings" for owner in owners)


def _owners(plugins: list[Plugin]) -> list[Plugin]:
    """Loaders first, each once."""
    ordered = sorted(plugins, key=lambda plugin: plugin.kind != "loaders")
    return list({plugin.owner.name: plugin.owner for plugin in ordered}.values())
