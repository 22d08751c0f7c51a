"""The networks that tell joints from MediaPipe's landmarks, and what the evidence makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_reconstruction import walking

from sfv_gym.pose import PoseSequence
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.reconstruction.evidence import gather_evidence
from sfv_gym.reconstruction.joint_network import (
    PAIRS,
    JointNetwork,
    JointNetworks,
    mirrored_directions,
    mirrored_inputs,
    mirrored_places,
    network_inputs,
    shipped_networks,
)
from sfv_gym.reconstruction.pose_track import pose_track


@pytest.fixture(scope="module")
def poses() -> PoseSequence:
    return replace(walking().poses, landmarks=LANDMARKS)


@pytest.fixture(scope="module")
def seen(poses: PoseSequence) -> torch.Tensor:
    return network_inputs(pose_track(poses))[0]


def some(seed: int = 0) -> JointNetwork:
    """A network with something to say."""
    torch.manual_seed(seed)
    network = JointNetwork()
    torch.nn.init.normal_(network.outlet.weight, std=0.02)
    return network


def test_an_untrained_network_takes_landmarks_for_joints(seen: torch.Tensor) -> None:
    guess = JointNetworks({(): JointNetwork()}).guess(seen, 30.0)
    joints = seen[:, LANDMARKS.joints]
    for k, (a, b) in enumerate(PAIRS):
        line = joints[:, b, :3] - joints[:, a, :3]
        line = line / line.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(guess.directions[:, k], line)
    torch.testing.assert_close(guess.places, joints[..., 3:5])


def test_the_mirror_image_gets_the_mirror_images_guess(seen: torch.Tensor) -> None:
    networks = JointNetworks({(): some()})
    guess, other = networks.guess(seen, 30.0), networks.guess(mirrored_inputs(seen), 30.0)
    torch.testing.assert_close(mirrored_directions(guess.directions), other.directions)
    torch.testing.assert_close(mirrored_places(guess.places), other.places)
    assert (guess.directions - other.directions).abs().max() > 0.1
    torch.testing.assert_close(mirrored_inputs(mirrored_inputs(seen)), seen)


def test_time_is_in_seconds_not_in_frames(seen: torch.Tensor) -> None:
    networks = JointNetworks({(): some()})
    frames = len(seen)
    between = 0.5 * (seen[1:] + seen[:-1])
    double = torch.stack((seen[:-1], between), 1).flatten(0, 1)
    double = torch.cat((double, seen[-1:]))
    slow, fast = networks.guess(seen, 30.0), networks.guess(double, 60.0)
    assert len(fast.places) == 2 * frames - 1
    torch.testing.assert_close(fast.places[::2], slow.places, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast.directions[::2], slow.directions, atol=1e-5, rtol=1e-4)


def test_a_skill_is_left_to_those_that_have_not_seen_it(seen: torch.Tensor) -> None:
    one, two = some(1), some(2)
    both = JointNetworks({("walk", "kick"): one, ("roll",): two})

    def alone(network: JointNetwork) -> torch.Tensor:
        return JointNetworks({(): network}).guess(seen, 30.0).places

    torch.testing.assert_close(both.without("kick").guess(seen, 30.0).places, alone(one))
    torch.testing.assert_close(both.without("roll").guess(seen, 30.0).places, alone(two))
    known = both.guess(seen, 30.0).places
    torch.testing.assert_close(known, 0.5 * (alone(one) + alone(two)))
    torch.testing.assert_close(both.without("yoga").guess(seen, 30.0).places, known)


def test_saved_and_loaded(seen: torch.Tensor, tmp_path: Path) -> None:
    networks = JointNetworks({("walk",): some(1), ("roll", "spin"): some(2)})
    networks.save(tmp_path / "networks.safetensors")
    loaded = JointNetworks.load(tmp_path / "networks.safetensors")
    for skill in ("walk", "spin", "none"):
        a, b = (n.without(skill).guess(seen, 30.0) for n in (networks, loaded))
        torch.testing.assert_close(a.places, b.places, atol=2e-3, rtol=0.0)
        torch.testing.assert_close(a.place_trust, b.place_trust, atol=0.0, rtol=0.01)


def test_evidence_has_the_guesses_in_place_of_the_landmarks(poses: PoseSequence) -> None:
    networks = JointNetworks({(): some()})
    plain, told = gather_evidence(poses), gather_evidence(poses, networks=networks)
    marks = told.landmarks
    columns = [marks.marker(name) for name in JOINTS]
    others = [k for k in range(len(marks.markers)) if k not in columns]
    assert not marks.offsets[columns].any()
    np.testing.assert_array_equal(marks.offsets[others], plain.landmarks.offsets[others])
    assert (told.pixels - plain.pixels)[:, columns].abs().max() > 1.0
    assert torch.equal(told.pixels[:, others], plain.pixels[:, others])
    lines = [
        k for k, pair in enumerate(marks.direction_pairs.tolist()) if set(pair) <= set(columns)
    ]
    changed = (told.directions - plain.directions).abs().amax((0, 2)) > 1e-3
    assert changed.nonzero().ravel().tolist() == lines
    torch.testing.assert_close(
        told.directions.norm(dim=-1), torch.ones_like(told.directions[..., 0])
    )


def test_frames_without_the_person_stay_without_weight(poses: PoseSequence) -> None:
    hole = replace(poses, detected=poses.detected.copy())
    hole.detected[5:9] = False
    told = gather_evidence(hole, networks=JointNetworks({(): some()}))
    assert not told.pixel_weights[5:9].any() and not told.direction_weights[5:9].any()
    assert told.pixel_weights[4].all()


def test_other_landmarks_are_taken_as_they_are(poses: PoseSequence) -> None:
    networks = JointNetworks({(): some()})
    other = replace(poses, landmarks=replace(LANDMARKS, name="mine"))
    assert torch.equal(
        gather_evidence(other, networks=networks).pixels, gather_evidence(other).pixels
    )
    holey = replace(poses, landmarks_2d=poses.landmarks_2d.copy())
    holey.landmarks_2d[3, LANDMARKS.index("left_pinky")] = np.nan  # it has no marker
    assert torch.equal(
        gather_evidence(holey, networks=networks).pixels, gather_evidence(holey).pixels
    )


def test_the_shipped_ones_leave_out_every_skill_of_theirs_once() -> None:
    networks = shipped_networks()
    skills = [skill for unseen in networks.unseen for skill in unseen]
    assert len(set(skills)) == len(skills) >= 20
    for skill in skills:
        assert len(networks.without(skill).unseen) == 1
