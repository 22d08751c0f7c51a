"""The policies of single motions that a policy of many learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfv_gym.array_types import Float, Int
from sfv_gym.envs.mirroring import mirror_of
from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError
from sfv_gym.motion.variants import JOIN, MIRRORED, WARPED
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.mirroring import mirrored_policy
from sfv_gym.play.policy import Policy, policies_folder
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, find_motion, get_entry, make_id


@dataclass(frozen=True)
class Specialist:
    """A policy of one motion.

    Attributes:
        skill: the motion's name; of ``walk+mirrored`` it is the mirror image of ``walk``'s policy.
        env_id: whose policy it is.
        layout: of its observation.
    """

    skill: str
    env_id: str
    policy: Policy
    layout: PolicyLayout

    @property
    def knows_the_motion(self) -> bool:
        """Whether the motion is still the one that it was trained on, as far as its card says."""
        trained_on = self.policy.card.get("motion_hash")
        return trained_on in (None, Task.of(self.env_id).motion_hash)


def find_specialists(
    env_id: str, skills: Sequence[str], folder: Path | None
) -> tuple[list[Specialist], list[str]]:
    """Who can teach ``skills`` to a policy of a tracker's character on its terrain.

    A motion's own policy teaches its mirror image, through a mirror, and what is a little faster or
    slower; backwards, and going over into another motion, are not what it has learned.

    Args:
        skills: names of motions, or of variants of them, as ``find_motion`` has them.
        folder: of files that are called as the ids are; by default that of the shipped policies.

    Returns:
        The specialists, in the order of the skills, and the skills that have none.

    Raises:
        UnknownIdError: there is no such skill, or no such variant of it.
        MotionError: the motion has no such variant.
        CharacterError, SettingError: a mirror image is asked for of a character, or on terrain,
            that has none.
        PolicyError: a file is damaged, is of another environment than it is called by, or there is
            none at all.
    """
    entry = get_entry(env_id)
    titles = CHARACTER_TITLES[entry.character], TERRAIN_TITLES[entry.terrain]
    folder = policies_folder() if folder is None else folder
    found, without = [], []
    for skill in skills:
        base, *variants = skill.split(JOIN)
        own_id = make_id(base, *titles)
        task, path = Task.of(own_id), folder / f"{own_id}.safetensors"
        if variants:
            find_motion(skill)
        known = all(one == MIRRORED or one.startswith(WARPED) for one in variants)
        if not known or not path.is_file():
            without.append(skill)
            continue
        policy = Policy.load(path)
        layout = policy.layout or PolicyLayout.of(task)
        if layout.character != task.character.name or layout.size != len(policy.mean):
            raise PolicyError(
                f"{path} does not fit {own_id}: it sees {len(policy.mean)} numbers of "
                f"{layout.character}, not {layout.size} of {task.character.name}"
            )
        if len(policy.layers[-1][1]) != task.action_size:
            raise PolicyError(f"{path} does not fit {own_id}: it has other actions")
        if variants.count(MIRRORED) % 2:
            policy = mirrored_policy(policy, mirror_of(layout.parts, task.character))
        found.append(Specialist(skill, own_id, policy, layout))
    if not found:
        raise PolicyError(
            f"{folder} has no policy to learn {env_id} from, such as {make_id(skills[0], *titles)}"
            ".safetensors"
        )
    return found, without


class Teachers:
    """What the specialist of each environment's motion would do.

    Args:
        specialists: of the motions of a batch, in order.
        layout: of the batch's observation, which holds all that each of them sees.

    Raises:
        PolicyError: it does not.
    """

    def __init__(self, specialists: Sequence[Specialist], layout: PolicyLayout) -> None:
        self._policies = [one.policy for one in specialists]
        self._columns = []
        for one in specialists:
            try:
                self._columns.append(one.layout.columns_in(layout))
            except PolicyError as error:
                raise PolicyError(f"the policy of {one.skill} cannot teach: {error}") from None
        self._actions = len(self._policies[0].layers[-1][1])

    def actions(
        self, observation: Float[np.ndarray, "N D"], motion: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, "N A"]:
        """Mean actions (N, A) for observations (N, D) of the whole batch's layout.

        Args:
            motion: (N,) which of the motions each environment imitates.
        """
        actions = np.empty((len(observation), self._actions), np.float32)
        for m in np.unique(motion):
            ids = np.flatnonzero(motion == m)
            seen = observation[np.ix_(ids, self._columns[m])]
            actions[ids] = self._policies[m].predict(seen)
        return actions
