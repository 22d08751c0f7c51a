"""What a policy's card says of where it comes from, whatever it was trained by."""

from __future__ import annotations

import os
import platform

import mujoco
import stable_baselines3
import torch

from sfv_gym.envs.task import Task
from sfv_gym.files import JSON
from sfv_gym.registry import get_entry


def task_facts(env_id: str) -> JSON:
    """The id, and the motions that it is of now."""
    task = Task.of(env_id)
    source = None if get_entry(env_id).motion is None else task.motion.provenance.get("source")
    return {"env_id": env_id, "motion_hash": task.motion_hash, "motion_source": source}


def machine_facts() -> JSON:
    """This machine, and the versions of what decides a run's figures."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "mujoco_version": mujoco.__version__,
        "stable_baselines3_version": stable_baselines3.__version__,
        "torch_version": torch.__version__,
    }
