"""Videos of the command that edits: one face through each."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from faceedit.cli.app import failing_as, progress_bar, say, say_error, spinner
from faceedit.cli.photos import Naming
from faceedit.cli.report import print_result, tell_skipped
from faceedit.errors import BatchError, FaceEditError

if TYPE_CHECKING:
    import numpy as np

    from faceedit.batch import Found, Job
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.target import Request


def edit_videos(
    videos: list["Found"], naming: Naming, metadata: bool, face: str, request: "Request", weights: str, device: str
) -> None:
    """Edit videos one after another, as `process` does photos, and print what became of each."""
    from faceedit import batch
    from faceedit.files import remove_leftovers
    from faceedit.media.video import check_output

    naming["suffix"] = ".mp4"
    jobs = batch.plan(videos, **naming, check=check_output)
    waiting = [job for job in jobs if not job.done]
    tell_skipped(jobs)
    if not waiting:
        return
    remove_leftovers(job.output.parent for job in jobs)
    failed, editor = [], None
    for job in waiting:
        try:
            with failing_as(f"{job.photo} could not be edited"):
                editor = editor or _load(weights, device)
                _edit_video(editor, job, metadata, face, request)
        except FaceEditError as error:
            if len(jobs) == 1 or editor is None:
                raise
            say_error(error, job.photo)
            failed.append(job.photo)
    if failed:
        raise BatchError(f"{len(failed)} of {len(jobs)} videos failed: {', '.join(map(str, failed))}")


def _load(weights: str, device: str) -> "FaceEditor":
    with spinner("loading the networks"):
        from faceedit.editing.editor import FaceEditor

        return FaceEditor.from_pretrained(weights, device)


def _edit_video(editor: "FaceEditor", job: "Job", metadata: bool, face: str, request: "Request") -> None:
    from faceedit.editing.video import edit_video

    with progress_bar("frames") as bar:

        def progress(frames: Iterable["np.ndarray"], count: int, doing: str) -> Iterable["np.ndarray"]:
            return bar.track(frames, count, description=doing)

        overwrite = job.if_taken == "replace"
        edited = edit_video(editor, job.photo, job.output, request, face, metadata, overwrite, progress)
    say(f"{job.photo}: {edited}")
    print_result(str(job.output))
