"""The `orchestrate` command."""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrate.alerts import Alert
    from orchestrate.cluster import Cluster
    from orchestrate.deploy import Changes

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
# What is printed comes from clusters and files: `[/]` and `:100:` there are no markup.
Plain = partial(Console, markup=False, emoji=False, highlight=False)
console = Plain(width=None if sys.stdout.isatty() else 160)
errors = Plain(stderr=True)

Project = Annotated[
    Path, typer.Option(envvar="MELTANO_PROJECT_ROOT", help="Folder of meltano.yml.")
]
Overlay = Annotated[str, typer.Argument(help="Folder in orchestrate/kubernetes/overlays.")]
Image = Annotated[str | None, typer.Option(help="Image to run instead of the overlay's.")]
Force = Annotated[
    bool, typer.Option("--force-conflicts", help="Take over fields that others have set.")
]
Namespace = Annotated[
    str | None, typer.Option(help="Default: the kubeconfig's, or that of this pod.")
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
Name = Annotated[str, typer.Argument(help="Name of the schedule.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of schedules.")]
Within = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Post only what became wrong in the last whole interval of so many minutes, as clocks"
        " show it, and no pod has posted.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every schedule.")]

HERE = Path()


def app() -> None:
    """Run the command; an OrchestrateError is a sentence and exit code 1."""
    try:
        cli()
    except OrchestrateError as error:
        errors.print(str(error), style="red", soft_wrap=True)
        raise SystemExit(1) from None


@cli.command()
def render(project: Project = HERE) -> None:
    """Write the manifests of all schedules."""
    from orchestrate import check, manifests  # noqa: PLC0415 - the client is slow to import

    generated = manifests.files(check.planned(project.resolve()))
    changed, removed = manifests.write(project.resolve(), generated)
    for path in changed:
        print_line(f"wrote {manifests.FOLDER}/{path}")
    for path in removed:
        print_line(f"removed {manifests.FOLDER}/{path}")
    print_line(f"{len(generated)} files are up to date.")


@cli.command("check")
def check_command(project: Project = HERE) -> None:
    """Say what is wrong with the manifests, or whether they are out of date."""
    from orchestrate import check, kustomize  # noqa: PLC0415 - the client is slow to import

    if problems := check.check(project.resolve()):
        raise OrchestrateError("\n".join(map(str, problems)))
    versions = check.versions()
    print_line(f"The manifests are in order, for Kubernetes {versions[0]} to {versions[-1]}.")
    if kustomize.command() is None:
        print_line("The overlays were not looked at: neither kubectl nor kustomize is installed.")


@cli.command()
def diff(
    overlay: Overlay,
    project: Project = HERE,
    image: Image = None,
    context: Context = None,
    force: Force = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show what apply would change on the cluster."""
    _, found = _changes(overlay, project, image, context, force=force)
    _show(found)


@cli.command()
def apply(  # noqa: PLR0913, PLR0917 - typer makes options of arguments
    overlay: Overlay,
    project: Project = HERE,
    image: Image = None,
    context: Context = None,
    force: Force = False,  # noqa: FBT002 - an option of the command line
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - likewise
) -> None:
    """Bring the cluster to what an overlay says, after asking; remove what it says no more."""
    from orchestrate import deploy  # noqa: PLC0415 - the client is slow to import

    cluster, found = _changes(overlay, project, image, context, force=force)
    _show(found)
    if not found.changes:
        return
    place = f"namespace {cluster.namespace} of {cluster.server}"
    question = f"Apply {len(found.changes)} changes to {place}?"
    if not yes and not typer.confirm(question):
        raise OrchestrateError("Nothing was changed.")
    deploy.apply(cluster, found, force=force)
    print_line(f"{len(found.changes)} changes were applied.")


@cli.command()
def status(
    namespace: Namespace = None,
    context: Context = None,
    alert: Annotated[bool, typer.Option("--alert", help="Post what is wrong.")] = False,  # noqa: FBT002 - an option
    within: Within = None,
) -> None:
    """Show when each schedule ran, with what result, and when it runs next."""
    from orchestrate import status, troubles  # noqa: PLC0415 - the client is slow to import

    cluster, now = _cluster(namespace, context), status.now()
    statuses = status.read(cluster, now)
    if within is None:
        wrong = troubles.current(statuses)
        rows, unknown = status.loaded((entry.run, entry) for entry in statuses)
    else:  # asking the ledger of the rest would wake the warehouse up, which costs
        wrong = troubles.news(statuses, now, timedelta(minutes=within))
        rows, unknown = status.loaded((trouble.run, entry) for entry, trouble in wrong)
    console.print(status.table(statuses, rows if within is None else None))
    if unknown:
        print_line(unknown)
    if alert:
        _post(troubles.alert(entry, trouble, rows, cluster.namespace) for entry, trouble in wrong)


@cli.command()
def run(schedule: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Start a schedule now and follow its log; exit with 1 if the run fails."""
    from orchestrate import jobs, status  # noqa: PLC0415 - the client is slow to import

    cluster = _cluster(namespace, context)
    job = jobs.start(cluster, schedule, status.now())
    print_line(f"Started Job {job}.")
    _follow(cluster, job)
    if not jobs.has_succeeded(cluster, job):
        raise OrchestrateError(f"Job {job} failed.")


@cli.command()
def logs(schedule: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Show the log of a schedule's last run, and follow it while the run lasts."""
    from orchestrate import jobs  # noqa: PLC0415 - the client is slow to import

    cluster = _cluster(namespace, context)
    _follow(cluster, jobs.last(cluster, schedule))


@cli.command()
def suspend(
    schedules: Names = None,
    everything: All = False,  # noqa: FBT002 - an option of the command line
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Keep schedules from starting."""
    _suspend(schedules, namespace, context, everything=everything, suspended=True)


@cli.command()
def resume(
    schedules: Names = None,
    everything: All = False,  # noqa: FBT002 - an option of the command line
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Let suspended schedules start again."""
    _suspend(schedules, namespace, context, everything=everything, suspended=False)


@cli.command()
def pod(
    schedule: Name,
    schema: Annotated[list[str] | None, typer.Option(help="Schema that it loads.")] = None,
    project: Project = HERE,
) -> None:
    """Run a schedule here, as its pods do: hand signals on, post an alert if it fails."""
    from orchestrate import pod  # noqa: PLC0415 - what runs in a pod needs no client of the cluster

    raise typer.Exit(pod.run(project.resolve(), schedule, schema or []))


def _post(told: Iterable[Alert]) -> None:
    """Post every alert, and fail afterwards if one was refused."""
    from orchestrate import alerts  # noqa: PLC0415 - slow to import

    refused = set()
    for found in told:
        try:
            alerts.post(found)
        except OrchestrateError as error:
            refused.add(str(error))
        else:
            print_line(f"posted: {found.title}")
    if refused:
        raise OrchestrateError("\n".join(sorted(refused)))


def print_line(text: str) -> None:
    """Print text as it is."""
    console.print(text, soft_wrap=True)


def _cluster(namespace: str | None, context: str | None) -> Cluster:
    from orchestrate import cluster  # noqa: PLC0415 - the client is slow to import

    return cluster.connect(namespace, context)


def _changes(
    overlay: str, project: Path, image: str | None, context: str | None, *, force: bool
) -> tuple[Cluster, Changes]:
    from orchestrate import deploy, kustomize  # noqa: PLC0415 - the client is slow to import

    documents: list[dict[str, Any]] = kustomize.build(project.resolve(), overlay)
    if image:
        kustomize.with_image(documents, image)
    cluster = _cluster(deploy.namespace_of(documents), context)
    return cluster, deploy.changes(cluster, documents, force=force)


def _show(found: Changes) -> None:
    from orchestrate.cluster import title  # noqa: PLC0415 - the client is slow to import

    for document in found.left_out:
        print_line(f"left out, the cluster has no such kind: {title(document)}")
    for change in found.changes:
        print_line(f"{change.verb}: {title(change.document)}")
        print_line(change.text)
    if not found.changes:
        print_line("The cluster is as the files say.")


def _follow(cluster: Cluster, job: str) -> None:
    from orchestrate import jobs  # noqa: PLC0415 - the client is slow to import

    for line in jobs.follow(cluster, job):
        print_line(line)


def _suspend(
    schedules: list[str] | None,
    namespace: str | None,
    context: str | None,
    *,
    everything: bool,
    suspended: bool,
) -> None:
    from orchestrate import jobs  # noqa: PLC0415 - the client is slow to import

    if bool(schedules) == everything:
        raise OrchestrateError("Name the schedules, or say --all.")
    done = jobs.suspend(_cluster(namespace, context), schedules or [], suspended=suspended)
    for name in done:
        print_line(f"{'suspended' if suspended else 'resumed'}: {name}")


if __name__ == "__main__":
    app()
