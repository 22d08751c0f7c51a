"""What every terrain has around it: sky, light, and the materials of the ground."""

from __future__ import annotations

import mujoco

PIT_SHADE = 0.42
"""Of the ground's own brightness: what lies deeper must read as deeper."""


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
    spec.add_material(
        name="ground", textures=_textures(), texrepeat=[1, 1], texuniform=True, reflectance=0.05
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


def add_pit_material(spec: mujoco.MjSpec) -> None:
    """The darker material ``pit`` of the floor below a terrain."""
    spec.add_material(
        name="pit",
        textures=_textures(),
        texrepeat=[1, 1],
        texuniform=True,
        rgba=[PIT_SHADE, PIT_SHADE, PIT_SHADE, 1.0],
    )


def _textures() -> list[str]:
    textures = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "ground"
    return textures
