"""Picture in, what the person may go on to do out (SFV, motion completion)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sfv_gym.checks import real, whole
from sfv_gym.completion.nearest import nearest
from sfv_gym.completion.output import write_all
from sfv_gym.completion.picture import pose_of, posed, read_picture
from sfv_gym.completion.playing import play_on, stays_up
from sfv_gym.completion.result import Completion
from sfv_gym.files import check_folder
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.policy import shipped_policy_path
from sfv_gym.play.rollout import Rollout
from sfv_gym.registry import EnvEntry, list_envs


def complete(
    image: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    character: str = "humanoid",
    count: int = 3,
    subject: str | int = "largest",
    seconds: float = 3.0,
) -> list[Completion]:
    """What the person in a picture may go on to do: the nearest skills, played on from there.

    Args:
        image: a picture of a whole person.
        out: folder for films, contact sheet and report; none are written by default.
        character: who goes on.
        count: how many skills that have a policy are played; those without stand between them.
        subject: which of several people, as for ``extract_motion``.
        seconds: the longest to play.

    Returns:
        Nearest first. Where the picture is far from all skills, nothing was played.

    Raises:
        VideoError, PoseError, PoseModelError: of the picture and the person in it.
        OutputError, SettingError, UnknownIdError: of what was asked for.
    """
    whole("count", count, 1, 10)
    real("seconds", seconds, 0.1, 60.0)
    _flat_ids(character)  # an unknown one must not cost the pose
    if out is not None:
        check_folder(Path(out))
    picture = read_picture(image)
    poses = pose_of(picture, subject)
    found: list[Completion] = []
    played: dict[str, Rollout] = {}
    for one, rolled in go_on(posed(poses), character, seconds):
        found.append(one)
        if rolled is not None:
            played[one.skill] = rolled
        if len(played) == count or (not one.is_near and len(found) >= count):
            break
    if out is None:
        return found
    return write_all(Path(out), picture, poses, found, played)


def go_on(
    still: ReferenceMotion, character: str = "humanoid", seconds: float = 3.0
) -> Iterator[tuple[Completion, Rollout | None]]:
    """Every skill, the nearest first, played as it is asked for where it is near and has a policy.

    Args:
        still: the picture's pose, see ``picture.posed``.
        seconds: the longest to play.

    Raises:
        UnknownIdError: there is no such character.
    """
    ids, frame = _flat_ids(character), still.num_frames // 2
    for match in nearest(still, frame, character):
        one, rolled = Completion.of(match), None
        env_id = ids[match.skill].env_id
        if one.is_near and shipped_policy_path(env_id).is_file():
            rolled, share = play_on(still, frame, match, env_id, seconds)
            one = replace(one, policy=env_id, share=share, stays_up=stays_up(rolled))
        yield one, rolled


def _flat_ids(character: str) -> dict[str, EnvEntry]:
    from sfv_gym.characters import get_character

    get_character(character)
    return {
        entry.skill: entry
        for entry in list_envs()
        if entry.character == character and entry.terrain == "flat" and entry.motion
    }
