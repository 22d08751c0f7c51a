"""When do feet and hands touch the ground, and when is the whole body in the air?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import binary_opening, gaussian_filter1d, median_filter

from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.canonical_body import HANDS, ROUND_HANDS, ROUND_RADII, Body
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.motion import MIN_FLIGHT_SECONDS
from sfv_gym.pose.landmarks import foot
from sfv_gym.spans import runs

if TYPE_CHECKING:
    from sfv_gym.reconstruction.evidence import Evidence

WRIST_HEIGHT = 0.07
"""Metres, of a person's wrist over the palm that they stand on."""
REST_SPEED = 0.4
"""m/s, up or down, of a part of the trunk or a knee that rests on the ground."""
LONG_STRETCH = 0.5
"""Seconds off the ground from which on a slow fall says that the clip is played slowly."""
STILL, STILL_SECONDS = 0.2, 0.25
"""m/s at the person's depth below which something stands still in the picture, and how long it has
to: what comes straight towards the camera hardly moves in it either, but not for long."""
RUNNING = 0.5
"""A planted foot may seem to move at this share of the root's speed: the path of somebody who runs
by, or whom the camera follows, is that wrong at first. A swinging foot is faster than the root."""
RUNNING_PACE = 2.0
"""m/s of the root from which on somebody who repeats a stride runs."""
RUNNING_FLIGHT = {"seconds": 0.1, "clearance": 0.025}
"""A runner's flights are short and low: one foot comes down before the other is drawn up."""


@dataclass(frozen=True)
class Speeds:
    """At which what may touch the ground moves across the picture, m/s at the person's depth;
    infinite where it is not seen.

    Attributes:
        soles: (T, 2, 2), right foot first, heels first. hands: (T, 2), the right one first.
    """

    soles: np.ndarray
    hands: np.ndarray


def seen_speeds(evidence: Evidence) -> Speeds:
    """Of the person in a video."""
    soles = [[evidence.speeds(name) for name in foot(side)] for side in ("right", "left")]
    hands = [evidence.speeds(f"{side}_wrist") for side in ("right", "left")]
    return Speeds(np.moveaxis(np.array(soles), -1, 0), np.array(hands).T)


def find_contacts(
    body: Body,
    pose: Pose,
    fps: float,
    *,
    height: float = 0.06,
    speed: float = 0.7,
    period: int | None = None,
    seen: Speeds | None = None,
    tops: np.ndarray | None = None,
) -> CanonicalContacts:
    """Contacts from how low and how slow each sole corner and hand is.

    Args:
        height: metres above the ground below which a point may touch.
        speed: m/s below which it may; of somebody who runs, RUNNING of the root's speed.
        period: frames of the motion's cycle, where it has one. Of a run the strides are taken
            together: what touches in half of them touches in all.
        seen: of whom a video shows. What stands still in it does not move, though its depth may
            seem to.
        tops: (T, 4) metres, the height of the object's top that each of skeleton.END_EFFECTORS is
            on, NaN elsewhere; such a touch is taken as given, and no flight goes over it.
    """
    with torch.no_grad():
        soles, hands = body.soles(pose).numpy(), pose.pos[:, HANDS].numpy()
        rounds = body.round_centres(pose).numpy() - [[0.0, 0.0, r] for r in ROUND_RADII.tolist()]
        com = body.centre_of_mass(pose).numpy()
    # a heel's two corners act as one, and so do a ball's
    edges = np.stack((soles[:, :, :2].mean(2), soles[:, :, 2:].mean(2)), 2)  # (T, 2, 2, 3)
    hand_points = hands - [0.0, 0.0, WRIST_HEIGHT]
    pace = _smooth_speed(pose.pos[:, 0].numpy() * [1.0, 1.0, 0.0], fps)
    limit = np.maximum(speed, RUNNING * pace)
    stride = period if np.median(pace) > RUNNING_PACE else None
    body_points = (edges.reshape(len(edges), -1, 3), hand_points, rounds)
    on_objects = np.zeros((len(soles), 4), bool) if tops is None else np.isfinite(tops)
    carried = np.asarray(on_objects.any(1))
    grounded = limit * ~carried  # what is lowest on an object does not bear on the ground
    plane = _ground_plane(np.concatenate(body_points, axis=1), fps, grounded)
    for points in (edges, hand_points, rounds):
        points[..., 2] -= plane[0] + points[..., :2] @ plane[1:]
    round_low = rounds[..., 2]
    soles_seen, hands_seen = (seen.soles, seen.hands) if seen else (None, None)
    touch = _touch(edges, fps, height, limit, soles_seen)
    hand_touch = _touch(hand_points, fps, height, 0.7 * limit, hands_seen)

    round_touch = _resting(round_low, fps, height)
    round_touch[:, ROUND_HANDS] = 0.0
    if stride is not None:
        touch, hand_touch, round_touch = (
            _cycle_consensus(points, stride) for points in (touch, hand_touch, round_touch)
        )

    hand_touch[on_objects[:, :2]] = 1.0
    touch[on_objects[:, 2:]] = 1.0
    lowest = np.min(
        (edges[..., 2].min((1, 2)), hand_points[..., 2].min(1), round_low.min(1)), axis=0
    )
    every = np.concatenate((touch.reshape(len(touch), -1), hand_touch, round_touch), axis=1)
    any_touch = every.max(1) > 0.5
    stretches = find_flights(any_touch, lowest, fps, **(RUNNING_FLIGHT if stride else {}))
    accelerations = {
        (first, last): _vertical_acceleration(com[first : last + 1, 2], fps)
        for first, last in stretches
    }
    flights = tuple(
        frames if stride else _while_falling(frames, any_touch, com[:, 2], fps, acceleration)
        for frames, acceleration in accelerations.items()
        if -20.0 < acceleration < -4.0
    )
    slow = {
        last - first: acceleration
        for (first, last), acceleration in accelerations.items()
        if -4.0 <= acceleration < -0.5 and last - first >= LONG_STRETCH * fps
    }
    in_air = np.zeros(len(touch))
    for first, last in flights:
        in_air[first : last + 1] = 1.0
    if stride is None:
        _touch_around_flights(touch, edges[..., 2], flights, fps, carried)
    else:  # a runner's other foot is low then, too, and swings
        in_air = _cycle_consensus(in_air, stride)
        flights = tuple(runs(in_air > 0))
    touch[in_air > 0] = 0.0
    hand_touch[in_air > 0] = 0.0
    round_touch[in_air > 0] = 0.0
    soles = np.repeat(touch, 2, axis=-1).reshape(len(touch), -1)
    return CanonicalContacts(
        active=torch.as_tensor(np.concatenate((soles, round_touch, hand_touch), 1), dtype=DTYPE),
        in_air=torch.as_tensor(in_air, dtype=DTYPE),
        flights=flights,
        played_at=float(np.sqrt(-slow[max(slow)] / GRAVITY)) if slow else None,
        raised=None if tops is None else raised_points(tops),
    )


def raised_points(tops: np.ndarray) -> torch.Tensor:
    """``CanonicalContacts.raised`` (T, P) of ``tops`` (T, 4), see ``find_contacts``."""
    heights = torch.as_tensor(np.nan_to_num(tops, nan=0.0), dtype=DTYPE)
    rounds = torch.zeros(len(heights), len(ROUND_RADII), dtype=DTYPE)
    return torch.cat((heights[:, 2:].repeat_interleave(4, 1), rounds, heights[:, :2]), 1)


def touches_of_objects(tops: np.ndarray) -> CanonicalContacts:
    """What is known to touch objects, see ``find_contacts``, before anything else is found."""
    raised = raised_points(tops)
    return CanonicalContacts(
        active=(raised > 0).to(DTYPE),
        in_air=torch.zeros(len(raised), dtype=DTYPE),
        flights=(),
        raised=raised,
    )


def _smooth_speed(points: np.ndarray, fps: float) -> np.ndarray:
    """Speeds (T, ...) in m/s of points (T, ..., 3), a little smoothed."""
    smooth = gaussian_filter1d(points, 0.03 * fps, axis=0)
    return np.asarray(np.linalg.norm(np.gradient(smooth, axis=0), axis=-1) * fps)


def _ground_plane(points: np.ndarray, fps: float, limit: np.ndarray) -> np.ndarray:
    """The plane z = p0 + p1 x + p2 y (3,) through what bears weight of a body's points (T, P, 3).

    A camera that is not quite level tilts the world, and feet that walk away seem to rise. What
    bears weight is slow, and the lowest of its frame. The plane is robust and close to level.
    """
    lowest = points[..., 2] - points[..., 2].min(1, keepdims=True)
    bears = (_smooth_speed(points, fps) < limit[:, None]) & (lowest < 0.04)
    if bears.sum() < 4:
        return np.zeros(3)
    x, y, z = points[bears].T
    mean = np.array([x.mean(), y.mean()])
    basis = np.stack((np.ones_like(x), x - mean[0], y - mean[1]), axis=1)
    plane = np.array([np.median(z), 0.0, 0.0])
    for _ in range(20):
        residual = z - basis @ plane
        weight = 1 / (1 + (residual / 0.04) ** 2)
        normal = (basis * weight[:, None]).T @ basis / 0.03**2
        # a slope of more than a few degrees is unlikely; the level is free
        normal += np.diag([1e-6, len(z) / 4, len(z) / 4]) / 0.05**2 * 0.04
        plane = np.linalg.solve(normal, (basis * weight[:, None]).T @ z / 0.03**2)
    return np.array([plane[0] - plane[1:] @ mean, plane[1], plane[2]])


def _vertical_acceleration(heights: np.ndarray, fps: float) -> float:
    """Mean acceleration of the centre of mass (N,) in m/s2: about -g in flight, but not where only
    a foot was not seen to touch."""
    return 2 * float(np.polyfit(np.arange(len(heights)) / fps, heights, 2)[0])


def _while_falling(
    flight: tuple[int, int],
    touching: np.ndarray,
    height: np.ndarray,
    fps: float,
    acceleration: float,
) -> tuple[int, int]:
    """A flight (first, last) with the frames before and after it in which nothing touches (T,) and
    the centre of mass (T,) falls by half of that ``acceleration``, at least: a foot that has
    pushed off may sweep low over the ground."""
    smooth = gaussian_filter1d(height, 0.03 * fps)
    falls = ~touching & (np.gradient(np.gradient(smooth)) * fps**2 < 0.5 * acceleration)
    first, last = flight
    while first > 0 and falls[first - 1]:
        first -= 1
    while last < len(height) - 1 and falls[last + 1]:
        last += 1
    return first, last


def _touch_around_flights(
    touch: np.ndarray,
    heights: np.ndarray,
    flights: tuple[tuple[int, int], ...],
    fps: float,
    on_objects: np.ndarray,
) -> None:
    """Just before and after a flight a low sole edge touches, however fast it seems to be, unless
    an object bears the body (T,) there.

    Smoothing spreads the blow of a landing over frames, in which the foot looks too fast.
    """
    reach = max(1, round(0.1 * fps))
    for first, last in flights:
        for frames in (range(first - 1, first - 1 - reach, -1), range(last + 1, last + 1 + reach)):
            for t in frames:
                if not 0 <= t < len(touch) or on_objects[t]:
                    break
                lowest = heights[t].min()
                touch[t] = np.maximum(touch[t], heights[t] <= max(0.03, lowest + 0.01))


def _touch(
    points: np.ndarray,
    fps: float,
    height: float,
    limit: np.ndarray,
    seen: np.ndarray | None = None,
) -> np.ndarray:
    """(T, ...) in 0..1 for points (T, ..., 3): near the ground and slower than limit (T,) m/s,
    or still in the picture by its speed there, ``seen`` (T, ...) m/s."""
    pace = _smooth_speed(points, fps)
    if seen is not None:
        pace = np.where(_lasts(seen < STILL, fps), np.minimum(pace, seen), pace)
    speed = limit.reshape(-1, *(1,) * (pace.ndim - 1))
    smooth = gaussian_filter1d(points[..., 2], 0.03 * fps, axis=0)
    low = 1 / (1 + np.exp((smooth - height) / (0.15 * height)))
    slow = 1 / (1 + np.exp((pace - speed) / (0.15 * speed)))
    both = low * slow
    # one frame in or out is noise
    size = (3,) + (1,) * (both.ndim - 1)
    both = median_filter(both, size=size, mode="nearest")
    return np.asarray(np.where(both > 0.5, 1.0, 0.0))


def _lasts(mask: np.ndarray, fps: float) -> np.ndarray:
    """``mask`` (T, ...) without what is True for less than ``STILL_SECONDS``."""
    size = (2 * round(STILL_SECONDS * fps / 2) + 1,) + (1,) * (mask.ndim - 1)
    return np.asarray(binary_opening(mask, np.ones(size)))


def _resting(bottoms: np.ndarray, fps: float, height: float) -> np.ndarray:
    """(T, R) in 0..1: whose lowest point (T, R) is near the ground and neither sinks nor rises.

    It may move along: a back rolls over the ground, and knees slide a little.
    """
    smooth = gaussian_filter1d(bottoms, 0.03 * fps, axis=0)
    still = np.abs(np.gradient(smooth, axis=0)) * fps < REST_SPEED
    near = median_filter((smooth < height) & still, size=(3, 1), mode="nearest")
    return np.asarray(near, float)


def _cycle_consensus(touch: np.ndarray, period: int) -> np.ndarray:
    """Contacts (T, ...) in 0..1 by majority over the frames whole periods apart; half is enough."""
    consensus = touch.copy()
    for phase in range(min(period, len(touch))):
        consensus[phase::period] = touch[phase::period].mean(0) >= 0.5
    return consensus


def find_flights(
    touching: np.ndarray,
    lowest: np.ndarray,
    fps: float,
    *,
    seconds: float = MIN_FLIGHT_SECONDS,
    clearance: float = 0.08,
) -> tuple[tuple[int, int], ...]:
    """(first, last) frames of each stretch in the air.

    Args:
        touching: (T,) whether anything does.
        lowest: (T,) metres, the body's lowest point.
        seconds: that a flight must last.
        clearance: metres that a flight must reach.

    A stretch at the clip's start or end counts too: the body is in the air there as well.
    """
    flights = []
    for first, last in runs(~touching):
        span = lowest[first : last + 1]
        if len(span) < seconds * fps or span.max() < clearance:
            continue
        # take-off and landing: the frames where the lowest point leaves and meets the ground
        floor = clearance * 5 / 8
        up = np.flatnonzero(span > floor)
        if up[-1] + 1 - up[0] >= seconds * fps:
            flights.append((first + int(up[0]), first + int(up[-1])))
    return tuple(flights)
