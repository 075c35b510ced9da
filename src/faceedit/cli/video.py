"""Videos of the command that edits: one face through each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from faceedit.cli.app import failing_as, progress_bar, say, say_error
from faceedit.cli.report import tell
from faceedit.cli.run import Naming
from faceedit.errors import BatchError, FaceEditError

if TYPE_CHECKING:
    import numpy as np

    from faceedit.batch import Found, Job
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.request import Request


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
    for job in jobs:
        if job.done:
            tell(job, None, as_json=False)
    if not waiting:
        return
    remove_leftovers(job.output.parent for job in jobs)
    from faceedit.editing.editor import FaceEditor

    failed, editor = [], None
    for job in waiting:
        try:
            with failing_as(f"{job.photo} could not be edited"):
                editor = editor or FaceEditor.from_pretrained(weights, device)
                _edit_video(editor, job, metadata, face, request)
        except FaceEditError as error:
            if len(jobs) == 1 or editor is None:
                raise
            say_error(error)
            failed.append(job.photo)
    if failed:
        raise BatchError(f"{len(failed)} of {len(jobs)} videos failed: {', '.join(map(str, failed))}")


def _edit_video(editor: "FaceEditor", job: "Job", metadata: bool, face: str, request: "Request") -> None:
    from faceedit.editing.video import edited_frames, follow
    from faceedit.media.provenance import COMPOSITE, declaration
    from faceedit.media.video import edit_video, open_video

    video = open_video(job.photo)
    if video.alpha and job.output.suffix.lower() != ".mov":
        say("the video is transparent in parts, which MP4 cannot hold: name a .mov file with -o to keep that")
    with progress_bar("frames") as progress:
        track = follow(editor, video, face, progress.track(video, video.frames, description="finding the face"))
        way = f"{track.mean_source} on average → {request.target(track.mean_source)}"
        say(f"{job.photo}: {way}")

        def edit(frames: Iterator["np.ndarray"]) -> Iterator["np.ndarray"]:
            shown = progress.track(frames, len(track.strength), description="editing")
            return edited_frames(editor, shown, track, request)

        xmp = declaration(COMPOSITE, editor.weights, f"one face: {way}")
        edit_video(video, job.output, edit, xmp, metadata, job.if_taken == "replace")
    print(job.output)
