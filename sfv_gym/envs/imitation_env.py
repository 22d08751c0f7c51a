"""The Gymnasium environment: a batch of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import gymnasium as gym
import numpy as np

from sfv_gym.envs.interface import (
    RESET_OPTIONS,
    asked_starts,
    check_render_mode,
    picture_size,
    spaces,
)
from sfv_gym.envs.observations import ObservationPart
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.state import SimulationState
from sfv_gym.envs.task import CONTROL_HZ, MotionLike, Task, TaskSettings


class ImitationEnv(gym.Env[np.ndarray, np.ndarray]):
    """A simulated character imitates a motion that was taken from a video.

    ```python
    env = gym.make("SFV-Backflip-v0")  # humanoid, flat ground
    env = gym.make("SFV-Backflip-Atlas-Slopes-v0", difficulty=0.8)
    env = gym.make("SFV-Backflip-v0", character="atlas", terrain="slopes", reward="sfv")
    env = gym.make("SFV-Tracker-v0")  # every motion of the library, see Trackers
    envs = gym.make_vec("SFV-Walk-v0", num_envs=256, vectorization_mode="vector_entry_point")
    ```

    ## Action space
    `Box(-1, 1, (28,), float32)`, at 30 Hz: one number for each actuated degree of freedom. With
    `action_mode="residual"` (default) it is added, in radians, to the PD target of the reference;
    with `"absolute"` it is the target itself, -1 and 1 being the joint's published limits. Torques
    are the actuators', damping included, and never beyond these limits.

    Humanoid (45 kg, 1.62 m). x points forward, y left, z up in each link's frame; a ball joint's
    target is a rotation vector. The published limits are one number a joint: the length of the
    three given here.

    | index | joint | axis | torque limit, N m | range, rad |
    |---|---|---|---|---|
    | 0-2 | chest | x, y, z | 100, 160, 66 | -1.2..1.2, -1.2..1.2, -1.2..1.2 |
    | 3-5 | neck | x, y, z | 28.8, 28.8, 28.8 | -1..1, -1..1, -1..1 |
    | 6-8 | right shoulder | x, y, z | 68, 68, 27 | -3.14..0.5, -3.14..0.7, -1.5..1.5 |
    | 9 | right elbow | y | 60 | -3.14..0 |
    | 10-12 | left shoulder | x, y, z | 68, 68, 27 | -0.5..3.14, -3.14..0.7, -1.5..1.5 |
    | 13 | left elbow | y | 60 | -3.14..0 |
    | 14-16 | right hip | x, y, z | 92, 170, 50 | -1.2..1.2, -2.57..1.57, -1..1 |
    | 17 | right knee | y | 150 | 0..3.14 |
    | 18-20 | right ankle | x, y, z | 36, 79.2, 22.5 | -1..1, -1.57..1.57, -1..1 |
    | 21-23 | left hip | x, y, z | 92, 170, 50 | -1.2..1.2, -2.57..1.57, -1..1 |
    | 24 | left knee | y | 150 | 0..3.14 |
    | 25-27 | left ankle | x, y, z | 36, 79.2, 22.5 | -1..1, -1.57..1.57, -1..1 |

    Atlas (182 kg, 1.9 m): hinges, named as in the robot's description; the axis is in the link's
    frame.

    | index | joint | axis | torque limit, N m | range, rad |
    |---|---|---|---|---|
    | 0 | back_bkz | z | 106 | -0.66..0.66 |
    | 1 | back_bky | y | 445 | -0.22..0.54 |
    | 2 | back_bkx | x | 300 | -0.52..0.52 |
    | 3 | neck_ry | y | 5 | -0.6..1.14 |
    | 4 | r_arm_shz | z | 87 | -0.79..1.57 |
    | 5 | r_arm_shx | x | 99 | -1.57..1.57 |
    | 6 | r_arm_ely | y | 63 | 0..3.14 |
    | 7 | r_arm_elx | x | 112 | -2.36..0 |
    | 8 | r_arm_wry | y | 25 | 0..3.14 |
    | 9 | r_arm_wrx | x | 25 | -1.18..1.18 |
    | 10 | l_arm_shz | z | 87 | -1.57..0.79 |
    | 11 | l_arm_shx | -x | 99 | -1.57..1.57 |
    | 12 | l_arm_ely | -y | 63 | 0..3.14 |
    | 13 | l_arm_elx | -x | 112 | 0..2.36 |
    | 14 | l_arm_wry | -y | 25 | 0..3.14 |
    | 15 | l_arm_wrx | x | 25 | -1.18..1.18 |
    | 16 | r_leg_hpz | z | 275 | -0.79..0.17 |
    | 17 | r_leg_hpx | x | 530 | -0.52..0.52 |
    | 18 | r_leg_hpy | y | 840 | -1.61..0.66 |
    | 19 | r_leg_kny | y | 890 | 0..2.36 |
    | 20 | r_leg_aky | y | 740 | -1..0.7 |
    | 21 | r_leg_akx | x | 360 | -0.8..0.8 |
    | 22 | l_leg_hpz | z | 275 | -0.17..0.79 |
    | 23 | l_leg_hpx | x | 530 | -0.52..0.52 |
    | 24 | l_leg_hpy | y | 840 | -1.61..0.66 |
    | 25 | l_leg_kny | y | 890 | 0..2.36 |
    | 26 | l_leg_aky | y | 740 | -1..0.7 |
    | 27 | l_leg_akx | x | 360 | -0.8..0.8 |

    ## Observation space
    `Box(-inf, inf, (147,), float32)`, and 212 numbers on terrain; the same layout for both
    characters. "Heading frame": at the root, z up, turned with the root's heading.
    `env.unwrapped.observation_parts` names an environment's parts in order, each with `columns` (a
    slice), `unit`, `frame`, `range` and `meaning`;
    `sfv_gym.envs.observation_structure(character, terrain, observation)` gives the slices by name.
    Joints are in the order of the actions; the 14 links are those of `sfv_gym.skeleton.LINKS`
    without the root, or the bodies of Atlas that stand for them (`sfv_gym.characters`).

    | index | part | unit | frame | range | meaning |
    |---|---|---|---|---|---|
    | 0 | root_height | m | world | any | root above the ground the reference is on |
    | 1-6 | root_rotation | | heading | -1..1 | the root's x axis, then its z axis |
    | 7-9 | root_velocity | m/s | heading | any | of the root's origin |
    | 10-12 | root_angular_velocity | rad/s | root | any | of the root |
    | 13-40 | joint_rotation | rad | parent link | -pi..pi | rotation vectors, hinge angles |
    | 41-68 | joint_velocity | rad/s | own link | any | angular velocities |
    | 69-110 | link_position | m | heading | any | 14 links, from the root |
    | 111-113 | reference_position | m | heading | any | from root to next reference root |
    | 114-116 | reference_rotation | rad | root | -pi..pi | from root to next reference root |
    | 117-144 | reference_joints | rad | parent link | -2 pi..2 pi | next reference minus now |
    | 145-146 | phase | | | -1..1 | sine, cosine: a full turn a cycle, half a turn a clip |
    | 147-211 | height_map | m | heading | -1..1 | ground around the root |

    The height map is on terrain ids only: the ground's height minus that by which the reference is
    raised at the root's place (the ground averaged along the track; 0 where the terrain has holes
    rather than heights), clipped to +-1 m, at 13 x 5 points of a grid in the heading frame, x from
    -0.6 m to 1.8 m and y from -0.4 m to 0.4 m, both in steps of 0.2 m; y varies fastest. Each row
    along x is moved ahead by 0.04 m against the one to its right (the middle one lies as said), so
    that edges across the track are seen to 0.04 m.

    ### The reference ahead
    `observation="window"`, the trackers' default, has the reference 2, 4, 8 and 16 control steps
    ahead in place of the phase: 293 numbers, and 358 on terrain, the same layout for every motion.
    A motion that wraps goes on over its end, any other holds its last pose. Other steps:
    `observation=Observation(phase=False, window=(1, 5, 10))`, from `sfv_gym.envs`.

    | index | part | unit | frame | range | meaning |
    |---|---|---|---|---|---|
    | 0-144 | | | | | as in the table above |
    | 145-147 | reference_position_2 | m | heading | any | from root to reference 2 steps on |
    | 148-153 | reference_rotation_2 | | root | -1..1 | reference root's x and z axis then |
    | 154-181 | reference_joints_2 | rad | parent link | -2 pi..2 pi | reference then minus now |
    | 182-184 | reference_position_4 | m | heading | any | from root to reference 4 steps on |
    | 185-190 | reference_rotation_4 | | root | -1..1 | reference root's x and z axis then |
    | 191-218 | reference_joints_4 | rad | parent link | -2 pi..2 pi | reference then minus now |
    | 219-221 | reference_position_8 | m | heading | any | from root to reference 8 steps on |
    | 222-227 | reference_rotation_8 | | root | -1..1 | reference root's x and z axis then |
    | 228-255 | reference_joints_8 | rad | parent link | -2 pi..2 pi | reference then minus now |
    | 256-258 | reference_position_16 | m | heading | any | from root to reference 16 steps on |
    | 259-264 | reference_rotation_16 | | root | -1..1 | reference root's x and z axis then |
    | 265-292 | reference_joints_16 | rad | parent link | -2 pi..2 pi | reference then minus now |
    | 293-357 | height_map | m | heading | -1..1 | ground around the root |

    `reference_rotation_2` and its like are two axes of the reference root, seen from the root: a
    rotation vector, as for the next step, would jump where the two are half a turn apart.

    ### Objects
    Each, of the motion or `objects=[Box(...)]`, adds 21 numbers at the end: `object_position_0` ...

    | index | part | unit | frame | range | meaning |
    |---|---|---|---|---|---|
    | 0-2 | object_position | m | heading | any | from the root to the object's centre |
    | 3-8 | object_rotation | | heading | -1..1 | the object's x axis, then its z axis |
    | 9-11 | object_velocity | m/s | heading | any | of its centre |
    | 12-14 | object_angular_velocity | rad/s | heading | any | of the object |
    | 15-17 | object_size | m | object | > 0 | its lengths along its own axes |
    | 18-20 | object_reference | m | heading | any | from its centre to where it is to be next |

    ## Reward
    `reward="pose"` (default): `exp(-2 * sum_j angle_j^2)` over the root and every joint, `angle`
    being that between the simulated and the reference's rotation, in radians.
    `reward="sfv"`: the paper's `0.65 pose + 0.10 velocity + 0.15 end effectors + 0.10 centre
    of mass`.
    `reward="place"`: half of it `sfv`, half the centre of mass alone; to train with on terrain,
    where a policy that only fears for its poses drifts away.
    All lie in 0..1; their parts are in `info["reward_..."]` and sum to the reward.
    One's own: weights of the terms, as `reward={"pose": 0.5, "centre_of_mass": 0.5}` (also
    `velocity`, `end_effector`, `object`), or a function of a batch's `TrackingErrors` that returns
    the reward (N,) and a dict of its named parts (N,), which come into `info`.
    With objects that may be moved, rewards that have a name are `0.7 reward + 0.3 object`, where
    `object = exp(-20 d^2 - angle^2)`, means over the objects' distances and turns off their paths.
    `failure_cost` is taken from the reward of an episode's early end, as the part `reward_failure`.

    `info`, after a reset and after a step, also holds `link_distance`, the largest of a link from
    the reference's, and the mean, `joint_error`, in metres; `joint_error_root` is that relative to
    the root; `reference_step`, the step of the reference; and of the object that is farthest off
    its path `object_position_error` (m) and `object_rotation_error` (rad).

    ## Terrain
    `flat`, `slopes`, `gaps`, `steps`, `beam`. Every episode of every environment draws a new track
    along its direction of travel, as hard as `difficulty` in 0..1 (default 0.5), and begins on
    level ground. The reference is raised with the ground that it passes over.

    ## Starting state
    `initialization`, a name or an object with its settings from `sfv_gym.envs`:

    | name | object | start |
    |---|---|---|
    | `"rsi"` | `ReferenceStateInitialization` | the reference's state at a uniformly drawn step |
    | `"fixed"` | `FixedInitialization` | its first frame |
    | `"failure"` | `FailureWeightedInitialization` | more often where episodes have failed |
    | `"asi"` | `AdaptiveStateInitialization` | the paper's learned start-state distribution |

    All but ASI, whose spread is learned, add a little noise: 0.02 rad on joints, 0.1 rad/s and m/s
    on velocities, 0.02 m on the root's place. The adaptive ones learn from the episodes of all
    environments of a batch, so that with them a rollout depends on the others; `reset(seed=...)`
    with one number lets them begin anew, so that a seed gives the same rollout with them, too.
    `reset(options={"reference_step": 5})` begins at that step of the reference.

    ## Several motions
    `gym.make("SFV-Walk-v0", motions=["walk", "kick", "backflip"])`: every episode draws one of
    them, and `info["motion"]` says which, in the order of the list. What an episode of a motion is
    does not depend on what else could have been drawn: with the same seed it is the same to the bit
    (on terrain, if the motions get as far). `reset(options={"motion": 2})` asks for one.

    `motion_sampling`, a name or an object with its settings from `sfv_gym.envs`: `"weights"` draws
    by `motion_weights`; `"failure"`, `FailureWeightedMotions`, draws a motion by its weight times
    its failure rate, a moving average over how its episodes ended, but for a share (`floor`, 0.3)
    of episodes that are drawn by weight alone. It learns from the episodes of all environments of a
    batch, as the adaptive starts do, and begins anew likewise.

    ## Trackers
    One policy for many motions: `SFV-Tracker-v0`, `SFV-Tracker-Atlas-v0`, `SFV-Tracker-Slopes-v0`,
    `SFV-Tracker-Gaps-v0`. They are of every motion of the library, by the alphabet, or of
    `motions`, and differ from other ids in two defaults alone: `observation="window"` and
    `motion_sampling="failure"`.
    `sfv eval SFV-Tracker-v0 --agent reference` and `sfv_gym.evaluate_motions` measure every motion
    by itself, in the episodes of published figures, and the means. `sfv distill` makes a policy for
    them from the policies of each motion.

    Wherever a motion is named, so is what is made of it, from left to right:

    | name | motion |
    |---|---|
    | `walk+mirrored` | left and right exchanged |
    | `walk+warped-0.9` | 0.9 times as fast, 0.5 to 2; of a motion that flies there is none |
    | `get_up_face_up+reversed` | backwards in time |
    | `walk+then-walk_b` | goes over into another motion where their poses meet, if they do |
    | `walk+mirrored+warped-0.9` | one after the other |

    `gym.make("SFV-Tracker-v0", motions=["walk", "walk+mirrored"])`, and
    `sfv eval SFV-Tracker-v0 --motion walk+mirrored`. The files of the library stay what they are.
    Atlas does a mirror image as the mirror image of what it does, unless hands are planted: its
    left forearm, as published, is 18 mm beside the right one's image. Any other variant is solved
    for once, as a motion of one's own is.

    ## Episode end
    Terminated (`EarlyTermination`; `termination=False` switches all off) when trunk or head touch
    the ground, unless the skill itself takes them there; when a link is farther than 0.5 m from
    the reference's; when the root's rotation is off by more than 1 rad; when an object that may be
    moved is 0.5 m off its path. Truncated after `horizon`
    control steps (default 600, which is 20 s), or at the motion's last frame if it does not wrap.
    Gymnasium's own limit, `max_episode_steps`, is as long: for longer episodes give both,
    `gym.make(id, horizon=900, max_episode_steps=900)`; for `gym.make_vec` either will do.

    ## State
    `get_state()` and `set_state(state)` come back to a moment, random numbers included.
    Environments can be pickled and copied, and go on as the original does.

    ## Robustness
    `randomization=DomainRandomization()` draws masses, friction, gains and latency anew for each
    episode; `pushes=Pushes()` pushes the root. Both off by default.

    ## Arguments
    | name | default | |
    |---|---|---|
    | `motion` | the id's | a motion, its file, a skill's name, a list of them, or a `Task` |
    | `motions` | those of `motion` | a list of them: see Several motions |
    | `motion_weights` | `None` | how often each of several motions is drawn; all alike |
    | `motion_sampling` | `"weights"` | or `"failure"`: see Several motions |
    | `character` | the id's | `"humanoid"`, `"atlas"`, or a `Character` of one's own |
    | `terrain`, `difficulty` | the id's, 0.5 | see Terrain; flat ground has no difficulty |
    | `objects` | the motion's | `SceneObject`s beside the character, on flat ground |
    | `observation` | `"phase"` | or `"window"`: see Observation space |
    | `reward` | `"pose"` | or `"sfv"`, `"place"`, weights, a function: see Reward |
    | `failure_cost` | 0 | see Reward |
    | `action_mode` | `"residual"` | or `"absolute"` |
    | `initialization` | `"rsi"` | see Starting state |
    | `termination` | `True` | see Episode end |
    | `randomization`, `pushes` | `None` | see Robustness; `True` takes the defaults |
    | `horizon` | 600 | control steps, see Episode end |
    | `target_lead` | 1/30 | seconds by which the reference's PD target is ahead |
    | `render_mode` | `None` | `"rgb_array"`: `render()` gives a picture; `"human"`: a window |
    | `width`, `height` | 640, 480 | of the picture, in pixels |

    The vector environment also takes `num_envs` and `num_threads` (0: every core). The same seed
    gives the same rollout to the bit for any number of either.

    ## Version history
    * v0: first version.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(
        self,
        motion: MotionLike | Sequence[MotionLike] | Task,
        *,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
        **settings: Unpack[TaskSettings],
    ) -> None:
        check_render_mode(render_mode, self.metadata["render_modes"])
        self.simulation = ImitationSimulation(Task.of(motion, **settings))
        self.render_mode = render_mode
        self.observation_space, self.action_space = spaces(self.simulation)
        self._size = picture_size(width, height)
        self._begun = False
        self._renderer: Any = None

    @property
    def observation_parts(self) -> tuple[ObservationPart, ...]:
        """The parts of an observation, in order: names, columns, units, frames, meanings."""
        return self.simulation.task.observation_parts

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: of everything that is drawn from here on.
            options: ``{"reference_step": k}``: the step of the reference to begin at;
                ``{"motion": m}``: which of several motions to imitate.

        Raises:
            SettingError: an option is unknown, or the motion has no such step.
        """
        super().reset(seed=None if seed is None else int(seed))
        steps, motions = asked_starts(self.simulation, options, RESET_OPTIONS)
        if seed is not None:
            self.simulation.seed(int(seed))
        self._begun = True
        observation, figures = self.simulation.begin(self.simulation.all_ids, steps, motions)
        if self.render_mode == "human":
            self.render()
        return observation[0], self._info(figures)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One control step, see the class.

        Raises:
            ResetNeeded: there was no ``reset`` yet.
            ActionError: the action has another shape, or values that are not finite numbers.
        """
        if not self._begun:
            raise gym.error.ResetNeeded("call reset() before step()")
        result = self.simulation.step(np.asarray(action)[None])
        if self.render_mode == "human":
            self.render()
        return (
            result.observation[0],
            float(result.reward[0]),
            bool(result.terminated[0]),
            bool(result.truncated[0]),
            self._info(result.parts),
        )

    def _info(self, figures: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The same keys after a reset and after a step."""
        info: dict[str, Any] = {name: value[0].item() for name, value in figures.items()}
        info["reference_step"] = int(self.simulation.reference_step(self.simulation.all_ids)[0])
        return info

    def get_state(self) -> SimulationState:
        """All that decides how the episode goes on, random numbers included: for planning."""
        return self.simulation.get_state()

    def set_state(self, state: SimulationState) -> None:
        """Come back to what ``get_state`` gave, in this environment or one of the same settings.

        Raises:
            SettingError: it is no state, or one of other settings.
        """
        self.simulation.set_state(state)
        self._begun = True

    def render(self) -> np.ndarray | None:
        """The picture (height, width, 3) uint8 of a camera that follows the character; in mode
        ``human`` a window of MuJoCo's viewer shows it, and there is nothing to return."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        if self._renderer is None:
            # here, since what draws takes a while to import and most never look
            from sfv_gym.render.renderer import Renderer
            from sfv_gym.render.window import Window

            if self.render_mode == "human":
                self._renderer = Window(self.simulation.model, 1.0 / CONTROL_HZ)
            else:
                self._renderer = Renderer(self.simulation.model, *self._size)
        if self.render_mode == "human":
            self.simulation.scenes.show_in(self._renderer, 0)
            return None
        return self.simulation.scenes.draw_with(self._renderer, 0)

    def close(self) -> None:
        """Free the window or the picture's memory; the simulation needs no closing."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderer": None}  # a window or a picture's memory stays here
