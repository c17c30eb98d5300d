"""What a plugin file says about Kubernetes: `annotations: {kubernetes: {...}}` of an extractor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrate import quantities
from orchestrate.errors import Problem

if TYPE_CHECKING:
    from orchestrate.plugin_files import Plugin, PluginFiles

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def _quantity(text: str) -> str:
    """Bytes as Kubernetes writes them, such as 512Mi.

    Raises:
        ValueError: It is no amount, or less than a mebibyte: `1` and `500m` are amounts, too.
    """
    number = quantities.parse(text)
    if number is None:
        raise ValueError("must be an amount of bytes such as 512Mi or 2Gi")
    if number < 2**20:
        raise ValueError(f"is {number.normalize():f} bytes; write an amount such as 512Mi or 2Gi")
    return text


def _label(text: str) -> str:
    if not DNS_LABEL.fullmatch(text):
        raise ValueError("must be lower-case letters, digits and hyphens")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
Label = Annotated[str, AfterValidator(_label)]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]


class Strict(BaseModel):
    """No key that nobody reads, and no value of a kind that has to be guessed at."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Database(Strict):
    """A database that the plugin reaches by variables that are no settings of it.

    Attributes:
        name: Its Secret is `<name>-secrets`, its ConfigMap `<name>-settings`.
        secret_variables: Keys of that Secret.
        cloud_sql_instance: Variable of that ConfigMap with the instance's connection name; with
            it, a Cloud SQL proxy runs beside the plugin.
        port_variable: Variable of that ConfigMap with the port at which the proxy listens.
    """

    name: Label
    secret_variables: list[Variable]
    cloud_sql_instance: Variable | None = None
    port_variable: Variable | None = None


class KubernetesAnnotations(Strict):
    """What the pods of an extractor need.

    Attributes:
        memory: Request and limit, for extractor, loader and Meltano together.
        ephemeral_storage: Disk for the files that the extractor hands to the loader.
        deadline_minutes: After so long a run is stopped, its retry included.
        cpu: Request, in Kubernetes' notation; there is no limit.
        fixed_ip: Whether the source knows us by our address.
        database: The database it reads, if it does not log in by its own settings.
    """

    memory: Quantity
    ephemeral_storage: Quantity
    deadline_minutes: Annotated[int, Field(ge=5, le=7 * 24 * 60)]
    cpu: Annotated[str, Field(pattern=r"^[1-9][0-9]*m?$")] = "500m"
    fixed_ip: bool = False
    database: Database | None = None


def of_extractors(
    files: PluginFiles,
) -> tuple[dict[str, KubernetesAnnotations], list[Problem]]:
    """What the extractors say, by their names; a child says what its parent says."""
    found: dict[str, KubernetesAnnotations] = {}
    problems: list[Problem] = []
    for plugin in files.plugins.values():
        holder, content = said(plugin)
        if holder is None or content is None:
            continue
        try:
            found[plugin.name] = KubernetesAnnotations.model_validate(content)
        except ValidationError as error:
            problems += _wrong_annotations(holder, error)
    return found, problems


def said(plugin: Plugin) -> tuple[Plugin | None, object]:
    """Who of a plugin's lineage speaks of Kubernetes, and what it says."""
    holder = plugin.holder("annotations")
    content = holder.definition["annotations"] if holder else None
    return holder, content.get("kubernetes") if isinstance(content, dict) else None


def _wrong_annotations(holder: Plugin, error: ValidationError) -> list[Problem]:
    problems = []
    for wrong in error.errors():
        keys = ("annotations", "kubernetes", *wrong["loc"])
        name = ".".join(str(key) for key in keys)
        reason = wrong["msg"].removeprefix("Value error, ")
        known = ", ".join(KubernetesAnnotations.model_fields)
        advice = f" The keys are {known}." if wrong["type"] == "extra_forbidden" else ""
        text = f"{holder.name} has a wrong {name}: {reason}.{advice} Correct it."
        problems.append(Problem(holder.place.source.path, holder.place.line(*keys), text))
    return problems
