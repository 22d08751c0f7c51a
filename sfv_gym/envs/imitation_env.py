"""The Gymnasium environment: a batch of one."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np

from sfv_gym.envs.initialization import Initialization
from sfv_gym.envs.perturbations import DomainRandomization, Pushes
from sfv_gym.envs.simulation import CONTROL_HZ, ImitationSimulation
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import UnknownIdError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.registry import load_motion
from sfv_gym.terrains import Terrain

MotionLike = str | os.PathLike[str] | ReferenceMotion


def make_simulation(motion: MotionLike, **options: Any) -> ImitationSimulation:
    """The simulation behind every face: ``motion`` or its file, and the keywords of an id."""
    if not isinstance(motion, ReferenceMotion):
        motion = load_motion(motion)
    return ImitationSimulation(motion, **options)


def spaces(simulation: ImitationSimulation) -> tuple[gym.spaces.Box, gym.spaces.Box]:
    """Observation and action space of one environment."""
    return (
        gym.spaces.Box(-np.inf, np.inf, (simulation.observation_size,), np.float32),
        gym.spaces.Box(-1.0, 1.0, (simulation.model.nu,), np.float32),
    )


class ImitationEnv(gym.Env[np.ndarray, np.ndarray]):
    """A simulated character imitates a motion that was taken from a video.

    ```python
    env = gym.make("SFV-Backflip-v0")  # humanoid, flat ground
    env = gym.make("SFV-Backflip-Atlas-Slopes-v0", difficulty=0.8)
    env = gym.make("SFV-Backflip-v0", character="atlas", terrain="slopes", reward="sfv")
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
    | 20 | r_leg_aky | y | 92 | -1..0.7 |
    | 21 | r_leg_akx | x | 45 | -0.8..0.8 |
    | 22 | l_leg_hpz | z | 275 | -0.17..0.79 |
    | 23 | l_leg_hpx | x | 530 | -0.52..0.52 |
    | 24 | l_leg_hpy | y | 840 | -1.61..0.66 |
    | 25 | l_leg_kny | y | 890 | 0..2.36 |
    | 26 | l_leg_aky | y | 92 | -1..0.7 |
    | 27 | l_leg_akx | x | 45 | -0.8..0.8 |

    ## Observation space
    `Box(-inf, inf, (147,), float32)`, and 212 numbers on terrain; the same layout for both
    characters. "Heading frame": at the root, z up, turned with the root's heading.
    `sfv_gym.envs.observation_structure(character, terrain)` gives these slices by name. Joints are
    in the order of the actions; the 14 links are those of `sfv_gym.skeleton.LINKS` without the
    root, or the bodies of Atlas that stand for them (`sfv_gym.characters`).

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

    The height map is on terrain ids only: the ground's height minus that under the root, clipped
    to +-1 m, at 13 x 5 points of a grid in the heading frame, x from -0.6 m to 1.8 m and y from
    -0.4 m to 0.4 m, both in steps of 0.2 m; y varies fastest. Each row along x is moved ahead by
    0.04 m against the one to its right (the middle one lies as said), so that edges across the
    track are seen to 0.04 m.

    ## Reward
    `reward="pose"` (default): `exp(-2 * sum_j angle_j^2)` over the root and every joint, `angle`
    being that between the simulated and the reference's rotation, in radians.
    `reward="sfv"`: the paper's `0.65 pose + 0.10 velocity + 0.15 end effectors + 0.10 centre
    of mass`.
    `reward="place"`: half of it `sfv`, half the centre of mass alone; to train with on terrain,
    where a policy that only fears for its poses drifts away.
    All lie in 0..1; their parts are in `info["reward_..."]` and sum to the reward. `info` also
    holds `link_distance`, the largest of a link from the reference's, and the mean, `joint_error`,
    in metres; `joint_error_root` is that relative to the root.

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
    environments of a batch, so that with them a rollout depends on the others.

    ## Episode end
    Terminated (`EarlyTermination`; `termination=False` switches all off) when trunk or head touch
    the ground, unless the skill itself takes them there; when a link is farther than 0.5 m from
    the reference's; when the root's rotation is off by more than 1 rad. Truncated after `horizon`
    control steps (default 600, which is 20 s), or at the motion's last frame if it does not wrap.

    ## Robustness
    `randomization=DomainRandomization()` draws masses, friction, gains and latency anew for each
    episode; `pushes=Pushes()` pushes the root. Both off by default.

    ## Arguments
    | name | default | |
    |---|---|---|
    | `motion` | the id's | a `ReferenceMotion` or its file |
    | `character` | the id's | `"humanoid"` or `"atlas"` |
    | `terrain`, `difficulty` | the id's, 0.5 | see Terrain |
    | `reward` | `"pose"` | or `"sfv"`, `"place"` |
    | `action_mode` | `"residual"` | or `"absolute"` |
    | `initialization` | `"rsi"` | see Starting state |
    | `termination` | `True` | see Episode end |
    | `randomization`, `pushes` | `None` | see Robustness |
    | `horizon` | 600 | control steps |
    | `target_lead` | 1/30 | seconds by which the reference's PD target is ahead |
    | `render_mode` | `None` | `"rgb_array"`: `render()` gives a picture |
    | `width`, `height` | 640, 480 | of the picture, in pixels |

    The vector environment also takes `num_envs` and `num_threads` (0: every core). The same seed
    gives the same rollout to the bit for any number of either.

    ## Version history
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(
        self,
        motion: MotionLike,
        *,
        character: str = "humanoid",
        terrain: str | Terrain = "flat",
        difficulty: float | None = None,
        reward: str = "pose",
        action_mode: str = "residual",
        initialization: str | Initialization = "rsi",
        termination: EarlyTermination | bool = True,
        randomization: DomainRandomization | None = None,
        pushes: Pushes | None = None,
        horizon: int | None = None,
        target_lead: float = 1 / 30,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownIdError(
                f"unknown render_mode {render_mode!r}; known: {self.metadata['render_modes']}"
            )
        self.simulation = make_simulation(
            motion,
            num_envs=1,
            num_threads=1,
            character=character,
            terrain=terrain,
            difficulty=difficulty,
            reward=reward,
            action_mode=action_mode,
            initialization=initialization,
            termination=termination,
            randomization=randomization,
            pushes=pushes,
            horizon=horizon,
            target_lead=target_lead,
        )
        self.render_mode = render_mode
        self.observation_space, self.action_space = spaces(self.simulation)
        self._size = (width, height)
        self._renderer: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.simulation.seed(seed)
        observation = self.simulation.reset(self.simulation.all_ids)
        return observation[0], {"reference_step": int(self.simulation.start[0])}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        result = self.simulation.step(np.asarray(action)[None])
        info = {name: float(value[0]) for name, value in result.parts.items()}
        return (
            result.observation[0],
            float(result.reward[0]),
            bool(result.terminated[0]),
            bool(result.truncated[0]),
            info,
        )

    def render(self) -> np.ndarray | None:
        """The picture (height, width, 3) uint8 of a camera that follows the character."""
        if self.render_mode is None:
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        if self._renderer is None:
            from sfv_gym.rendering import Renderer

            self._renderer = Renderer(self.simulation.model, *self._size)
        return self._renderer.render_environment(self.simulation, 0)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
