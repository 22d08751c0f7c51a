"""PoseSequence in, ReferenceMotion out: the stages in a row."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import torch
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.errors import MotionError
from sfv_gym.fitting.canonical_body import DOFS
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.fitting.grounded import GroundedWeights
from sfv_gym.fitting.solver import Variables, one_thread
from sfv_gym.motion import LOOPS, ReferenceMotion, loop_offset_between
from sfv_gym.reconstruction.character_fit import CharacterFit, fit_character
from sfv_gym.reconstruction.contacts import (
    find_contacts,
    raised_points,
    touches_of_objects,
)
from sfv_gym.reconstruction.evidence import gather_evidence
from sfv_gym.reconstruction.joint_network import JointNetworks, shipped_networks
from sfv_gym.reconstruction.judge import judge
from sfv_gym.reconstruction.loops import Cycle, find_cycle
from sfv_gym.reconstruction.object_place import TouchedObject
from sfv_gym.reconstruction.objects import Scenery
from sfv_gym.reconstruction.person import BodyProblem, C, PersonFit, PersonProblem
from sfv_gym.reconstruction.prior import PosePrior
from sfv_gym.reconstruction.progress import IterationBar
from sfv_gym.reconstruction.quality import motion_quality, person_quality
from sfv_gym.reconstruction.reprojection import motion_camera
from sfv_gym.reconstruction.signs import signs_of
from sfv_gym.reconstruction.weights import Weights
from sfv_gym.rotations import quat_continuous

if TYPE_CHECKING:
    from sfv_gym.pose import PoseSequence
    from sfv_gym.pose.stabilize import CameraPath

log = logging.getLogger(__name__)

ITERATIONS = 120
"""Of the solver, in each of its passes."""
PASSES = 4
"""Of the solver over the person: one with soft support, the rest with the contacts it found."""
CHARACTER_ITERATION_FACTOR = 2
"""The character's one pass may take so many times the iterations of a person's."""
STRAIGHT_YAW = np.radians(20.0)
"""A cycle that turns less than this is taken for a straight one: the depth of a single camera
errs by as much."""


def reconstruct(
    poses: PoseSequence,
    *,
    skill: str,
    loop: str = "auto",
    progress: bool = True,
    focal_px: float | None = None,
    camera_path: CameraPath | None = None,
    speed: float = 1.0,
    weights: Weights | None = None,
    character_weights: GroundedWeights | None = None,
    prior: PosePrior | None = None,
    networks: JointNetworks | None = None,
    iterations: int = ITERATIONS,
    objects: Sequence[TouchedObject] = (),
    picture: np.ndarray | None = None,
) -> ReferenceMotion:
    """Reconstruct a person's motion from their landmarks.

    Deterministic: the same landmarks give the same motion, on any number of threads.

    Args:
        poses: landmarks of every frame, see ``sfv_gym.pose.PoseSequence``.
        skill: what it shows.
        loop: ``"wrap"`` for a cyclic motion, ``"none"``, or ``"auto"`` to find out.
        progress: show a progress bar on stderr.
        focal_px: the camera's focal length in pixels, where known.
        camera_path: of a camera that turned or zoomed, from whose middle frame the landmarks are
            seen, see ``pose.stabilize``.
        speed: the share of the real speed at which the clip is known to play; at 1 a warning says
            so when gravity sees another.
        weights, character_weights: spreads of the terms of the two stages.
        prior: of the person's pose; by default the shipped one.
        networks: which tell joints from MediaPipe's landmarks; by default the shipped ones,
            none where it is empty.
        iterations: of the solver, in each of its passes.
        objects: that stand in the clip, and what touches them when.
        picture: (H, W, C) in 0..1, what the camera sees where nobody stands in front, to find the
            objects' places by; as large as the poses' frames.

    Raises:
        PoseError: too few frames or detections.
        MotionError: an unknown ``loop``, ``"wrap"`` where nothing repeats or with objects, or
            objects for which there is no room.
    """
    if loop not in ("auto", *LOOPS):
        raise MotionError(f"loop must be auto, wrap or none, not {loop!r}")
    if objects:
        if loop == "wrap":
            raise MotionError("a motion with objects does not wrap: they are in one place only")
        loop = "none"
    if networks is None:
        networks = shipped_networks()
    evidence = gather_evidence(poses, focal_px)
    told = gather_evidence(poses, focal_px, networks=networks)
    scenery = Scenery(tuple(objects), picture) if objects else None
    tops = None if scenery is None else scenery.tops
    problem = PersonProblem(told, weights, prior=prior, tops=tops)
    motion, fit, contacts, scene = solve_motion(
        problem, skill=skill, loop=loop, progress=progress, speed=speed,
        character_weights=character_weights, iterations=iterations,
        tops=tops, resize=None if scenery is None else partial(scenery.resized, problem),
    )  # fmt: skip
    motion.confidence = np.clip(evidence.confidence, 0.0, 1.0)
    motion.camera = motion_camera(fit.camera, scene.turn, scene.start, camera_path)
    findings = () if scenery is None else scenery.add_to(motion, scene.scale)
    motion.provenance["source"] = dict(poses.source)
    # against what was seen: the networks may be wrong, too
    signs = signs_of(fit, evidence, contacts, people=int(poses.source.get("people", 1)))
    motion.verdict = judge(signs, findings)
    motion.provenance["quality"] = {
        **person_quality(fit, evidence, signs), **motion.provenance["quality"]
    }  # fmt: skip
    motion.provenance["settings"]["focal_px"] = evidence.focal
    motion.validate()
    return motion


@dataclass(frozen=True)
class Scene:
    """Where the fit's world went: the motion's is ``turn @ (p - start)`` of it.

    Attributes:
        turn: (3, 3), about z. start: (3,) metres, on the ground.
        scale: of the character's paths over the person's.
    """

    turn: np.ndarray
    start: np.ndarray
    scale: float


def solve_motion(
    problem: BodyProblem[C],
    *,
    skill: str,
    loop: str,
    progress: bool,
    speed: float,
    character_weights: GroundedWeights | None,
    iterations: int,
    tops: np.ndarray | None = None,
    resize: Callable[[PersonFit[C]], Variables | None] | None = None,
) -> tuple[ReferenceMotion, PersonFit[C], CanonicalContacts, Scene]:
    """Both stages, for a video or measured joints; the arguments are those of `reconstruct`.

    Args:
        tops: (T, 4) metres, of the objects that the character touches, see ``find_contacts``.
        resize: of a fit what to go on from, where its size was wrong; None where it was not.

    Returns:
        The motion, without a verdict and a ``source`` in its provenance, the person,
        what touches the ground, and where the scene lies.
    """
    with one_thread(), IterationBar(progress) as bar:
        passes = PASSES if resize is None else PASSES + 1
        bar.expect((passes + CHARACTER_ITERATION_FACTOR) * iterations)
        fit, contacts = fit_person(problem, iterations, loop=loop, callback=bar.advance)
        if resize is not None and (larger := resize(fit)) is not None:
            contacts = _find_contacts(problem, problem.at(larger), loop)
            fit = problem.fit(
                larger, contacts=contacts, iterations=iterations, callback=bar.advance
            )
            contacts = _find_contacts(problem, fit, loop)
        if contacts.played_at is not None and speed == 1.0:
            log.warning(
                "%s: the body is off the ground for long and hardly falls; if the clip is in slow "
                "motion, give its speed (--speed %.2g, by gravity)", skill, contacts.played_at,
            )  # fmt: skip
        root_pos, root_rot = fit.root_pos.numpy(), fit.root_rot.numpy()
        yaw, start = -_heading_angle(root_rot[0]), root_pos[0] * [1.0, 1.0, 0.0]
        root_pos, root_rot = person = _turned(root_pos, root_rot, yaw)
        cycle = _choose_cycle(loop, fit, problem.fps)
        if cycle is None and loop == "wrap":
            raise MotionError("no cycle was found to wrap: use a longer range, or loop none")
        if cycle is not None:
            root_pos, root_rot = _straighten(root_pos, root_rot, cycle)
        legs = float(fit.body.offsets[[4, 5], 2].sum() / skeleton.OFFSETS[[4, 5], 2].sum())
        character = fit_character(
            root_pos,
            root_rot,
            fit.angles.numpy(),
            contacts if tops is None else contacts.on_tops(raised_points(tops / legs)),
            problem.fps,
            path_scale=1 / legs,
            cycle=(cycle.first, cycle.last) if cycle else None,
            weights=character_weights,
            iterations=CHARACTER_ITERATION_FACTOR * iterations,
            callback=bar.advance,
        )
    motion = _assemble(character, fit, person, contacts, cycle, problem.fps)
    quality = motion_quality(motion, character.angles, contacts)
    if cycle is not None:
        quality["loop_gap_mm"] = round(1e3 * cycle.gap, 1)
    motion.skill = skill
    motion.person_scale = fit.body.scale.numpy()
    motion.provenance = {
        "quality": quality,
        "settings": {
            "loop": loop,
            "iterations": iterations,
            "weights": asdict(problem.weights),
            "character_weights": asdict(character_weights or GroundedWeights()),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
    scene = Scene(Rotation.from_euler("z", yaw).as_matrix(), start, 1 / legs)
    return motion, fit, contacts, scene


def fit_person(
    problem: BodyProblem[C],
    iterations: int,
    *,
    loop: str = "none",
    ground: bool = True,
    callback: Callable[[], None] | None = None,
) -> tuple[PersonFit[C], CanonicalContacts]:
    """Fit the person: first with soft support, then with contacts as they are found; at last with
    gravity, and contacts found anew.

    Args:
        iterations: of the solver, in each of the ``PASSES`` passes.
        loop: as for ``reconstruct``: a run's strides are told apart from what is wrong in one.
        ground: without it neither contacts nor gravity play a part in any pass.
        callback: called after each iteration.
    """
    refit = partial(problem.fit, iterations=iterations, callback=callback)
    if not ground:
        fit = refit(problem.start)
        for _ in range(PASSES - 1):
            fit = refit(fit.variables)
        return fit, _find_contacts(problem, fit, loop)
    known = None if problem.tops is None else touches_of_objects(problem.tops)
    fit = refit(problem.gravity_aligned(problem.start), contacts=known, use_soft_support=True)
    # now that the body is smooth, and of a person's proportions, its support is clearer
    fit = problem.at(problem.gravity_aligned(fit.variables))
    for gravity in (False, True, True):
        contacts = _find_contacts(problem, fit, loop)
        fit = refit(
            fit.variables,
            contacts=contacts if gravity else contacts.without_flights(),
            use_soft_support=not gravity,  # what is low may have been missed
        )
    return fit, _find_contacts(problem, fit, loop)


def _find_contacts(problem: BodyProblem[C], fit: PersonFit[C], loop: str) -> CanonicalContacts:
    cycle = _choose_cycle(loop, fit, problem.fps)
    period = cycle.last - cycle.first if cycle is not None else None
    return find_contacts(
        fit.body, fit.pose, problem.fps, period=period, seen=problem.seen, tops=problem.tops
    )


def _turned(
    root_pos: np.ndarray, root_rot: np.ndarray, yaw: float
) -> tuple[np.ndarray, np.ndarray]:
    """The scene turned about z by ``yaw`` radians, frame 0 over the origin."""
    turn = Rotation.from_euler("z", yaw).as_matrix()
    return (root_pos - root_pos[0] * [1.0, 1.0, 0.0]) @ turn.T, turn @ root_rot


def _heading_angle(rot: np.ndarray) -> float:
    """Radians about z by which a root (3, 3) is turned from x, by its swing-twist."""
    return float(np.arctan2(rot[1, 0] - rot[0, 1], rot[0, 0] + rot[1, 1]))


def _choose_cycle(loop: str, fit: PersonFit[Any], fps: float) -> Cycle | None:
    if loop == "none":
        return None
    quat = np.roll(Rotation.from_matrix(fit.root_rot.numpy()).as_quat(), 1, axis=-1)
    positions = fit.pose.pos.numpy()
    if loop == "auto":
        return find_cycle(positions, quat, fps)
    return find_cycle(positions, quat, fps, max_gap=np.inf)


def _straighten(
    root_pos: np.ndarray, root_rot: np.ndarray, cycle: Cycle
) -> tuple[np.ndarray, np.ndarray]:
    """A cycle that hardly turns becomes one along x: path and heading each turned to it.

    Depth from a single camera drifts, so that the path's direction and the body's disagree by
    several degrees, and a walk repeated would run off sideways.
    """
    first, last = cycle.first, cycle.last
    turned = _heading_angle(root_rot[last] @ root_rot[first].T)
    if abs(turned) > STRAIGHT_YAW:
        return root_pos, root_rot
    # the turn over one cycle is an error of depth too: take it out evenly
    share = (np.arange(len(root_pos)) - first) / (last - first)
    back = Rotation.from_euler("z", -(turned * share)[:, None]).as_matrix()
    root_rot = back @ root_rot
    mean = float(np.mean([_heading_angle(r) for r in root_rot[first:last]]))
    root_rot = Rotation.from_euler("z", -mean).as_matrix() @ root_rot
    travel = root_pos[last, :2] - root_pos[first, :2]
    if np.linalg.norm(travel) > 0.2:
        angle = np.arctan2(travel[1], travel[0])
        if abs(angle - mean) < np.radians(60):  # else it walks sideways or backwards on purpose
            root_pos, _ = _turned(root_pos, root_rot, -float(angle))
    return root_pos, root_rot


def _assemble(
    character: CharacterFit,
    fit: PersonFit[Any],
    person: tuple[np.ndarray, np.ndarray],
    contacts: CanonicalContacts,
    cycle: Cycle | None,
    fps: float,
) -> ReferenceMotion:
    """The motion's arrays from the fit's."""
    joints, root_quat = _joint_quats(character.angles), _root_quats(character.root_rot)
    person_path, person_rot = person
    root_pos = character.root_pos - character.root_pos[0] * [1.0, 1.0, 0.0]
    options: dict[str, Any] = {}
    if cycle is not None:
        i, j = cycle.first, cycle.last
        offset = loop_offset_between(root_pos[i], root_quat[i], root_pos[j], root_quat[j])
        if abs(offset[3]) < np.radians(3.0):
            offset = np.array([*(root_pos[j] - root_pos[i])[:2], 0.0, 0.0])
            if abs(offset[1]) < 0.05 * abs(offset[0]) + 0.01:
                offset[1] = 0.0
        options = {"loop": "wrap", "loop_range": np.array([i, j]), "loop_offset": offset}
    return ReferenceMotion(
        fps=fps,
        root_pos=root_pos,
        root_quat=root_quat,
        joint_quat=joints,
        contacts=contacts.effectors(),
        flights=np.array(contacts.flights, int).reshape(-1, 2),
        person_offsets=fit.body.offsets.numpy(),
        person_root_pos=person_path - person_path[0] * [1.0, 1.0, 0.0],
        person_root_quat=_root_quats(person_rot),
        person_joint_quat=_joint_quats(fit.angles.numpy()),
        **options,
    )


def _joint_quats(angles: np.ndarray) -> np.ndarray:
    """Joint rotations (T, 15, 4) wxyz from angles (T, 28), see canonical_body.DOFS."""
    vectors = np.zeros((len(angles), len(skeleton.LINKS), 3))
    for k, (link, axis) in enumerate(DOFS):
        vectors[:, link, axis] = angles[:, k]
    joints = np.roll(Rotation.from_rotvec(vectors.reshape(-1, 3)).as_quat(), 1, axis=-1)
    joints = quat_continuous(joints.reshape(*vectors.shape[:2], 4))
    joints[:, 0] = [1.0, 0.0, 0.0, 0.0]
    return joints


def _root_quats(rotations: np.ndarray) -> np.ndarray:
    """(T, 4) wxyz from (T, 3, 3), without jumps of sign."""
    return quat_continuous(np.roll(Rotation.from_matrix(rotations).as_quat(), 1, axis=-1))
