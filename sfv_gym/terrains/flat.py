"""Flat ground at z = 0."""

from __future__ import annotations

import mujoco
import numpy as np


class Flat:
    """An endless plane."""

    name = "flat"

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Add the ground, sky and light to a character's model."""
        add_scenery(spec)
        spec.worldbody.add_geom(
            name="ground",
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[0, 0, 0.05],
            material="ground",
            friction=[1.0, 0.005, 0.0001],
            condim=3,
            contype=0,
            conaffinity=1,
        )

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Ground height (...) in metres under the points ``xy`` (..., 2)."""
        return np.zeros(xy.shape[:-1])


def add_scenery(spec: mujoco.MjSpec) -> None:
    """Sky, checkered ground material, and a light that follows nothing and shines from above."""
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.75, 0.82, 0.90],
        rgb2=[0.95, 0.97, 1.0],
        width=256,
        height=256,
    )
    spec.add_texture(
        name="ground",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.55, 0.60, 0.62],
        rgb2=[0.62, 0.67, 0.69],
        width=256,
        height=256,
    )
    textures = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "ground"
    spec.add_material(
        name="ground", textures=textures, texrepeat=[1, 1], texuniform=True, reflectance=0.05
    )
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, 4],
        dir=[0.3, 0.35, -1.0],
        diffuse=[0.75, 0.75, 0.72],
        specular=[0.2, 0.2, 0.2],
        castshadow=True,
    )
    spec.visual.headlight.ambient = [0.35, 0.35, 0.37]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.quality.shadowsize = 2048
    spec.visual.global_.offwidth = 1920
    spec.visual.global_.offheight = 1080
