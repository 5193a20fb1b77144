"""The command line: `adlib ...`. No logic of its own; each command calls one function of the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adlib_book import inspection

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(inspection.app)
data = typer.Typer(help="Data sets.", no_args_is_help=True)
chapters = typer.Typer(help="The executable chapters.", no_args_is_help=True)
baselines = typer.Typer(help="The numbers that runs are held against.", no_args_is_help=True)
history = typer.Typer(help="What the chapters' numbers were, night after night.", no_args_is_help=True)
site = typer.Typer(help="The pages of the book.", no_args_is_help=True)
for name, group in {
    "data": data,
    "chapters": chapters,
    "baselines": baselines,
    "history": history,
    "site": site,
}.items():
    app.add_typer(group, name=name)

Profile = Annotated[str, typer.Option(help="smoke, live or paper")]
Workers = Annotated[
    int | None,
    typer.Option(help="chapters at once; by default one per core, as far as memory goes", min=1),
]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", help="name=value, as often as needed")
]


@data.command("list")
def data_list() -> None:
    """Every data set: name, size, licence, whether it is here and how to get it."""
    from adlib_book.catalogue import listing

    typer.echo(listing())


@data.command("check")
def data_check(
    download: Annotated[bool, typer.Option(help="also fetch what is downloaded, some 250 MB")] = True,
) -> None:
    """Are the sets still where they were, and still the same? Exit code 1 if one is not."""
    from adlib.data.checks import check_sources

    fine = True
    for finding in check_sources(download):
        typer.echo(f"{'+' if finding.fine else '-'} {finding.name}: {finding.words}")
        fine &= finding.fine
    _end(0 if fine else 1)


@chapters.command("list")
def chapters_list(
    tier: Annotated[
        str, typer.Option(help="nightly, weekly (with the nightly ones) or manual (all)")
    ] = "manual",
    as_json: Annotated[bool, typer.Option("--json", help="as one line of JSON")] = False,
) -> None:
    """The chapters, in reading order."""
    from adlib_book.nightly.schedule import chapters_of
    from adlib_book.runner.workspace import Workspace

    names = chapters_of(Workspace.here(), tier)
    typer.echo(json.dumps(names) if as_json else "\n".join(names))


@chapters.command("run")
def chapters_run(
    name: Annotated[str | None, typer.Argument(help="chapter, e.g. 01; see `adlib chapters list`")] = None,
    profile: Profile = "smoke",
    parameter: Parameters = None,
    all_: Annotated[bool, typer.Option("--all", help="every chapter")] = False,
    force: Annotated[bool, typer.Option(help="execute even if nothing has changed")] = False,
    workers: Workers = None,
) -> None:
    """Execute a chapter and hold its numbers against their baselines."""
    from adlib_book.nightly.check import run_and_check

    names, parameters = _chapters(name, all_), _parameters(parameter)
    _finish(run_and_check(names, profile, parameters, force=force, workers=workers))


@chapters.command("sentences")
def chapters_sentences(
    name: Annotated[str | None, typer.Argument(help="chapter")] = None,
    all_: Annotated[bool, typer.Option("--all", help="every chapter")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="put the numbers as they are now into the prose")
    ] = False,
) -> None:
    """Hold every decimal of the prose against the ledger, the printed tables and the settings; executes nothing."""
    import nbformat

    from adlib.files import write_atomic
    from adlib_book.runner.workspace import Workspace
    from adlib_book.site import sentences

    lines = []
    for each in map(Workspace.here().chapter, _chapters(name, all_)):
        notebook, bindings = nbformat.read(each, as_version=4), sentences.read(sentences.path_of(each))
        if write:
            changed = sentences.rewrite(notebook, bindings, sentences.chapter_at(each))
            lines += [f"{each.stem} {line}" for line in changed]
            sentences.write(sentences.path_of(each), bindings)
            write_atomic(each, nbformat.writes(notebook) + "\n")
        faults = sentences.findings(notebook, bindings, sentences.chapter_at(each))
        lines += [f"{each.stem} {line}" for line in faults]
    typer.echo("\n".join(lines) or "every decimal is what its expression gives")
    _end(1 if lines else 0)


@baselines.command("check")
def baselines_check(
    name: Annotated[str | None, typer.Argument(help="chapter")] = None,
    profile: Profile = "live",
    all_: Annotated[bool, typer.Option("--all", help="every chapter")] = False,
) -> None:
    """Hold the last run of a chapter against its baselines (the chapter is executed if it has changed)."""
    from adlib_book.nightly.check import run_and_check

    _finish(run_and_check(_chapters(name, all_), profile, {}))


@baselines.command("update")
def baselines_update(
    name: Annotated[str, typer.Argument(help="chapter")],
    reason: Annotated[str, typer.Option(help="why the numbers are right now; kept in the file")],
    profile: Profile = "live",
    inside: Annotated[
        bool, typer.Option("--inside", help="also numbers that moved inside their bands")
    ] = False,
) -> None:
    """Write the numbers of the chapter's run as its baselines, showing old, new, reason and record."""
    from adlib_book.nightly.baselines import update_baselines

    for line in update_baselines(name, profile, reason, inside=inside):
        typer.echo(line)


@baselines.command("measure")
def baselines_measure(
    reason: Annotated[str, typer.Option(help="why the bands change; kept in the files")],
    chapters: Annotated[list[str] | None, typer.Argument(help="e.g. 01 f3; by default all")] = None,
    profile: Profile = "live",
    processor: Annotated[
        list[str] | None,
        typer.Option("--as", help='compute as on this kind: --as "AVX convolutions"; by default all'),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="add to the runs that the baselines hold; right if no code has changed"),
    ] = False,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="two or more, to be shown beside: --seed 1 --seed 2")
    ] = None,
    workers: Workers = None,
) -> None:
    """Make bands as wide as the runs of chapters scatter over processors. Hours; goes on where it stopped."""
    from adlib_book.nightly.measure import PROCESSORS, measure

    for line in measure(
        profile,
        reason,
        chapters=chapters or (),
        processors=processor or PROCESSORS,
        keep=keep,
        seeds=seed or (),
        workers=workers,
    ):
        typer.echo(line)


@baselines.command("trajectories")
def baselines_trajectories(
    reason: Annotated[str, typer.Option(help="why the numbers are right now; kept in the file")],
    names: Annotated[list[str] | None, typer.Argument(help="detectors; by default all")] = None,
) -> None:
    """Record the first ten training steps of every detector anew, where they differ from the recorded ones."""
    from adlib_book.nightly.trajectories import update_trajectories

    for line in update_trajectories(reason, names or ()):
        typer.echo(line)


@app.command("nightly")
def run_nightly(
    names: Annotated[list[str] | None, typer.Argument(help="chapters; by default those of the tier")] = None,
    tier: Annotated[
        str, typer.Option(help="nightly, weekly (with the nightly ones) or manual (all)")
    ] = "nightly",
    profile: Profile = "live",
    fresh: Annotated[bool, typer.Option("--fresh", help="do not go on with an interrupted night")] = False,
    workers: Workers = None,
) -> None:
    """Execute chapters afresh, hold them against baselines and history, write a report and append to the history.

    Ends with 0 if all is well; with 1 if a number has left its band, drifts, has no band or is no longer reported, if
    a package is not the one in requirements.lock, or if a detector has left its trajectory; with 3 if a chapter
    failed, 4 if the machine did; with 2 if it could not begin. A night that was interrupted goes on.
    """
    from adlib_book.nightly.night import exit_code_of_night

    options = {"tier": tier, "profile": profile, "fresh": fresh, "workers": workers}
    _end(exit_code_of_night(names or (), **options, say=typer.echo))


@history.command("keep")
def history_keep(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="history files; by default this machine's")
    ] = None,
    profile: Profile = "live",
) -> None:
    """Copy nights into history/ of the checkout, to be committed."""
    from adlib_book.nightly.history import keep
    from adlib_book.runner.workspace import Workspace

    typer.echo(f"{keep(Workspace.here(), profile, sources or ())} runs added to history/{profile}.jsonl")


@app.command("sweep")
def run_sweep(
    plan: Annotated[str, typer.Argument(help="a plan of adlib_book.ledger.plans.PLANS, e.g. chapter1")],
    shard: Annotated[str, typer.Option(help="k/n: every n-th run beginning with number k, k from 0")] = "0/1",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    scheduler: Annotated[
        str | None, typer.Option(help="a Dask scheduler's address, e.g. tcp://host:8786")
    ] = None,
    workers: Annotated[int, typer.Option(help="processes to start on this machine; 0 needs no Dask")] = 0,
) -> None:
    """Run the experiments behind a chapter's tables that the ledger does not hold yet."""
    from adlib_book.ledger.sweep import run_plan

    added = run_plan(plan, shard, device, scheduler=scheduler, workers=workers)
    typer.echo(f"{added} runs added to the ledger")


@site.command("build")
def site_build(profile: Profile = "live", workers: Workers = None) -> None:
    """Execute every chapter and build the pages into _build/html.

    Ends with 0 once the pages are built, also if a number has left its band: its page says so, and the last line.
    """
    from adlib_book.site.build import build_book

    build_book(profile, workers)


@site.command("pdf")
def site_pdf(profile: Profile = "live") -> None:
    """Print the built pages as one PDF, _build/html.pdf."""
    from adlib_book.site.browser import print_book

    typer.echo(print_book("html" if profile == "live" else f"html-{profile}"))


@site.command("address")
def site_address(
    address: Annotated[str, typer.Argument(help="OWNER/REPOSITORY on GitHub, or a whole address")],
) -> None:
    """Set the public repository, once: source, issue and Colab buttons and the wheel for Colab follow from it."""
    from adlib_book.runner.workspace import Workspace
    from adlib_book.site.repository import pages_address, set_repository

    written = set_repository(Workspace.here().root, address)
    typer.echo(f"repository: {written}\npages: {pages_address(written)}")
    typer.echo(
        "Commit pyproject.toml. On the host, let workflows publish the pages (Settings, Pages, GitHub Actions)."
    )


@site.command("colab")
def site_colab(folder: Annotated[Path, typer.Argument(help="where to write notebooks/")]) -> None:
    """Write the Colab edition of every notebook: no directives, and a first cell that installs what belongs to it."""
    from adlib_book.runner.workspace import Workspace
    from adlib_book.site.colab import write_editions

    for path in write_editions(Workspace.here(), folder):
        typer.echo(path)


@site.command("serve")
def site_serve(port: int = 8000) -> None:
    """Show the built pages on this machine only."""
    from adlib_book.site.serve import serve

    serve(port)


def _chapters(name: str | None, every: bool) -> list[str]:
    from adlib_book.runner.workspace import Workspace

    if every == (name is not None):
        raise typer.BadParameter("name one chapter, or give --all")
    return list(Workspace.here().chapters()) if every else [str(name)]


def _parameters(pairs: list[str] | None) -> dict[str, Any]:
    from adlib_book.runner.parameters import parse_parameters

    try:
        return parse_parameters(pairs or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _finish(deviations: list[Any]) -> None:
    """Exit with 1 if any number has left its band."""
    _end(1 if deviations else 0)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a traceback.

    Raises:
        SystemExit: always, with 0 if all went well.
    """
    from adlib.errors import ChapterError, SweepError

    try:
        app()
    except ModuleNotFoundError as error:
        typer.echo(
            f"adlib: this command needs the package {error.name}, which is not installed here. In a checkout, "
            "pip install '.[book]' brings what chapters and pages need, '.[sweep]' what many machines need, "
            "'.[export]' what ONNX files need.",
            err=True,
        )
        raise SystemExit(1) from error
    except (ChapterError, SweepError, ValueError, OSError) as error:
        typer.echo(f"adlib: {error}", err=True)
        unreadable = type(error).__name__ == "ImageFileError"  # by name: importing it takes torch along
        raise SystemExit(3 if unreadable else 1) from error


if __name__ == "__main__":
    main()
