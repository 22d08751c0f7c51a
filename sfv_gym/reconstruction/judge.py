"""What signs mean: a verdict, in words. The bounds were set on clips with truth, see
docs/reconstruction.md."""

from __future__ import annotations

from collections.abc import Iterator

from sfv_gym.motion import BAD, DOUBTFUL, NOTE, Finding, Verdict
from sfv_gym.motion.verdict import SEVERITIES
from sfv_gym.reconstruction.signs import BodySigns, JointSigns, VideoSigns
from sfv_gym.spans import runs

DIRECTION = (13.0, 20.0)
"""Degrees between the fitted bones and the estimator's. Here and below: doubtful, and bad."""
PICTURE = (0.025, 0.04)
"""Body heights between the fitted landmarks and the picture's."""
JOINTS = (0.05, 0.10)
"""Metres between the fitted joints and the measured ones."""
CAMERA_HEIGHTS = (0.2, 4.0)
"""Metres above the ground of a camera that somebody holds or puts up; below 0 it is bad."""
IMBALANCE = (0.10, 0.15)
"""Metres from what touches the ground to the point on which it would have to push."""
HOVERING = (0.3, 0.5)
"""Share of the time in which nothing touches the ground and nothing falls."""
SUNK = (0.06, 0.12)
"""Metres below the ground."""
SIZES = (0.7, 1.25)
"""Of an adult over the character's; outside it is doubtful."""
HOLE = (0.4, 1.0)
"""Seconds without the person."""
HIDDEN = (0.3, 0.5)
"""Seconds from which on a hidden limb is worth a note, and the share of the clip from which on a
hidden leg is doubtful."""
ASTRAY = (0.2, 0.2)
"""Seconds from which on a limb that misses the picture is worth a note, and the share of the clip
from which on it is doubtful."""


def judge(signs: BodySigns) -> Verdict:
    """Weigh the signs of a fit; the worst of what they say comes first."""
    found = [*_of_the_body(signs)]
    if isinstance(signs, VideoSigns):
        found += [*_of_the_video(signs), *_of_limbs(signs)]
    if isinstance(signs, JointSigns) and (severity := _above(signs.off, JOINTS)):
        found.append(
            Finding(severity, f"joints are {1e3 * signs.off:.0f} mm off the file's on average")
        )
    return Verdict(tuple(sorted(found, key=lambda one: -SEVERITIES.index(one.severity))))


def _of_the_body(signs: BodySigns) -> Iterator[Finding]:
    if severity := _above(signs.imbalance, IMBALANCE):
        yield Finding(
            severity,
            f"out of balance by {100 * signs.imbalance:.0f} cm on average: nobody could stand or "
            "land like that; the body's lean, or the ground, is wrong",
        )
    if severity := _above(signs.hovering, HOVERING):
        yield Finding(
            severity,
            f"nothing touches the ground in {100 * signs.hovering:.0f} % of the time, and nothing "
            "falls: the person hangs or leans on something, or the ground is wrong",
        )
    if severity := _above(signs.sunk, SUNK):
        yield Finding(severity, f"parts of the body are {100 * signs.sunk:.0f} cm under the ground")
    if not SIZES[0] <= signs.size <= SIZES[1]:
        yield Finding(
            DOUBTFUL,
            f"the person comes out at {100 * signs.size:.0f} % of the character's size; if they "
            "are no child or giant, so does every distance: give --focal where it is known",
        )
    if signs.played_at is not None:
        yield Finding(
            DOUBTFUL,
            "off the ground for long and hardly falling: if the clip is in slow motion, give its "
            f"speed (--speed {signs.played_at:.2g}, by gravity)",
        )
    for first, last in runs(~signs.detected):
        if severity := _above((last + 1 - first) / signs.fps, HOLE):
            yield Finding(
                severity,
                "the person was not found: the motion in between is made up",
                seconds=_seconds((first, last), signs.fps),
            )


def _of_the_video(signs: VideoSigns) -> Iterator[Finding]:
    if severity := _above(signs.direction_deg, DIRECTION):
        yield Finding(
            severity,
            f"limbs point {signs.direction_deg:.0f} degrees away from where they were seen, on "
            f"average (up to {DIRECTION[0]:.0f} is usual): what was seen does not go together",
        )
    if severity := _above(signs.picture, PICTURE):
        yield Finding(
            severity,
            f"the person is {100 * signs.picture:.1f} % of their height off the picture, on "
            f"average (up to {100 * PICTURE[0]:.1f} % is usual)",
        )
    low, high = CAMERA_HEIGHTS
    if signs.camera_height < 0:
        yield Finding(
            BAD,
            f"the camera comes out {-100 * signs.camera_height:.0f} cm under the ground: the "
            "ground, or the body's lean, is wrong",
        )
    elif not low <= signs.camera_height <= high:
        yield Finding(
            DOUBTFUL,
            f"the camera comes out {signs.camera_height:.2f} m above the ground: if it was not "
            "there, ground and lean are wrong",
        )


def _of_limbs(signs: VideoSigns) -> Iterator[Finding]:
    frames, fps = len(signs.detected), signs.fps
    for stretches, (seconds, share), text in (
        (signs.guessed, HIDDEN, "hidden, so that it is a guess"),
        (signs.astray, ASTRAY, "not where the picture has it"),
    ):
        for limb, spans in stretches.items():
            whole = sum(last + 1 - first for first, last in spans) / frames
            severity = DOUBTFUL if whole >= share else NOTE
            for span in spans:
                if span[1] + 1 - span[0] >= seconds * fps:
                    yield Finding(severity, text, limb, _seconds(span, fps))


def _above(value: float, bounds: tuple[float, float]) -> str:
    """``"bad"``, ``"doubtful"``, or nothing."""
    return BAD if value >= bounds[1] else DOUBTFUL if value >= bounds[0] else ""


def _seconds(frames: tuple[int, int], fps: float) -> tuple[float, float]:
    return round(frames[0] / fps, 3), round((frames[1] + 1) / fps, 3)
