"""What goes on the cluster: one CronJob a schedule, with all that its plugins need."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrate import cron
from orchestrate.annotations import DNS_LABEL, of_extractors, said
from orchestrate.cronjob import ENVIRONMENT, RUN_ID
from orchestrate.errors import Problem
from orchestrate.needs import MELTANO_SECRETS, SecretKeys, needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrate.annotations import KubernetesAnnotations
    from orchestrate.plugin_files import Place, PluginFiles
    from orchestrate.schedules import Schedule

# Kubernetes adds 11 characters for the Job ("kubernetes.md", section 2).
LONGEST_NAME = 52
RESERVED = {*ENVIRONMENT, RUN_ID}
STATE_SUFFIX = "MELTANO_RUN_STATE_ID_SUFFIX"


@dataclass(frozen=True)
class PlannedJob:
    """One CronJob to be.

    Attributes:
        name: Its name, made from the schedule's.
        cron: Five fields.
        annotations: What its extractors need, together.
        secrets: Its Secrets and which of their keys it sees.
        settings: Names of its ConfigMaps.
        schemas: Schemas of the warehouse that it loads.
    """

    name: str
    schedule: Schedule
    cron: str
    annotations: KubernetesAnnotations
    secrets: tuple[SecretKeys, ...]
    settings: tuple[str, ...]
    schemas: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The CronJobs, and what keeps them from being put on a cluster."""

    jobs: list[PlannedJob]
    problems: list[Problem]


def plan(schedules: list[Schedule], files: PluginFiles) -> Plan:
    """Plan a CronJob for each schedule that has a time; find all problems at once."""
    timed = [schedule for schedule in schedules if schedule.cron is not None]
    annotations, problems = of_extractors(files)
    problems += [found for schedule in timed for found in _problems(schedule, files)]
    problems += _twice(timed, files, lambda schedule: [job_name(schedule.name)], "the CronJob")
    problems += _twice(timed, files, lambda schedule: _states(schedule, files), "the state")
    if problems:
        return Plan([], problems)
    return Plan([_job(schedule, files, annotations) for schedule in timed], [])


def job_name(schedule: str) -> str:
    """The name of a schedule's CronJob: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", schedule.lower()).strip("-")


def _job(
    schedule: Schedule, files: PluginFiles, annotations: dict[str, KubernetesAnnotations]
) -> PlannedJob:
    plugins = [plugin for word in _words(schedule) if (plugin := files.called(word))]
    extractors = [plugin for plugin in plugins if plugin.kind == "extractors"]
    own = [annotations[plugin.name] for plugin in extractors]
    secrets, settings = needs(plugins, own)
    schemas = {plugin.load_schema for plugin in extractors}
    return PlannedJob(
        name=job_name(schedule.name),
        schedule=schedule,
        cron=str(schedule.cron),
        annotations=own[0],
        secrets=secrets,
        settings=settings,
        schemas=tuple(sorted(filter(None, schemas))),
    )


def _problems(schedule: Schedule, files: PluginFiles) -> list[Problem]:
    place = files.schedules[schedule.name]
    problems = [_at(place, text, key) for text, key in _own_problems(schedule, files)]
    plugins = [files.called(word) for word in _words(schedule)]
    extractors = [plugin for plugin in plugins if plugin and plugin.kind == "extractors"]
    if len(extractors) != 1:
        text = (
            f"Schedule {schedule.name} runs {len(extractors)} extractors in one job; a pod is made"
            " for one. Give each its own job and schedule."
        )
        problems.append(_at(place, text))
    problems += [
        _at(
            plugin.place,
            f"{plugin.name} has no annotations.kubernetes, so the pod of schedule {schedule.name}"
            " would have no limits. Add memory, ephemeral_storage and deadline_minutes.",
        )
        for plugin in extractors
        if said(plugin)[1] is None
    ]
    return problems


def _own_problems(schedule: Schedule, files: PluginFiles) -> list[tuple[str, str]]:
    """What is wrong with the schedule itself, each with the key at which to point."""
    found = [(text, "name") for text in _name_problems(schedule, files)]
    found += [(text, "env") for text in _env_problems(schedule, files)]
    try:
        cron.parse(str(schedule.cron))
    except cron.CronError as error:
        text = f"Kubernetes cannot read the interval of schedule {schedule.name}: {error}."
        found.append((text, "interval"))
    found += [
        (f"Schedule {schedule.name} runs {word}, which no file defines. Correct its job.", "job")
        for word in _words(schedule)
        if not files.called(word)
    ]
    return found


def _name_problems(schedule: Schedule, files: PluginFiles) -> Iterator[str]:
    name = job_name(schedule.name)
    if not DNS_LABEL.fullmatch(name):
        yield f"{schedule.name!r} leaves no name for a CronJob. Rename it."
    if len(name) > LONGEST_NAME:
        yield (
            f"The CronJob {name} would have a name of {len(name)} characters; Kubernetes takes"
            f" {LONGEST_NAME}. Shorten the schedule's name."
        )
    if schedule.name.startswith("-") or "$" in schedule.name:
        yield f"A pod would not read {schedule.name!r} as the name of a schedule. Rename it."
    if not isinstance(files.schedules[schedule.name].value("name"), str):
        yield f"`meltano schedule run` does not find {schedule.name}, a number. Put it in quotes."


def _env_problems(schedule: Schedule, files: PluginFiles) -> Iterator[str]:
    for variable, value in sorted(schedule.env.items()):
        if variable in files.secret_variables | set(MELTANO_SECRETS):
            yield (
                f"Schedule {schedule.name} gives the secret {variable} a value in a file. Remove"
                " it here; it comes from a Secret."
            )
        if variable in RESERVED:
            yield f"Schedule {schedule.name} sets {variable}, which every pod has. Remove it."
        if not isinstance(value, str):
            yield (
                f"Schedule {schedule.name} gives {variable} a value that is no text, of which"
                " `meltano schedule run` dies. Put it in quotes, or remove it."
            )


def _twice(
    schedules: list[Schedule],
    files: PluginFiles,
    claims: Callable[[Schedule], Iterable[str]],
    what: str,
) -> list[Problem]:
    """Schedules that claim what another has claimed: a name, or a state."""
    claimed = Counter(claim for schedule in schedules for claim in set(claims(schedule)))
    return [
        _at(
            files.schedules[schedule.name],
            f"Schedule {schedule.name} shares {what} {claim} with another. Give each its own.",
        )
        for schedule in schedules
        for claim in claims(schedule)
        if claimed[claim] > 1
    ]


def _states(schedule: Schedule, files: PluginFiles) -> list[str]:
    """Ids of the states that Meltano keeps for it, one for each pair of extractor and loader."""
    if schedule.is_pair:
        return [schedule.name]
    suffix = schedule.env.get(STATE_SUFFIX)
    ending = f":{suffix}" if suffix else ""
    found = []
    extractor = ""
    for word in " ".join(schedule.tasks).split():
        plugin = files.plugins.get(word)
        if plugin and plugin.kind == "extractors":
            extractor = word
        if plugin and plugin.kind == "loaders":
            found.append(f"{extractor}-to-{word}{ending}")
    return found


def _words(schedule: Schedule) -> list[str]:
    """What its tasks call, each once: plugins, and mappings of mappers."""
    words = " ".join(schedule.tasks).split()
    return list(dict.fromkeys(word.partition(":")[0] for word in words))


def _at(place: Place, text: str, *keys: str) -> Problem:
    return Problem(place.source.path, place.line(*keys), text)
