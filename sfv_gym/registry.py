"""Skills x characters x terrains -> environment ids.

A skill is a motion file: the shipped ones in ``reference_motions``, a user's own through
``register_motion`` or the folder that the environment variable SFV_GYM_MOTIONS names.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from sfv_gym import reference_motions
from sfv_gym.errors import CharacterError, MotionError, SettingError, SFVError, UnknownIdError

if TYPE_CHECKING:
    from sfv_gym.characters import Character
    from sfv_gym.motion import ReferenceMotion
    from sfv_gym.terrains import Terrain

VERSION = "v0"
MAX_EPISODE_STEPS = 600
"""Control steps, 20 s: the horizon of an environment that is not told another one."""
MOTIONS_VARIABLE = "SFV_GYM_MOTIONS"

# Named here as well as in `characters` and `terrains`, whose import would load MuJoCo: importing
# sfv_gym must stay quick. A test compares them.
CHARACTER_TITLES = {"humanoid": "", "atlas": "Atlas"}
TERRAIN_TITLES = {
    "flat": "",
    "slopes": "Slopes",
    "gaps": "Gaps",
    "steps": "Steps",
    "beam": "Beam",
}


OBJECT_SKILLS: frozenset[str] = frozenset({"vault"})
"""Skills of the library whose motions bring objects along, named here since no import reads a file;
a test compares them. Trackers are not of them, and they have no ids but on flat ground."""
TRACKER = "tracker"
"""What ids of many motions are called in place of a skill."""
TRACKERS = (("humanoid", "flat"), ("atlas", "flat"), ("humanoid", "slopes"), ("humanoid", "gaps"))
"""Character and terrain of each of them."""


class TrackerSettings(TypedDict):
    """Settings of a task that a tracker has and other ids have not."""

    observation: str
    motion_sampling: str


TRACKER_SETTINGS: TrackerSettings = {"observation": "window", "motion_sampling": "failure"}


@dataclass(frozen=True)
class EnvEntry:
    """One registered id: what it is made of.

    Attributes:
        motion: the skill's file; None for a tracker, which is of every motion of the library.
    """

    env_id: str
    skill: str
    character: str
    terrain: str
    motion: Path | None


_ENTRIES: dict[str, EnvEntry] = {}


def camel_case(skill: str) -> str:
    """``get_up_face_down`` -> ``GetUpFaceDown``."""
    return "".join(word[:1].upper() + word[1:] for word in skill.split("_"))


def is_skill_name(name: str) -> bool:
    """Whether ``name`` is snake_case, as files and ids need it, and not that of the trackers."""
    return re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None and name != TRACKER


def skill_of_file(path: Path) -> str:
    """A skill's name out of a file's: phones number their videos, and people write any script."""
    words = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return words if words[:1].isalpha() else f"clip_{words}".rstrip("_")


def register_motion(path: str | os.PathLike[str], skill: str | None = None) -> str:
    """Register the environments of a motion file and return the plain id.

    Args:
        path: a ``.npz`` that ``sfv extract`` wrote.
        skill: snake_case name; the file's name by default.

    Raises:
        MotionError: no such file, not a motion, or a name that makes no id.
    """
    path = Path(path).absolute()  # the working folder may change
    load_motion(path)
    return _register(path, skill)


def register_character(character: Character) -> list[str]:
    """Register a character of one's own: ``gym.make(..., character=name)`` knows it from now on,
    and every skill has an id for it on every terrain.

    Returns:
        The new ids, such as ``SFV-Walk-Heavy-v0``.

    Raises:
        CharacterError: its title makes no id, or is another character's.
    """
    from sfv_gym.characters import CHARACTERS

    title = character.title or camel_case(character.name)
    _check_title(title, character.name, CHARACTER_TITLES, CharacterError)
    CHARACTERS[character.name] = character
    CHARACTER_TITLES[character.name] = title
    return _register_everywhere()


def register_terrain(terrain: type[Terrain]) -> list[str]:
    """Register a terrain of one's own, by its ``name``: see ``register_character``.

    Raises:
        SettingError: its name makes no id, or is another terrain's.
    """
    from sfv_gym.terrains import TERRAINS

    title = camel_case(terrain.name)
    _check_title(title, terrain.name, TERRAIN_TITLES, SettingError)
    TERRAINS[terrain.name] = terrain
    TERRAIN_TITLES[terrain.name] = title
    return _register_everywhere()


def _check_title(title: str, name: str, titles: dict[str, str], error: type[SFVError]) -> None:
    taken = {**CHARACTER_TITLES, **TERRAIN_TITLES}
    if name in titles:  # registered before: it may be registered anew
        del taken[name]
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", title):
        raise error(f"{title!r} makes no id: a title is one word in CamelCase, such as Atlas")
    if title in taken.values():
        raise error(f"the title {title} of {name} is taken: choose another")


def _register_everywhere() -> list[str]:
    """Register the ids that skills do not have yet."""
    before = set(_ENTRIES)
    motions = {entry.skill: entry.motion for entry in _ENTRIES.values() if entry.motion}
    for skill, motion in motions.items():
        _register(motion, skill)
    return sorted(set(_ENTRIES) - before)


def _register(path: Path, skill: str | None = None) -> str:
    name = skill or path.stem
    if not is_skill_name(name):
        raise MotionError(
            f"{name!r} makes no id: a skill is named in snake_case, such as back_flip, and not "
            f"{TRACKER}; rename the file"
        )
    for character, title in CHARACTER_TITLES.items():
        for terrain, ground in TERRAIN_TITLES.items():
            if name in OBJECT_SKILLS and path.parent == _library() and terrain != "flat":
                continue
            _register_one(EnvEntry(make_id(name, title, ground), name, character, terrain, path))
    return make_id(name)


def make_id(skill: str, *titles: str) -> str:
    """``SFV-<Skill>[-Atlas][-Slopes]-v0`` from a snake_case skill and non-empty titles."""
    return "-".join(("SFV", camel_case(skill), *filter(None, titles), VERSION))


def _register_one(entry: EnvEntry) -> None:
    known = _ENTRIES.get(entry.env_id)
    if known and known.motion and entry.motion and known.motion.resolve() == entry.motion.resolve():
        return
    what: dict[str, Any] = {"motion": entry.skill}
    if entry.motion is None:
        what = {"motion": list(tracker_skills()), **TRACKER_SETTINGS}
    # Not by gym.register, which compares each id with all others: with hundreds of them that is
    # most of an import. A user's own motion takes the place of a shipped one.
    gym.registry[entry.env_id] = EnvSpec(
        id=entry.env_id,
        entry_point="sfv_gym.envs.imitation_env:ImitationEnv",
        vector_entry_point="sfv_gym.envs.vector_env:ImitationVectorEnv",
        max_episode_steps=MAX_EPISODE_STEPS,
        kwargs={**what, "character": entry.character, "terrain": entry.terrain},
    )
    _ENTRIES[entry.env_id] = entry


def register_all() -> None:
    """Register every shipped motion, those in the folder SFV_GYM_MOTIONS, and the trackers."""
    folders = [_library()]
    own = os.environ.get(MOTIONS_VARIABLE)
    if own:
        folders.append(Path(own))
    for folder in folders:
        for path in _motion_files(folder):
            _register(path)
    for character, terrain in TRACKERS:
        titles = CHARACTER_TITLES[character], TERRAIN_TITLES[terrain]
        _register_one(EnvEntry(make_id(TRACKER, *titles), TRACKER, character, terrain, None))


def _library() -> Path:
    return Path(reference_motions.__file__).parent


def _motion_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.npz")) if is_skill_name(path.stem)]


@lru_cache(maxsize=1)
def library_skills() -> tuple[str, ...]:
    """Names of the motions that ship, sorted."""
    return tuple(path.stem for path in _motion_files(_library()))


def tracker_skills() -> tuple[str, ...]:
    """Those that a tracker is of: all that bring no objects along."""
    return tuple(skill for skill in library_skills() if skill not in OBJECT_SKILLS)


def list_envs() -> list[EnvEntry]:
    """Every registered id, sorted."""
    return [_ENTRIES[env_id] for env_id in sorted(_ENTRIES)]


def get_entry(env_id: str) -> EnvEntry:
    """The entry of an id; raises UnknownIdError with the near ones."""
    if env_id not in _ENTRIES:
        import difflib

        near = difflib.get_close_matches(env_id, _ENTRIES, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`sfv envs` lists them"
        raise UnknownIdError(f"unknown environment id {env_id!r}; {hint}")
    return _ENTRIES[env_id]


@lru_cache(maxsize=64)
def _load(path: str, _stamp: float) -> ReferenceMotion:
    from sfv_gym.motion import ReferenceMotion  # with the skeleton, which no import needs

    return ReferenceMotion.load(path)


def find_motion(name: str | os.PathLike[str]) -> ReferenceMotion:
    """The motion of a file, a skill such as ``walk`` or an environment id, or a variant of one.

    Each ``+`` after the name is something that is done to the motion, from left to right:
    ``walk+mirrored`` exchanges left and right, ``walk+warped-0.9`` is 0.9 times as fast,
    ``get_up_face_up+reversed`` goes backwards in time, ``walk+then-kick`` goes over into another
    where their poses meet.

    Raises:
        MotionError: there is no such file, it is not a motion, or it has no such variant.
        UnknownIdError: there is no such skill, id or variant; names the near ones.
        SettingError: it is an id of many motions, or a rate is out of range.
    """
    if not isinstance(name, str) or Path(name).suffix == ".npz" or Path(name).is_file():
        return load_motion(name)
    base, plus, variant = name.rpartition("+")
    if plus:
        return vary_motion(find_motion(base), variant)
    entry = get_entry(name if name.startswith("SFV-") else make_id(name))
    if entry.motion is None:
        raise SettingError(f"{entry.env_id} is of many motions: name one of them, such as walk")
    return load_motion(entry.motion)


def vary_motion(motion: ReferenceMotion, variant: str) -> ReferenceMotion:
    """A variant of a motion: ``mirrored``, ``warped-0.9``, ``reversed`` or ``then-kick``, see
    ``find_motion``.

    Raises:
        MotionError: the motion has no such variant: it flies and is to be warped, or does not meet
            the other one.
        UnknownIdError: there is no such variant, or no such skill to go over into.
        SettingError: the rate is out of range.
    """
    from sfv_gym.motion.varying import vary

    return vary(motion, variant, find_motion)


def load_motion(path: str | os.PathLike[str]) -> ReferenceMotion:
    """Read a motion file, once per process as long as it does not change."""
    path = Path(path)
    return _load(str(path), path.stat().st_mtime if path.is_file() else 0.0)
