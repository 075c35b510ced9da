"""Commands that measure: where faces lie, and how well an editor does."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from faceedit.cli.app import (
    AsJson,
    Device,
    Overwrite,
    Photos,
    Recursive,
    Weights,
    command,
    progress_bar,
    refuse_existing,
    say_error,
    spinner,
)
from faceedit.cli.photos import read_input
from faceedit.cli.report import print_table
from faceedit.config import DEFAULT_WEIGHTS, JUDGE_WEIGHTS
from faceedit.errors import BatchError, UsageError, failure, no_upright_face

if TYPE_CHECKING:
    import numpy as np

    from faceedit.evaluation.figures import Group
    from faceedit.faces.estimate import FaceEstimate

SHOWN_EXPRESSIONS = 3

Landmarks = Annotated[
    bool,
    typer.Option(
        "--landmarks", help="Also the points of MediaPipe's Face Mesh, in photo pixels: in JSON, or instead as CSV."
    ),
]
Drawings = Annotated[
    bool, typer.Option("--drawings", help="Measure the network's own drawings, as --layout paper shows them.")
]
Control = Annotated[
    Literal["weights", "copy", "oracle-swap"],
    typer.Option(help="copy gives the photo back, oracle-swap another person with the asked affect: two controls."),
]


@command(
    "Measuring",
    "faceedit estimate photo.jpg",
    "faceedit estimate portraits/ --json",
)
def estimate(
    photos: Photos,
    recursive: Recursive = False,
    as_json: AsJson = False,
    landmarks: Landmarks = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the photo, with its faces' boxes, beside the circumplex; for one photo.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Annotated[str, typer.Option(help="An estimator's published weights by name or path.")] = JUDGE_WEIGHTS,
) -> None:
    """Tell where the faces of photos lie on the circumplex.

    This describes how a face looks in a photo, not what the person feels.
    """
    from faceedit.batch import find_photos

    paths = [photo.path for photo in find_photos(photos, recursive)]
    _check_plot(plot, len(paths), overwrite)
    with spinner("loading the networks"):
        from faceedit.faces.detector import FaceDetector
        from faceedit.faces.estimate import AffectEstimator
        from faceedit.faces.eyes import LandmarkFinder

        estimator = AffectEstimator.from_pretrained(weights, device)
        detector = FaceDetector(estimator.device)
        finder = LandmarkFinder(estimator.device) if landmarks else None
    results, failed = [], []
    for path in paths:
        try:
            image = read_input(path).pixels
            estimates = estimator.estimate(image, detector.detect(image))
            points = [_points(finder.find_in_photo(image, e.face)) for e in estimates] if finder else []
        except Exception as error:  # whatever a library raises for one photo must not end the others
            problem = failure(f"{path} could not be estimated", error)
            if len(paths) == 1:
                raise problem from error
            failed.append(path)
            say_error(problem, path)
            if as_json:
                print(json.dumps({"photo": str(path), "error": str(problem)}))
            continue
        if len(paths) == 1 and not estimates:
            raise no_upright_face(str(path))
        if as_json:
            _print_json(path, estimates, points)
        results.append((path, estimates, points))
        if plot is not None:
            _plot(image, estimates, plot, overwrite)
    if not as_json and landmarks:
        _print_landmarks([(path, points) for path, _, points in results])
    elif not as_json:
        _print_estimates([(path, estimates) for path, estimates, _ in results])
    if failed:
        raise BatchError(f"{len(failed)} of {len(paths)} photos failed: {', '.join(map(str, failed))}")


def _check_plot(plot: Path | None, count: int, overwrite: bool) -> None:
    from faceedit.media.image import format_of

    if plot is None:
        if overwrite:
            raise UsageError("--overwrite is for the file of --plot: leave it out")
        return
    if count > 1:
        raise UsageError(f"--plot draws one photo, not {count}")
    refuse_existing(plot, overwrite, format_of)


def _plot(image: "np.ndarray", estimates: list["FaceEstimate"], plot: Path, overwrite: bool) -> None:
    from faceedit.media.image import Photo, write_photo
    from faceedit.media.sheet import estimates_sheet

    drawn = [(estimate.face.box, *estimate.affect.pair) for estimate in estimates]
    write_photo(plot, Photo(estimates_sheet(image, drawn)), overwrite)


@command(
    "Measuring",
    "faceedit evaluate FACES -o figures.json --sheet sheet.png",
)
def evaluate(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of photos with their labels.")],
    weights: Weights = DEFAULT_WEIGHTS,
    editor: Control = "weights",
    drawings: Drawings = False,
    faces: Annotated[int, typer.Option(min=1, help="Photos, chosen by the seed.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of all that is random.")] = 0,
    embedder: Annotated[
        str, typer.Option(help="What measures identity: facenet, the path of MobileFaceNet weights, or off.")
    ] = "facenet",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A JSON file for the figures.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="A picture of the grids of the worst, the median and the best face.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Measure an editor: whether the asked affect arrives, and what happens to the person and the photo.

    Uses the validation photos where the labels name a split. The judge that estimates affect trained no editor.
    """
    if drawings and editor != "weights":
        raise UsageError(f"--drawings measures a network, and --editor {editor} has none: leave one of them out")
    for path in filter(None, (output, sheet)):
        refuse_existing(path, overwrite)
    with spinner("loading the networks"):
        from faceedit.editing.editor import FaceEditor
        from faceedit.evaluation.controls import CopyEditor, DrawnEditor, SwapEditor
        from faceedit.evaluation.evaluate import choose_labels, worst_median_best
        from faceedit.evaluation.evaluate import evaluate as measure
        from faceedit.faces.identity import FaceEmbedder
        from faceedit.files import write_atomically
        from faceedit.media.image import Photo, format_of, write_photo

        if sheet is not None:
            format_of(sheet)
        chosen, pool, photos = choose_labels(source, faces, seed)
        loaded = FaceEditor.from_pretrained(weights, device)
        judge, detector, support = loaded.judge, loaded.detector, loaded.support
        subject: FaceEditor | CopyEditor = DrawnEditor(loaded) if drawings else loaded
        if editor == "copy":
            subject = CopyEditor(judge)
        elif editor == "oracle-swap":
            subject = SwapEditor(judge, pool, photos, detector, seed)
        embed = None if embedder == "off" else FaceEmbedder(embedder, judge.device)
    with progress_bar("faces") as progress:
        task = progress.add_task("evaluating", total=len(chosen))

        def show(done: int, _total: int) -> None:
            progress.update(task, completed=done)

        figures, subjects = measure(chosen, photos, subject, judge, detector, embed, support, show)
    measured = f"drawings of {weights}" if drawings else weights if editor == "weights" else editor
    report = {"editor": measured, "seed": seed, **figures}
    _print_figures(report, figures["groups"])
    if output is not None:
        write_atomically(output, (json.dumps(report, indent=1) + "\n").encode(), overwrite=overwrite)
    if sheet is not None:
        write_photo(sheet, Photo(worst_median_best(subjects, support)), overwrite)


def _print_json(path: Path, estimates: list["FaceEstimate"], points: list[dict[int, list[float]]]) -> None:
    faces = [_as_json(number, estimate) for number, estimate in enumerate(estimates, 1)]
    for face, found in zip(faces, points, strict=False):  # there are none without --landmarks
        face["landmarks"] = found
    print(json.dumps({"photo": str(path), "faces": faces}))


def _as_json(number: int, estimate: "FaceEstimate") -> dict[str, object]:
    return {
        "number": number,
        "box": [round(float(value), 1) for value in estimate.face.box],
        "valence": round(estimate.affect.valence, 4),
        "arousal": round(estimate.affect.arousal, 4),
        "expressions": {name: round(value, 4) for name, value in estimate.probabilities.items()},
    }


def _points(landmarks: "np.ndarray") -> dict[int, list[float]]:
    """Photo pixels (K, 2) by the numbers of their points in the Face Mesh."""
    from faceedit.models.face_mesh import POINTS

    return {
        number: [round(value, 2) for value in point]
        for number, point in sorted(zip(POINTS, landmarks.tolist(), strict=True))
    }


def _print_landmarks(results: list[tuple[Path, list[dict[int, list[float]]]]]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("photo", "face", "point", "x", "y"))
    for path, faces in results:
        for number, points in enumerate(faces, 1):
            rows.writerows((path, number, point, *place) for point, place in points.items())


def _print_estimates(results: list[tuple[Path, list["FaceEstimate"]]]) -> None:
    from faceedit.faces.detector import box_text

    rows = []
    for path, estimates in results:
        for number, estimate in enumerate(estimates, 1):
            strongest = sorted(estimate.probabilities.items(), key=lambda item: -item[1])[:SHOWN_EXPRESSIONS]
            looks = ", ".join(f"{name} {value:.0%}" for name, value in strongest)
            affect = [f"{value:+.2f}" for value in estimate.affect.pair]
            rows.append([str(path), str(number), box_text(estimate.face.box), *affect, looks])
        if not estimates:
            rows.append([str(path), "-", "no face", "", "", ""])
    print_table(["photo", "face", "box", "valence", "arousal", "looks"], rows)


def _print_figures(figures: dict[str, object], groups: dict[str, "Group"]) -> None:
    """One table of everything measured, intervals in brackets."""
    rows = []

    def add(name: str, value: object) -> None:
        name = name.replace("_", " ")
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name} {key}".strip(), inner)
        elif isinstance(value, list):
            rows.append([name, f"{value[0]:.3f}", f"{value[1]:.3f} to {value[2]:.3f}"])
        else:
            rows.append([name, f"{value:.3f}" if isinstance(value, float) else str(value), ""])

    add("", {key: value for key, value in figures.items() if key != "groups"})
    for column, group in groups.items():
        for measure, name in group["worst"].items():
            rows.append([f"worst {column}, {measure.replace('_', ' ')}", f"{group['rows'][name][measure]:.3f}", name])
    print_table(["measure", "value", "95 % interval"], rows)
