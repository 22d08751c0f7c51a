"""A task: all that is to be imitated, by whom, where and under which rules, as one value."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack, get_type_hints

import numpy as np

from sfv_gym.characters import Character, get_character
from sfv_gym.checks import real, whole
from sfv_gym.envs.motion_sampling import MotionSampling, WeightedMotions, get_motion_sampling
from sfv_gym.envs.observations import (
    Observation,
    ObservationPart,
    get_observation,
    observation_parts,
)
from sfv_gym.envs.perturbations import DomainRandomization, Pushes
from sfv_gym.envs.rewards import Reward, get_reward
from sfv_gym.envs.starts import Initialization, get_initialization
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import SettingError, UnknownIdError, UnknownSettingError
from sfv_gym.motion import ReferenceMotion, check_objects
from sfv_gym.objects import SceneObject
from sfv_gym.registry import (
    MAX_EPISODE_STEPS,
    TRACKER_SETTINGS,
    find_motion,
    get_entry,
    tracker_skills,
)
from sfv_gym.terrains import Terrain, get_terrain

CONTROL_HZ = 30
SUBSTEPS = 5
ACTION_MODES = ("residual", "absolute")
MAX_HORIZON = 108_000
"""The most control steps of an episode: an hour."""
MAX_LEAD = 0.5
"""Seconds by which a PD target may be ahead of the reference."""
MAX_MOTIONS = 10_000

MotionLike = str | os.PathLike[str] | ReferenceMotion
"""A motion, its file, or the name of a registered skill or id."""


class TaskSettings(TypedDict, total=False):
    """What ``Task.of`` and all environments take: names or objects, see ``Task``."""

    motions: Sequence[MotionLike]
    character: str | Character
    terrain: str | Terrain
    difficulty: float | None
    objects: Sequence[SceneObject] | None
    motion_weights: Sequence[float] | None
    motion_sampling: str | MotionSampling
    observation: str | Observation
    reward: Reward
    failure_cost: float
    action_mode: str
    initialization: str | Initialization
    termination: EarlyTermination | bool
    randomization: DomainRandomization | bool | None
    pushes: Pushes | bool | None
    horizon: int | None
    target_lead: float


@dataclass(frozen=True, eq=False)
class Task:
    """What one simulation, and so every environment, evaluation and training run, is of.

    ``Task.of("SFV-Walk-v0", reward="sfv")`` makes one of names; an id is a name for a task.

    Attributes:
        motions: the references. An episode imitates one of them.
        character, terrain: who does it, and where.
        objects: what else is in the scene; None: what the motion brings along.
        motion_weights: (M,) of the draw, they need not sum to 1; empty: all alike.
        motion_sampling: whether motions that fail are drawn more often.
        observation: what is seen of the reference.
        reward: ``"pose"``, ``"sfv"`` or ``"place"``; weights of the terms, as ``{"pose": 0.7,
            "centre_of_mass": 0.3}``; or a function of ``TrackingErrors`` that returns the reward
            (N,) and its named parts.
        failure_cost: taken from the reward of the step that ends an episode early.
        action_mode: ``"residual"``: the action, in rad, is added to the reference's PD target;
            ``"absolute"``: it is the target itself, scaled to each joint's limits.
        initialization: start states.
        termination: what ends an episode early.
        randomization, pushes: physics drawn per episode, and forces on the root.
        horizon: control steps after which an episode is truncated. A motion that does not wrap
            also ends with its last frame.
        target_lead: seconds by which the PD target of the reference is ahead.

    Raises:
        SettingError: a setting is of the wrong type or out of range.
        UnknownIdError: a name is unknown.
    """

    motions: tuple[ReferenceMotion, ...]
    character: Character
    terrain: Terrain
    objects: tuple[SceneObject, ...] | None = None
    motion_weights: tuple[float, ...] = ()
    motion_sampling: MotionSampling = field(default_factory=WeightedMotions)
    observation: Observation = field(default_factory=Observation)
    reward: Reward = "pose"
    failure_cost: float = 0.0
    action_mode: str = "residual"
    initialization: Initialization = field(default_factory=lambda: get_initialization("rsi"))
    termination: EarlyTermination = field(default_factory=EarlyTermination)
    randomization: DomainRandomization | None = None
    pushes: Pushes | None = None
    horizon: int = MAX_EPISODE_STEPS
    target_lead: float = 1 / 30

    def __post_init__(self) -> None:
        if not self.motions:
            raise SettingError("a task needs a motion")
        whole("the number of motions", len(self.motions), 1, MAX_MOTIONS)
        for motion in self.motions:
            _checked("motions", motion, ReferenceMotion)
        self._check_objects()
        if self.motion_weights and len(self.motion_weights) != len(self.motions):
            raise SettingError(
                f"motion_weights must be one for each of {len(self.motions)} motions, they are "
                f"{len(self.motion_weights)}"
            )
        weights = tuple(real("motion_weights", w, 0.0, 1e9) for w in self.motion_weights)
        if weights and not sum(weights) > 0.0:
            raise SettingError("motion_weights must not all be 0")
        if self.action_mode not in ACTION_MODES:
            raise UnknownIdError(
                f"unknown action_mode {self.action_mode!r}; known: {', '.join(ACTION_MODES)}"
            )
        get_reward(self.reward)
        checked = {
            "motion_weights": weights,
            "failure_cost": real("failure_cost", self.failure_cost, 0.0, 1e6),
            "horizon": whole("horizon", self.horizon, 1, MAX_HORIZON),
            "target_lead": real("target_lead", self.target_lead, 0.0, MAX_LEAD),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls, what: MotionLike | Sequence[MotionLike] | Task, **settings: Unpack[TaskSettings]
    ) -> Task:
        """The task of an id, or of one motion or several.

        Args:
            what: an environment id such as ``SFV-Walk-Atlas-Slopes-v0``, which stands for motion,
                character and terrain, or ``SFV-Tracker-v0``, for every motion of the library and
                the settings that go with that; a skill such as ``walk``, a motion or its file, or a
                sequence of them; or a task, to have it with other settings.
            settings: see the class. ``motions``, ``character``, ``terrain``, ``observation``,
                ``initialization`` and ``motion_sampling`` may be names; ``difficulty`` is the
                terrain's; ``termination`` may be True for the default or False for nothing,
                ``randomization`` and ``pushes`` True for the defaults; ``horizon`` None is 20 s.

        Raises:
            SettingError: a setting is unknown, of the wrong type or out of range.
            UnknownIdError: there is no such id, skill, character, terrain.
            MotionError: there is no such file, or it is no motion.
        """
        unknown = sorted(settings.keys() - SETTINGS)
        if unknown:
            raise UnknownSettingError(
                f"unexpected keyword argument {', '.join(map(repr, unknown))} for an environment; "
                f"known: {', '.join(sorted(SETTINGS))}"
            )
        if isinstance(what, Task):
            return replace(what, **what._resolved(settings))
        character, terrain = "humanoid", "flat"
        given = (what,) if isinstance(what, str | os.PathLike | ReferenceMotion) else tuple(what)
        if isinstance(what, str) and what.startswith("SFV-"):
            entry = get_entry(what)
            character, terrain = entry.character, entry.terrain
            if entry.motion is None:
                given = tracker_skills()
                settings = {**TRACKER_SETTINGS, **settings}
        motions = _motions(settings.pop("motions", given))
        # the motions' objects are looked at when it is settled whether they are wanted, and where
        base = cls(motions, get_character(character), get_terrain(terrain), objects=())
        return replace(base, **{"objects": None, **base._resolved(settings)})

    def _resolved(self, settings: TaskSettings) -> dict[str, Any]:
        """Fields in place of this task's, from settings that may be names."""
        fields: dict[str, Any] = dict(settings)
        if "motions" in fields:
            fields["motions"] = _motions(fields["motions"])
        if "character" in fields:
            fields["character"] = get_character(fields["character"])
        difficulty = fields.pop("difficulty", None)
        terrain = get_terrain(fields.get("terrain", self.terrain), difficulty)
        if difficulty is not None and terrain.is_flat:
            raise SettingError(
                f"difficulty={difficulty} on flat ground: it is of slopes, gaps and such"
            )
        fields["terrain"] = terrain
        if "motion_weights" in fields:
            weights = fields["motion_weights"]
            fields["motion_weights"] = tuple(() if weights is None else weights)
        if fields.get("objects") is not None:
            if not isinstance(fields["objects"], Iterable):
                raise SettingError(f"objects must be a sequence, not {fields['objects']!r}")
            fields["objects"] = tuple(fields["objects"])
        if "motion_sampling" in fields:
            fields["motion_sampling"] = get_motion_sampling(fields["motion_sampling"])
        if "observation" in fields:
            fields["observation"] = get_observation(fields["observation"])
        if "initialization" in fields:
            fields["initialization"] = get_initialization(fields["initialization"])
        if "termination" in fields:
            rule = fields["termination"]
            if not isinstance(rule, bool | EarlyTermination):
                raise SettingError(
                    f"termination must be True, False or an EarlyTermination, not {rule!r}"
                )
            if isinstance(rule, bool):
                fields["termination"] = EarlyTermination() if rule else EarlyTermination.none()
        for name, kind in (("randomization", DomainRandomization), ("pushes", Pushes)):
            if name in fields:
                fields[name] = _object(name, fields[name], kind)
        if fields.get("horizon", 0) is None:
            fields["horizon"] = MAX_EPISODE_STEPS
        return fields

    def _check_objects(self) -> None:
        for thing in self.objects or ():
            _checked("objects", thing, SceneObject)
        carried = [motion.skill or "motion" for motion in self.motions if motion.objects]
        if self.objects is None and carried and len(self.motions) > 1:
            raise SettingError(
                f"a task of several motions has no objects of theirs, and {', '.join(carried)} "
                "brings some along: leave it out, or give objects=() to do without"
            )
        if self.scene_objects and not self.terrain.is_flat:
            raise SettingError(
                f"objects stand on flat ground, not on {self.terrain.name}: take another terrain, "
                "or objects=()"
            )
        for motion in self.motions if self.objects else ():
            check_objects(self.scene_objects, motion.joint_positions())

    @property
    def scene_objects(self) -> tuple[SceneObject, ...]:
        """What else is in the scene: ``objects``, or what the motion brings along."""
        return self.motions[0].objects if self.objects is None else self.objects

    @property
    def motion(self) -> ReferenceMotion:
        """The motion, of a task that has one.

        Raises:
            SettingError: it has several.
        """
        if len(self.motions) != 1:
            raise SettingError(f"this takes a task of one motion, not of {len(self.motions)}")
        return self.motions[0]

    @property
    def motion_hash(self) -> str:
        """Changes with the motions: of one, its content hash, of several, one of all theirs."""
        hashes = [motion.content_hash() for motion in self.motions]
        if len(hashes) == 1:
            return hashes[0]
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]

    @property
    def motion_names(self) -> tuple[str, ...]:
        """(M,) what each motion is called: its skill, with a number where several share one."""
        names: list[str] = []
        for motion in self.motions:
            name = skill = motion.skill or "motion"
            numbers = itertools.count(2)
            while name in names:
                name = f"{skill}_{next(numbers)}"
            names.append(name)
        return tuple(names)

    @property
    def observation_parts(self) -> tuple[ObservationPart, ...]:
        """The parts of the observation, in order."""
        return observation_parts(
            self.character.model.nu,
            not self.terrain.is_flat,
            self.observation,
            len(self.scene_objects),
        )

    @property
    def observation_size(self) -> int:
        """Numbers in an observation."""
        return self.observation_parts[-1].columns.stop

    @property
    def action_size(self) -> int:
        """Numbers in an action."""
        return int(self.character.model.nu)

    def shares(self) -> np.ndarray:
        """(M,) how often each motion is drawn; they sum to 1."""
        weights = np.array(self.motion_weights or (1.0,) * len(self.motions))
        return weights / weights.sum()


SETTINGS = frozenset(get_type_hints(TaskSettings))


def _motions(motions: Sequence[MotionLike]) -> tuple[ReferenceMotion, ...]:
    """The motions, where they may be names.

    Raises:
        SettingError: they are no sequence.
    """
    if isinstance(motions, str | os.PathLike | ReferenceMotion) or not isinstance(
        motions, Iterable
    ):
        raise SettingError(f"motions must be a sequence of motions, not {motions!r}")
    return tuple(m if isinstance(m, ReferenceMotion) else find_motion(m) for m in motions)


def _checked(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise SettingError(f"{name} must hold a {kind.__name__}, not {value!r}")


def _object(name: str, value: Any, kind: type) -> Any:
    """``value``, an object of ``kind`` for True, or None for False and None."""
    if value is None or value is False:
        return None
    if value is True:
        return kind()
    if not isinstance(value, kind):
        raise SettingError(f"{name} must be True, None or a {kind.__name__}, not {value!r}")
    return value
