"""What signs mean: a verdict, in words. The bounds were set on clips with truth, see
docs/reconstruction.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sfv_gym.motion import BAD, DOUBTFUL, NOTE, Finding, Verdict
from sfv_gym.motion.verdict import SEVERITIES
from sfv_gym.reconstruction.signs import BodySigns, JointSigns, VideoSigns
from sfv_gym.spans import runs

PICTURE = (0.025, 0.035)
"""Body heights between the fitted landmarks and the picture's, from which on it is doubtful, and
bad."""
JOINTS = (0.05, 0.1)
"""Metres between the fitted joints and the measured ones; likewise."""
HOLE = (0.4, 2.0)
"""Seconds without the person; likewise."""
DIRECTION = 13.0
"""Degrees between the fitted bones and the estimator's, from which on it is doubtful."""
DISBELIEVED = 0.015
"""Share of the time in which the person turns as nobody can, from which on it is doubtful."""
IMBALANCE = 0.15
"""Metres from what touches the ground to the point on which it would have to push; likewise."""
HOVERING = 0.7
"""Share of the time in which nothing touches the ground and nothing falls; likewise."""
FLIGHT = 0.9
"""Seconds of a flight, in which one rises by a metre; likewise."""
SIZES = (0.7, 1.25)
"""Of the person over the character's, outside of which it is doubtful."""
CAMERA_HEIGHTS = (0.2, 4.0)
"""Metres above the ground, outside of which it is doubtful; under the ground it is bad."""
PITCH, ROLL = 25.0, 6.0
"""Degrees by which the camera looks up or down, and is held aslant; doubtful from there on."""
CROSSED = 0.1
"""Share of the time in which the legs have changed places, from which on it is bad."""
HIDDEN, BLIND, ASTRAY = 0.8, 0.4, 0.2
"""Shares of the time from which on it is doubtful that a limb is hidden, that a leg moves while it
is, or that a limb is not where the picture has it."""
WORTH_A_NOTE = 0.3
"""Seconds that one of these lasts."""
MANY = 3
"""So many doubts make a motion bad; those about limbs count as one."""


def judge(signs: BodySigns, further: Sequence[Finding] = ()) -> Verdict:
    """Weigh the signs of a fit; the worst of what they say comes first.

    Args:
        further: what else was found, as of objects.
    """
    found, limbs = [*_of_the_body(signs), *further], []
    if isinstance(signs, VideoSigns):
        found += _of_the_video(signs)
        limbs = [*_of_limbs(signs)]
    if isinstance(signs, JointSigns) and (severity := _above(signs.off, JOINTS)):
        found.append(
            Finding(severity, f"joints are {1e3 * signs.off:.0f} mm off the file's on average")
        )
    # a limb that is hidden is rarely where the picture has it: what is wrong with limbs counts once
    doubted = {one.reason for one in found if one.severity != NOTE}
    doubts = len(doubted) + any(one.severity != NOTE for one in limbs)
    if doubts >= MANY:
        found.append(Finding(BAD, f"{doubts} things speak against it together"))
    return Verdict(tuple(sorted(found + limbs, key=lambda one: -SEVERITIES.index(one.severity))))


def _of_the_body(signs: BodySigns) -> Iterator[Finding]:
    if signs.imbalance >= IMBALANCE:
        yield Finding(
            DOUBTFUL,
            f"out of balance by {100 * signs.imbalance:.0f} cm on average, as nobody could stand "
            "or land: the body's lean or the ground is wrong",
        )
    if signs.hovering >= HOVERING:
        yield Finding(
            DOUBTFUL,
            f"nothing touches the ground and nothing falls in {100 * signs.hovering:.0f} % of the "
            "time: the person hangs or leans on something, or the ground is wrong",
        )
    for flight in signs.flights:
        if _lasts(flight, signs.fps) >= FLIGHT:
            yield Finding(
                DOUBTFUL,
                "a flight longer than anybody's jump: the person hangs or sits on something, or "
                "the ground is wrong",
                seconds=_seconds(flight, signs.fps),
            )
    if not SIZES[0] <= signs.size <= SIZES[1]:
        yield Finding(
            DOUBTFUL,
            f"the person comes out at {100 * signs.size:.0f} % of the character's size: unless "
            "they are a child or a giant, distances are wrong; --focal helps where it is known",
        )
    if signs.played_at is not None:
        yield Finding(
            DOUBTFUL,
            "off the ground for long and hardly falling: if the clip is in slow motion, give its "
            f"speed (--speed {signs.played_at:.2g}, by gravity)",
        )
    for hole in runs(~signs.detected):
        if severity := _above(_lasts(hole, signs.fps), HOLE):
            yield Finding(
                severity,
                "the person was not found, what is there is made up",
                seconds=_seconds(hole, signs.fps),
            )


def _of_the_video(signs: VideoSigns) -> Iterator[Finding]:
    if signs.direction_deg >= DIRECTION:
        yield Finding(
            DOUBTFUL,
            f"limbs point {signs.direction_deg:.0f} degrees away from where they were seen, on "
            "average: what was seen does not go together",
        )
    if severity := _above(signs.picture, PICTURE):
        yield Finding(
            severity,
            f"the person is {100 * signs.picture:.1f} % of their height off the picture, on "
            "average",
        )
    if signs.camera_height < 0:
        yield Finding(
            BAD,
            f"the camera comes out {-100 * signs.camera_height:.0f} cm under the ground: the "
            "ground or the body's lean is wrong",
        )
    elif odd := ", ".join(_odd_about_the_camera(signs)):
        yield Finding(
            DOUBTFUL,
            f"the camera comes out {odd}: if it was not, the ground or the body's lean is wrong",
        )
    severity = DOUBTFUL if signs.disbelieved.mean() >= DISBELIEVED else NOTE
    for span in runs(signs.disbelieved):
        yield Finding(
            severity,
            "hardly counted: nobody turns so fast to get there, or a hole beside it is too long; "
            "left and right may be exchanged, or it is somebody else",
            seconds=_seconds(span, signs.fps),
        )
    if signs.people > 1:
        yield Finding(
            NOTE,
            f"one of {signs.people} people, and no sign tells the wrong one: `sfv people` shows "
            "who is who, --subject chooses",
        )
    severity = BAD if signs.crossed.mean() >= CROSSED else NOTE
    for span in runs(signs.crossed):
        yield Finding(severity, "left and right change places", "legs", _seconds(span, signs.fps))


def _odd_about_the_camera(signs: VideoSigns) -> Iterator[str]:
    if not CAMERA_HEIGHTS[0] <= signs.camera_height <= CAMERA_HEIGHTS[1]:
        yield f"{signs.camera_height:.2f} m above the ground"
    if abs(signs.camera_pitch_deg) >= PITCH:
        way = "down" if signs.camera_pitch_deg > 0 else "up"
        yield f"looking {way} by {abs(signs.camera_pitch_deg):.0f} degrees"
    if abs(signs.camera_roll_deg) >= ROLL:
        yield f"held aslant by {abs(signs.camera_roll_deg):.0f} degrees"


def _of_limbs(signs: VideoSigns) -> Iterator[Finding]:
    frames = len(signs.detected)
    for limb, hidden in signs.guessed.items():
        much = sum(last + 1 - first for first, last in hidden) >= HIDDEN * frames
        blind = "leg" in limb and signs.blind[limb] >= BLIND
        why = "hidden, so that what it does is a guess"
        yield from _of_limb(limb, hidden, why, much or blind, signs.fps)
    for limb, astray in signs.astray.items():
        much = sum(last + 1 - first for first, last in astray) >= ASTRAY * frames
        yield from _of_limb(limb, astray, "not where the picture has it", much, signs.fps)


def _of_limb(
    limb: str, spans: tuple[tuple[int, int], ...], reason: str, doubtful: bool, fps: float
) -> Iterator[Finding]:
    """A finding for each span; short ones matter where they add up to a doubt."""
    for span in spans:
        if doubtful or _lasts(span, fps) >= WORTH_A_NOTE:
            yield Finding(DOUBTFUL if doubtful else NOTE, reason, limb, _seconds(span, fps))


def _above(value: float, bounds: tuple[float, float]) -> str:
    """``"bad"``, ``"doubtful"``, or nothing."""
    return BAD if value >= bounds[1] else DOUBTFUL if value >= bounds[0] else ""


def _lasts(frames: tuple[int, int], fps: float) -> float:
    """Seconds of (first, last)."""
    return (frames[1] + 1 - frames[0]) / fps


def _seconds(frames: tuple[int, int], fps: float) -> tuple[float, float]:
    return round(frames[0] / fps, 3), round((frames[1] + 1) / fps, 3)
