"""Net joint torques of policies against the published limits, at every physics step.

``sfv bench torques`` plays shipped policies, replays the recorded targets step
by step, and adds up what acts at each joint: actuator and passive damping together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import mujoco
import numpy as np
import typer
from rich.console import Console

from sfv_gym import skeleton
from sfv_gym.benchmarks.book import Column, Page, Table
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import CONTROL_HZ, Task
from sfv_gym.files import write_json
from sfv_gym.play.episodes import Predict, episodes
from sfv_gym.play.policy import load_policy
from sfv_gym.seeds import Purpose, stream

SATURATED = 0.999


@dataclass(frozen=True)
class JointTorque:
    """One joint over all physics steps and episodes of a policy.

    Attributes:
        limit: N m, published, of the length of the joint's torque vector.
        peak: N m, largest length of the net torque (actuator and damping).
        mean: N m, root mean square of that length.
        saturated: share of physics steps in which an actuator of the joint is at its limit.
    """

    joint: str
    limit: float
    peak: float
    mean: float
    saturated: float


def record_torques(
    simulation: ImitationSimulation, predict: Predict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Net and actuator torques (N, physics steps, nv), in N m, of episodes to their horizon or the
    clip's end, played on after a fall.

    Args:
        seed: environment i draws from ``seed + i``.
    """
    physics = simulation.physics
    played = episodes(simulation, predict, seed, play_on=True)
    start, ctrl = physics.state.copy(), physics.data("ctrl")
    targets = np.stack([ctrl.copy() for _ in played], axis=1)  # (N, steps, nu)
    record = physics.record(
        start,
        np.repeat(targets, simulation.substeps, axis=1),
        ("qfrc_actuator", "qfrc_passive"),
    )
    return record["qfrc_actuator"] + record["qfrc_passive"], record["qfrc_actuator"]


def joint_torques(
    env_id: str, predict: Predict, *, episodes: int = 32, seconds: float = 5.0
) -> list[JointTorque]:
    """The figures of every joint for a policy on an environment id, from the first frame on, in
    the first of the episodes that its published figures are from."""
    task = Task.of(env_id, initialization="fixed", horizon=round(seconds * CONTROL_HZ))
    simulation = ImitationSimulation(task, episodes)
    net, actuator = record_torques(simulation, predict, stream(Purpose.PUBLICATION))
    model = simulation.model
    force_range = np.zeros(model.nv)
    for i in range(model.nu):
        joint, axis = model.actuator_trnid[i, 0], int(np.argmax(np.abs(model.actuator_gear[i])))
        force_range[model.jnt_dofadr[joint] + axis] = model.actuator_forcerange[i, 1]
    out = []
    for j in range(1, model.njnt):
        name = model.joint(j).name
        width = 3 if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_BALL else 1
        dof = slice(int(model.jnt_dofadr[j]), int(model.jnt_dofadr[j]) + width)
        length = np.linalg.norm(net[..., dof], axis=-1)
        at_limit = (np.abs(actuator[..., dof]) > SATURATED * force_range[dof]).any(-1)
        limit = skeleton.TORQUE_LIMITS.get(name, float(np.linalg.norm(force_range[dof])))
        out.append(
            JointTorque(
                joint=name,
                limit=limit,
                peak=float(length.max()),
                mean=float(np.sqrt(np.square(length).mean())),
                saturated=float(at_limit.mean()),
            )
        )
    return out


def page(figures: Mapping[str, Sequence[JointTorque]]) -> Page:
    """A table of each policy."""
    head = (
        "joint",
        Column("published limit, N m", ".0f"),
        Column("peak", ".1f"),
        Column("rms", ".1f"),
        Column("actuator at its limit", ".1%"),
    )
    tables = tuple(
        Table.of(head, [(j.joint, j.limit, j.peak, j.mean, j.saturated) for j in joints], env_id)
        for env_id, joints in figures.items()
    )
    return Page("torques.md", "Net joint torques", "", tables, "sfv bench torques")


def torques(
    env_ids: Annotated[list[str] | None, typer.Argument(help="Ids whose policy to play.")] = None,
    episodes: Annotated[int, typer.Option(help="Episodes of each.")] = 32,
    out: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure the net joint torques of shipped policies."""
    figures = {
        env_id: joint_torques(env_id, load_policy(env_id).predict, episodes=episodes)
        for env_id in env_ids or ["SFV-Backflip-v0", "SFV-Walk-v0"]
    }
    page(figures).show(Console())
    if out is not None:
        write_json(out, {i: [asdict(joint) for joint in joints] for i, joints in figures.items()})
