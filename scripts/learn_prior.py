"""Learn the pose prior that reconstruction uses, from the library's clips.

    python scripts/learn_prior.py CLIPS...

Every clip is fitted without a learned prior, so that the result does not feed on itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sfv_gym.extract import extract_motion
from sfv_gym.library import find_clip, library_clips
from sfv_gym.reconstruction.prior import ClipMoments, rest_prior, save_moments

OUT = Path(__file__).parents[1] / "sfv_gym" / "reconstruction" / "pose_prior.npz"


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders that hold the library's clips.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = OUT,
) -> None:
    """Fit every clip and write the moments of its angles."""
    clips = {}
    with tempfile.TemporaryDirectory() as scratch:
        for clip in library_clips():
            extraction = extract_motion(
                find_clip(clip.file, folders),
                skill=clip.skill,
                out=Path(scratch) / "motion.npz",
                prior=rest_prior(),
                **clip.settings,
            )
            clips[clip.skill] = ClipMoments.of(extraction.motion)
    save_moments(clips, out)


if __name__ == "__main__":
    typer.run(main)
