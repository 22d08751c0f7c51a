"""Terrains: what each episode draws as its ground, and how high that ground is."""

from __future__ import annotations

from dataclasses import replace

from sfv_gym.errors import SettingError, UnknownIdError
from sfv_gym.terrains.beam import Beam
from sfv_gym.terrains.flat import Flat
from sfv_gym.terrains.gaps import Gaps
from sfv_gym.terrains.ground import HEIGHT_MAP_SIZE, HEIGHT_MAP_X, HEIGHT_MAP_Y, Ground
from sfv_gym.terrains.slopes import Slopes
from sfv_gym.terrains.steps import Steps
from sfv_gym.terrains.terrain import Pieces, Terrain

TERRAINS: dict[str, type[Terrain]] = {
    terrain.name: terrain for terrain in (Flat, Slopes, Gaps, Steps, Beam)
}


def get_terrain(terrain: str | Terrain, difficulty: float | None = None) -> Terrain:
    """A terrain, from its name or as it is; ``difficulty`` (0..1) replaces its own.

    Raises:
        UnknownIdError: no terrain has that name.
        SettingError: the difficulty is out of range, or ``terrain`` is of another type.
    """
    if not isinstance(terrain, Terrain):
        if not isinstance(terrain, str):
            raise SettingError(f"terrain must be a name or a Terrain, not {terrain!r}")
        if terrain not in TERRAINS:
            raise UnknownIdError(f"unknown terrain {terrain!r}; known: {', '.join(TERRAINS)}")
        terrain = TERRAINS[terrain]()
    if difficulty is None:
        return terrain
    return replace(terrain, difficulty=difficulty)


__all__ = [
    "HEIGHT_MAP_SIZE",
    "HEIGHT_MAP_X",
    "HEIGHT_MAP_Y",
    "TERRAINS",
    "Beam",
    "Flat",
    "Gaps",
    "Ground",
    "Pieces",
    "Slopes",
    "Steps",
    "Terrain",
    "get_terrain",
]
