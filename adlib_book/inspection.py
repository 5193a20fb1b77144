"""The commands for own images: `adlib fit`, `score`, `report`, `evaluate`, `export`, `doctor`."""

from __future__ import annotations

import contextlib
import functools
from typing import Annotated

import typer

from adlib.errors import unknown_name

app = typer.Typer()
# Paths are text until they are looked up: pathlib makes "." of "", and drops slashes of an address.
Model = Annotated[str, typer.Argument(help="a file that `adlib fit` wrote")]
Strict = Annotated[bool, typer.Option("--strict", help="stop at anything that would otherwise be left out")]
CODES = "Ends with 0 if nothing is defective, 10 if something is, 3 if something could not be read (outranks 10), 2 for a wrong command line, 1 for any other failure."  # noqa: E501


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _note(text: str) -> None:
    typer.echo(text, err=True)


@app.command(epilog="Example: adlib fit parts/ -o part.safetensors --false-alarms 0.01")
def fit(
    folder: Annotated[str, typer.Argument(help="good images: a plain folder, or one with train/good or OK/")],
    output: Annotated[str, typer.Option("--output", "-o", help="the file to write")],
    detector: Annotated[
        str | None,
        typer.Option(help="by name; by default patch_memory, which needs no training"),
    ] = None,
    size: Annotated[int, typer.Option(help="pixels that the detector sees of each side", min=8)] = 256,
    tile: Annotated[
        int | None,
        typer.Option(help="cut photographs into tiles of so many pixels: for small defects", min=8),
    ] = None,
    overlap: Annotated[float, typer.Option(help="of neighbouring tiles", min=0.0, max=0.9)] = 0.25,
    false_alarms: Annotated[
        float, typer.Option(help="share of good parts that may be called defective", min=1e-6, max=0.999)
    ] = 0.02,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="black and white in images of more than 8 bits, e.g. 0 4095; by default measured"),
    ] = None,
    profile: Annotated[str, typer.Option(help="how long to train: smoke, live, book or paper")] = "book",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    strict: Strict = False,
) -> None:
    """Learn what good parts look like, from good images only, and a threshold with its uncertainty."""
    from adlib.data.outputs import refuse_as_output
    from adlib.detectors import detector_names
    from adlib.inspection.inspector import DEFAULT_DETECTOR, fit_inspector

    detector = detector or DEFAULT_DETECTOR
    if detector not in detector_names():
        raise typer.BadParameter(str(unknown_name("detector", detector, detector_names())))
    refuse_as_output(output)  # before the work begins
    inspector = fit_inspector(
        folder, detector, size=size, tile=tile, overlap=overlap, false_alarms=false_alarms,
        value_range=value_range, profile=profile, seed=seed, device=device, strict=strict, progress=True,
    )  # fmt: skip
    inspector.save(output)
    for note in inspector.notes:
        _note(note)
    typer.echo(
        f"{output}: {detector}, fitted to {inspector.images} good images. {inspector.threshold.words()}"
    )


@app.command(
    epilog="Example: adlib score part.safetensors incoming/ --csv scores.csv --maps maps/" + "\n\n" + CODES
)
def score(
    model: Model,
    paths: Annotated[
        list[str], typer.Argument(help='files, folders, patterns; "-": paths on standard input')
    ],
    csv: Annotated[str | None, typer.Option(help="also write a table")] = None,
    maps: Annotated[str | None, typer.Option(help="also write a map for each image into this folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object per line, the summary last")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="of Dask, tcp://host:8786: its workers score the files, which they must see here too"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    strict: Strict = False,
) -> None:
    """Verdicts on photographs; labels are not needed."""
    from adlib.inspection.inspector import Inspector
    from adlib.inspection.scoring import score_files

    inspector = Inspector.load(model, device)
    with contextlib.ExitStack() as stack:
        scorer = None
        if scheduler is not None:
            from adlib_book.distributed_scoring import score_on
            from adlib_book.ledger.cluster import connect

            client = stack.enter_context(connect(scheduler))
            scorer = functools.partial(score_on, client, model, maps=maps is not None)
        summary = score_files(
            inspector, paths, typer.echo,
            scorer=scorer, table=csv, maps=maps, as_json=as_json, strict=strict, progress=True,
        )  # fmt: skip
    for sentence in [*summary.sentences(), f"{summary}. {inspector.threshold.words()}"]:
        _note(sentence)
    _end(summary.exit_code)


@app.command(epilog="Example: adlib report part.safetensors incoming/ -o report.html" + "\n\n" + CODES)
def report(
    model: Model,
    paths: Annotated[list[str], typer.Argument(help="files, folders, patterns")],
    output: Annotated[str, typer.Option("--output", "-o", help="the page to write")],
    pictures: Annotated[
        int, typer.Option(help="photographs in the page, the most suspicious ones", min=0)
    ] = 60,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """One self-contained page: verdicts, histogram and movable threshold, photographs with maps, what was left out."""
    from adlib.inspection.inspector import Inspector
    from adlib.inspection.report import write_report

    summary = write_report(Inspector.load(model, device), paths, output, pictures=pictures, progress=True)
    typer.echo(f"{output}: {summary}.")
    _end(summary.exit_code)


@app.command(epilog="Example: adlib evaluate part.safetensors parts/")
def evaluate(
    model: Model,
    folder: Annotated[str, typer.Argument(help="with test/good and test/<kind>, or OK/ and NG/")],
    as_json: Annotated[bool, typer.Option("--json", help="as one line of JSON")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """How good the verdicts are, where labels exist; ends with 0, or 3 if something could not be read."""
    import json

    from adlib.inspection.evaluation import evaluate as hold_against_labels
    from adlib.inspection.inspector import Inspector

    evaluation = hold_against_labels(Inspector.load(model, device), folder, progress=True)
    typer.echo(json.dumps(evaluation.to_dict()) if as_json else "\n".join(evaluation.lines()))
    _end(3 if evaluation.summary.unreadable else 0)


@app.command(
    epilog="Example: adlib doctor parts/ --size 256\n\nEnds with 0 if nothing is odd, 10 if something is, 3 if "
    "something could not be read."
)
def doctor(
    folder: Annotated[str, typer.Argument(help="good images, or train/ and test/, or OK/ and NG/")],
    size: Annotated[int, typer.Option(help="pixels that the detector will see of each side", min=8)] = 256,
    false_alarms: Annotated[
        float, typer.Option(help="share of good parts that may be called defective", min=1e-6, max=0.999)
    ] = 0.02,
    as_json: Annotated[bool, typer.Option("--json", help="as one line of JSON")] = False,
) -> None:
    """What is odd about these images, before anything is trained."""
    import json

    from adlib.inspection.doctor import described, diagnose

    symptoms = diagnose(folder, size=size, false_alarms=false_alarms, progress=True)
    as_values = [symptom._asdict() for symptom in symptoms]
    typer.echo(json.dumps(as_values) if as_json else described(symptoms, false_alarms))
    _end(3 if any(symptom.name == "unreadable" for symptom in symptoms) else 10 if symptoms else 0)


@app.command(epilog="Example: adlib export part.safetensors part.onnx")
def export(
    model: Model,
    output: Annotated[str, typer.Argument(help="the ONNX file to write")],
) -> None:
    """Write a detector as ONNX, scaling and threshold inside; needs the extra `export`."""
    from adlib.inspection.export import export_onnx
    from adlib.inspection.inspector import Inspector

    inspector = Inspector.load(model, "cpu")
    channels, size, _ = inspector.detector.image_shape
    export_onnx(inspector, output)
    tiles = "" if inspector.tiling is None else f", a tile of {inspector.tiling.side} pixels resized to that"
    typer.echo(
        f"{output}: takes uint8 (1, {channels}, {size}, {size}){tiles}; gives score, defective and map."
    )
