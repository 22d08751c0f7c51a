"""Rollout videos: the reference motion beside the simulated character, as an animated picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfv_gym.files import atomic_path
from sfv_gym.play.agents import policy_agent
from sfv_gym.play.episodes import Predict
from sfv_gym.play.rollout import rollout

ROLLOUT_VIDEO = "episode.webp"
"""Name of a benchmark run's video in the run's folder."""


def write_rollout_video(
    env_id: str,
    predict: Predict,
    path: Path,
    *,
    seconds: float,
    hz: int,
    size: int = 160,
    seed: int = 0,
    **options: Any,
) -> None:
    """Play an episode from the clip's first frame and draw it: reference | simulated character.

    Args:
        predict: deterministic actions (N, A) for observations (N, D).
        seconds: of an episode, at most.
        hz: pictures a second.
        size: width and height of each half, pixels.
        seed: of the start noise and of the terrain.
        options: further keywords of the environment.

    Raises:
        RenderError: this machine cannot draw.
        ActionError: the actions are wrong.
    """
    from sfv_gym.play.pictures import render_reference, render_rollout

    played = rollout(env_id, policy_agent(predict), seconds=seconds, seed=seed, **options)
    stride = round(played.hz / hz)
    look = {"width": size, "height": size, "stride": stride}
    pairs = zip(render_reference(played, **look), render_rollout(played, **look), strict=True)
    images = [Image.fromarray(np.hstack(pair)) for pair in pairs]
    with atomic_path(path) as temporary:
        images[0].save(
            temporary, "WEBP", save_all=True, append_images=images[1:],
            duration=round(1000 * stride / played.hz), loop=0, quality=55, method=4,
        )  # fmt: skip
