"""Whose sighting is it? Where people come close, one may be taken for another, or two for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sfv_gym.pose.person import Person

MEMORY = 0.5  # s, either side, of sightings that tell where somebody is
IN_COMMON = 3  # frames that show two tracks: then they are two people, not one found again
SAME_PLACE = 0.3  # m, mean over the joints, within which a sighting may be somebody else's
ON_OTHER, OFF_OWN = 0.15, 0.35  # m, of one joint that lies on somebody else and off its own place
MIXED = 0.25  # share of such joints from which a sighting mixes two people


class Bystanders:
    """Where the others are, to tell their sightings from the subject's.

    Args:
        own: (T,) the subject's track.
        others: everyone's other sightings, by frame; those who are never seen beside the subject
            may be the subject, lost and found again, and are left out.
        fps: frames per second.
    """

    def __init__(
        self, own: Sequence[Person | None], others: Sequence[Mapping[int, Person]], fps: float
    ) -> None:
        seen = {t: person for t, person in enumerate(own) if person is not None}
        self._memory = max(MEMORY * fps, 1.0)
        self._own = _Places(seen)
        self._others = [_Places(o) for o in others if len(o.keys() & seen.keys()) >= IN_COMMON]

    def has(self, t: int, person: Person, scale: float) -> bool:
        """Whether this is somebody else, or in part.

        Args:
            t: frame. person: a sighting in it. scale: pixels per metre of the subject.
        """
        joints = person.landmarks.joints
        turned = person.landmarks.mirror[joints]  # left and right may be taken for each other
        flat = person.landmarks_2d[joints]
        own = self._own.at(t, self._memory, without=True)
        for other in self._others:
            place = other.at(t, self._memory)
            if place is None:
                continue
            on_other = np.linalg.norm(flat - place, axis=-1) / scale
            mirrored = np.linalg.norm(person.landmarks_2d[turned] - place, axis=-1).mean() / scale
            near = min(float(on_other.mean()), float(mirrored))
            if own is None:
                if near < SAME_PLACE:
                    return True
                continue
            off_own = np.linalg.norm(flat - own, axis=-1) / scale
            if near < SAME_PLACE and near < off_own.mean():
                return True
            if ((on_other < ON_OTHER) & (off_own > OFF_OWN)).mean() >= MIXED:
                return True
        return False


class _Places:
    """Where somebody's joints are in any frame near those that show them."""

    def __init__(self, seen: Mapping[int, Person]) -> None:
        self._frames = np.array(sorted(seen), int)
        self._joints = np.array(
            [seen[t].landmarks_2d[seen[t].landmarks.joints] for t in sorted(seen)]
        )

    def at(self, t: int, memory: float, *, without: bool = False) -> np.ndarray | None:
        """(12, 2) pixels, between the sightings around frame ``t``; None if they are far off.

        Args:
            memory: frames, either side. without: the sighting of frame ``t`` itself.
        """
        near = np.abs(self._frames - t) <= memory
        if without:
            near &= self._frames != t
        frames, joints = self._frames[near], self._joints[near]
        if not len(frames):
            return None
        after = int(np.searchsorted(frames, t))
        if after in (0, len(frames)):
            return np.asarray(joints[min(after, len(frames) - 1)])
        share = (t - frames[after - 1]) / (frames[after] - frames[after - 1])
        return np.asarray((1 - share) * joints[after - 1] + share * joints[after])
