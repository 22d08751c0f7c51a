"""The Gymnasium environment: a batch of one."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np

from sfv_gym.envs.initialization import Initialization
from sfv_gym.envs.observations import OBSERVATION_SIZE
from sfv_gym.envs.simulation import CONTROL_HZ, ImitationSimulation
from sfv_gym.envs.terminations import EarlyTermination
from sfv_gym.errors import UnknownIdError
from sfv_gym.motion import ReferenceMotion
from sfv_gym.registry import load_motion

MotionLike = str | os.PathLike[str] | ReferenceMotion


def observation_space() -> gym.spaces.Box:
    return gym.spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float32)


def action_space(size: int) -> gym.spaces.Box:
    return gym.spaces.Box(-1.0, 1.0, (size,), np.float32)


def make_simulation(
    motion: MotionLike,
    *,
    num_envs: int,
    num_threads: int,
    initialization: str | Initialization,
    termination: EarlyTermination | bool,
    **options: Any,
) -> ImitationSimulation:
    """The simulation behind every face, from the keywords that ``gym.make`` takes."""
    if not isinstance(motion, ReferenceMotion):
        motion = load_motion(motion)
    if not isinstance(initialization, Initialization):
        initialization = Initialization(kind=initialization)
    if isinstance(termination, bool):
        none = EarlyTermination(fall_contact=False, link_distance=None, root_angle=None)
        termination = EarlyTermination() if termination else none
    return ImitationSimulation(
        motion,
        num_envs=num_envs,
        num_threads=num_threads,
        initialization=initialization,
        termination=termination,
        **options,
    )


class ImitationEnv(gym.Env[np.ndarray, np.ndarray]):
    """A simulated humanoid imitates a motion that was taken from a video.

    ## Action space
    `Box(-1, 1, (28,), float32)`, at 30 Hz: one number for each actuated degree of freedom, in
    the order of the MJCF's actuators. With `action_mode="residual"` (default) it is added, in
    radians, to the PD target of the reference; with `"absolute"` it is the target itself, -1
    and 1 being the joint's published limits.

    | index | joint | axes | torque limit (N m) |
    |---|---|---|---|
    | 0-2 | chest | x, y, z | 200 |
    | 3-5 | neck | x, y, z | 50 |
    | 6-8 | right shoulder | x, y, z | 100 |
    | 9 | right elbow | y | 60 |
    | 10-12 | left shoulder | x, y, z | 100 |
    | 13 | left elbow | y | 60 |
    | 14-16 | right hip | x, y, z | 200 |
    | 17 | right knee | y | 150 |
    | 18-20 | right ankle | x, y, z | 90 |
    | 21-23 | left hip | x, y, z | 200 |
    | 24 | left knee | y | 150 |
    | 25-27 | left ankle | x, y, z | 90 |

    x points forward, y left, z up in each link's frame; a ball joint's target is a rotation
    vector.

    ## Observation space
    `Box(-inf, inf, (147,), float32)`. "Heading frame": at the root, z up, turned with the
    root's heading. `sfv_gym.envs.observation_structure()` gives these slices by name.

    | index | part | unit |
    |---|---|---|
    | 0 | root height above the ground | m |
    | 1-6 | root rotation: its x and z axes in the heading frame | |
    | 7-9 | root velocity, heading frame | m/s |
    | 10-12 | root angular velocity, root's own frame | rad/s |
    | 13-40 | joint rotations, in the order of the actions | rad |
    | 41-68 | joint velocities, each in its link's frame | rad/s |
    | 69-110 | positions of the 14 other links from the root, heading frame | m |
    | 111-113 | next reference root minus root, heading frame | m |
    | 114-116 | rotation vector from the root to the next reference's | rad |
    | 117-144 | next reference's joint rotations minus the joints' | rad |
    | 145-146 | sine and cosine of the phase (a full turn a cycle, half a turn a clip) | |

    ## Reward
    `reward="pose"` (default): `exp(-2 * sum_j angle_j^2)` over the root and the 12 joints,
    `angle` being that between the simulated and the reference's rotation, in radians.
    `reward="sfv"`: the paper's `0.65 pose + 0.10 velocity + 0.15 end effectors + 0.10 centre
    of mass`. Both lie in 0..1; the parts are in `info["reward_..."]`.

    ## Starting state
    `initialization="rsi"` (default): the reference's state at a uniformly drawn step;
    `"fixed"`: at its first frame. Both with a little noise; see `Initialization`.

    ## Episode end
    Terminated when trunk or head touch the ground, a link is farther than 0.5 m from the
    reference's, or the root's rotation is off by more than 1 rad (`EarlyTermination`; `False`
    switches all off). Truncated after `horizon` control steps (default 600, which is 20 s),
    or at the motion's last frame if it does not wrap.

    ## Arguments
    `motion`, `character`, `terrain`, `reward`, `action_mode`, `initialization`,
    `termination`, `horizon`, `target_lead`, `render_mode`, `width`, `height`: see
    `sfv_gym.envs.simulation.ImitationSimulation`.

    ## Version history
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(
        self,
        motion: MotionLike,
        *,
        character: str = "humanoid",
        terrain: str = "flat",
        reward: str = "pose",
        action_mode: str = "residual",
        initialization: str | Initialization = "rsi",
        termination: EarlyTermination | bool = True,
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
            reward=reward,
            action_mode=action_mode,
            initialization=initialization,
            termination=termination,
            horizon=horizon,
            target_lead=target_lead,
        )
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = action_space(self.simulation.model.nu)
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
        return self._renderer.render(self.simulation.batch.get_data(0))

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
