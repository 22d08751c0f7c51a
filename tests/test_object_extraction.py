"""Objects of a clip: their files, what their touches do to a fit, and where they come to stand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sfv_gym import Box, find_motion, skeleton
from sfv_gym.errors import MotionError, SettingError, SFVError, UnknownIdError
from sfv_gym.extract import extract_motion
from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import ContactSurface
from sfv_gym.fitting.canonical_body import PALMS, SOLES, Body
from sfv_gym.motion import DOUBTFUL, NOTE, MotionCamera
from sfv_gym.motion.clip_objects import touched_tops
from sfv_gym.motion.object_hints import ObjectHint, Touch, check_hints, read_object_hints
from sfv_gym.reconstruction.contacts import find_contacts, touches_of_objects
from sfv_gym.reconstruction.edges import Edges
from sfv_gym.reconstruction.object_place import TouchedObject, place_object, seen_scale
from sfv_gym.reconstruction.object_search import PlaceSearch
from sfv_gym.reconstruction.objects import Scenery

FPS = 30.0
VAULT = "type: box\nsize: [1.6, 0.4, 0.6]\ntouched: [{by: left_hand, from: 0.5, to: 0.8}]\n"
HALF = np.array([0.8, 0.2, 0.3])


# --- what a file says ---------------------------------------------------------------------------


def test_a_file_of_one_object_or_of_several_is_read(tmp_path):
    one, several = tmp_path / "one.yaml", tmp_path / "several.yaml"
    one.write_text(VAULT)
    several.write_text(
        "- {type: box, size: [1, 1, 0.5], position: [2, 0, 0.25], mass: 5}\n"
        "- {type: ball, size: 0.4, touched: [{by: right_ankle, from: 1, to: 2}]}\n"
    )
    (hint,) = read_object_hints(one)
    assert hint.top == pytest.approx(0.6)
    assert not hint.placed
    assert hint.touches == (Touch(1, 0.5, 0.8),)
    box, ball = read_object_hints(several)
    assert box.placed
    assert box.thing.mass == 5
    assert ball.top == pytest.approx(0.4)


def test_touches_are_counted_in_the_videos_own_seconds():
    hint = ObjectHint(Box(size=0.5, position=(0, 0, 0.25)), False, (Touch(3, 2.0, 2.1),))
    touching = hint.touching(20, 1.9, 30.0)
    assert np.flatnonzero(touching[:, 3]).tolist() == [3, 4, 5, 6]
    assert not touching[:, :3].any()
    for outside in (Touch(0, 0.0, 0.2), Touch(0, 2.5, 2.7), Touch(0, 1.0, 2.0)):
        with pytest.raises(SettingError, match=r"the clip is from 1.90 to 2.57 s"):
            replace(hint, touches=(outside,)).touching(20, 1.9, 30.0)


BAD = {
    "": "an object is a mapping",
    "[]": "holds no object",
    "box": "an object is a mapping",
    "type: [": "no YAML",
    "{size: 1}": "needs a type",
    "{type: cone, size: 1}": "unknown type of object 'cone'; known: box, ball",
    "{type: 3, size: 1}": "type must be a name",
    "{type: box}": "needs a size",
    "{type: box, size: [1, 0.4]}": "must be 3 numbers",
    "{type: box, size: large}": "must be numbers",
    "{type: box, size: [1, 0, 1]}": "must lie between 0.01 and 100",
    "{type: box, size: [1, -1, 1]}": "must lie between 0.01 and 100",
    "{type: box, size: [1, .nan, 1]}": "NaN",
    "{type: box, size: 1, colour: red}": "box has no colour",
    "{type: box, size: 1}": "needs its place",
    "{type: box, size: 1, mass: 4, touched: [{by: left_hand, from: 1, to: 2}]}": "needs its path",
    "{type: box, size: 1, rotation: [1, 0, 0, 0]}": "no position",
    "{type: box, size: 1, position: [[1, 0, 0.5], [2, 0, 0.5]]}": "not a path",
    "{type: box, size: 1, position: [2, 0, 0.2]}": "inside the ground: it reaches 0.30 m",
    "{type: box, size: 1, position: [0.2, 0, 0.5]}": "inside the person at the start",
    "{type: box, size: 1, touched: left_hand}": "must be a list",
    "{type: box, size: 1, touched: [left_hand]}": "must hold by, from and to",
    "{type: box, size: 1, touched: [{by: nose, from: 1, to: 2}]}": "unknown 'nose'; known: right_",
    "{type: box, size: 1, touched: [{by: [1], from: 1, to: 2}]}": "unknown",
    "{type: box, size: 1, touched: [{by: 1, from: 1, to: 2}]}": "unknown 1",
    "{type: box, size: 1, touched: [{by: left_hand, from: 2, to: 1}]}": "must end later",
    "{type: box, size: 1, touched: [{by: left_hand, from: -1, to: 1}]}": "must lie between 0",
    "{type: box, size: 1, touched: [{by: left_hand, from: .nan, to: 1}]}": "must lie between 0",
    "[{type: box, size: 1, position: [2, 0, 0.5], mass: 3},"
    " {type: box, size: 1, position: [2.2, 0, 0.5]}]": "inside each other, by 0.80 m",
}


@pytest.mark.parametrize("text", BAD)
def test_a_wrong_file_is_one_line_that_names_it(text, tmp_path):
    path = tmp_path / "box.yaml"
    path.write_text(text)
    with pytest.raises((SettingError, UnknownIdError)) as caught:
        read_object_hints(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert BAD[text] in message
    assert "\n" not in message


def test_what_is_no_file_of_objects_is_refused(tmp_path):
    binary = tmp_path / "box.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "none.yaml", tmp_path, binary):
        with pytest.raises(SettingError, match=r"cannot be read|no YAML"):
            read_object_hints(path)


def test_wrong_objects_are_found_before_the_video_is_opened(tmp_path):
    path, out = tmp_path / "box.yaml", tmp_path / "vault.npz"
    path.write_text("{type: box, size: 0}")
    video = tmp_path / "no_such.mp4"
    with pytest.raises(SettingError, match="size of box"):
        extract_motion(video, skill="vault", out=out, objects=path)
    path.write_text(VAULT)
    with pytest.raises(MotionError, match="does not wrap"):
        extract_motion(video, skill="vault", out=out, objects=path, loop="wrap")
    hidden = Box(size=1.0, position=(0.0, 0.0, 0.1))
    with pytest.raises(SettingError, match="inside the ground"):
        extract_motion(video, skill="vault", out=out, objects=[ObjectHint(hidden, True, ())])
    with pytest.raises(SFVError, match="no_such"):
        extract_motion(video, skill="vault", out=out, objects=path)


# --- what a touch does to a fit -----------------------------------------------------------------


def test_a_raised_touch_has_its_height_and_may_slide_by_hand():
    tops = np.full((4, 4), np.nan)
    tops[:, 1], tops[1:, 2] = 0.6, 0.4  # the left hand all along, the right foot from frame 1 on
    contacts = touches_of_objects(tops)
    assert contacts.on_objects.all()
    assert contacts.stance.frames.size == 0  # the ground's balance does not count
    held = contacts.sustained
    assert not held[:, PALMS].any()
    assert held[:, SOLES].sum(1).tolist() == [0, 4, 4]
    height = torch.where(contacts.raised > 0, contacts.raised, torch.ones(()).double())
    points = torch.zeros(*height.shape, 3, dtype=height.dtype)
    ones = torch.ones(height.shape[1], dtype=height.dtype)

    def cost(heights: torch.Tensor) -> float:
        surface = ContactSurface(points, heights, points, ones, ones, heights)
        return float(terms.ground(surface, contacts, sigma_height=0.01, sigma_slide=0.01))

    assert cost(height) == 0
    assert cost(height + 0.01) == pytest.approx(float(contacts.active.sum()))


def _leap(push: np.ndarray):
    """A body that leaps and lands, its left hand on 0.9 m while ``push`` (T,) holds."""
    frames = len(push)
    time = np.arange(frames) / FPS
    root = np.zeros((frames, 3))
    start, end = 10, frames - 11
    rise = 0.5 * 9.81 * (time - time[start]) * (time[end] - time)
    root[:, 2] = 0.9 + np.where((time > time[start]) & (time < time[end]), rise, 0.0)
    root[:, 0] = 2.0 * time
    body = Body()
    eye = torch.eye(3, dtype=torch.double).repeat(frames, 1, 1)
    angles = torch.zeros(frames, 28, dtype=torch.double)
    pose = body.pose(torch.as_tensor(root), eye, angles)
    low = float(body.soles(pose)[0, ..., 2].min())
    pose = body.pose(torch.as_tensor(root - [0, 0, low]), eye, angles)
    tops = np.full((frames, 4), np.nan)
    tops[push, 1] = 0.9
    return body, pose, tops


def test_no_flight_goes_over_a_hand_that_bears_on_an_object():
    push = np.zeros(42, bool)
    body, pose, tops = _leap(push)
    (flight,) = find_contacts(body, pose, FPS).flights
    assert flight[1] - flight[0] > 12
    middle = sum(flight) // 2
    push[middle - 2 : middle + 3] = True
    body, pose, tops = _leap(push)
    contacts = find_contacts(body, pose, FPS, tops=tops)
    assert not any(first <= middle + 2 and last >= middle - 2 for first, last in contacts.flights)
    assert contacts.in_air[push].max() == 0
    assert contacts.effectors()[push, 1].min() == 1
    assert contacts.effectors()[push][:, [0, 2, 3]].max() == 0


@pytest.fixture
def kick():
    """The shipped motion."""
    return find_motion("kick")


# --- where it stands ----------------------------------------------------------------------------


def _camera() -> MotionCamera:
    """3 m to the right of the way along x and a little behind, 1.8 m high, looking down."""
    eye = np.array([-3.0, -4.5, 1.8])
    ahead = np.array([0.9, 0.4, 0.4]) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(ahead, right), ahead))
    return MotionCamera(rotation, eye, 500.0, np.array([320.0, 240.0]))


def _picture(camera: MotionCamera, place: np.ndarray, heading: float, half=HALF) -> np.ndarray:
    """(480, 640, 3) a box whose faces are of three shades, before a plain background: by rays."""
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    y, x = np.mgrid[:480, :640]
    rays = np.stack((x - 320.0, y - 240.0, np.full(x.shape, 500.0)), -1) @ camera.rotation @ turn
    eye = (camera.position - place) @ turn
    with np.errstate(divide="ignore"):
        near = (-half * np.sign(rays) - eye) / rays
        far = (half * np.sign(rays) - eye) / rays
    hit = (near.max(-1) < far.min(-1)) & (near.max(-1) > 0)
    shade = np.array([0.2, 0.9, 0.6])[near.argmax(-1)]
    return np.repeat(np.where(hit, shade, 0.4)[..., None], 3, axis=-1)


def test_the_outline_is_seen_where_the_box_is():
    camera, place, heading = _camera(), np.array([0.9, 0.4, 0.3]), 1.3
    edges = Edges(_picture(camera, place, heading), camera)
    moved = np.array([[0, 0, 0], [0.15, 0, 0], [0, -0.15, 0], [0.0, 0.0, 0]])
    headings = heading + np.array([0.0, 0.0, 0.0, 0.3])
    seen = edges.outline(np.tile(HALF, (4, 1)), place + moved, headings, sharp=True)
    assert seen[0] > 0.9
    assert seen[1:].max() < 0.6
    behind = edges.outline(HALF[None], np.array([[-9.0, -12.0, 0.3]]), np.zeros(1), sharp=True)
    assert behind[0] == 0


def _walker(frames: int = 21) -> np.ndarray:
    """(T, 15, 3) of somebody who is carried along x over the box, their left hand beside them."""
    joints = np.zeros((frames, 15, 3))
    joints[..., 0] = np.linspace(-0.4, 2.2, frames)[:, None]
    joints[..., 2] = 1.2
    joints[:, skeleton.link_index("left_wrist")] += [0.0, 0.5, -0.55]
    return joints


def test_the_place_is_under_the_hand_and_square_to_the_way_without_a_picture():
    joints = _walker()
    hand = joints[9:12, skeleton.link_index("left_wrist"), :2]
    thing = Box(size=2 * HALF, position=(0, 0, HALF[2]))
    found = PlaceSearch(thing, hand, joints, 0.0, None).best()
    assert abs((found.heading + np.pi / 4) % (np.pi / 2) - np.pi / 4) < np.radians(3)
    assert np.linalg.norm(found.place - hand.mean(0)) < 0.05
    assert found.scale == 1


def test_the_picture_tells_place_heading_and_the_scenes_scale():
    camera, joints = _camera(), _walker()
    hand = joints[9:12, skeleton.link_index("left_wrist"), :2]
    place, heading = np.array([0.93, 0.2, HALF[2]]), np.radians(82.0)
    thing = Box(size=2 * HALF, position=(0, 0, HALF[2]))
    edges = Edges(_picture(camera, place, heading), camera)
    found = PlaceSearch(thing, hand, joints, 0.0, edges).best()
    assert np.linalg.norm(found.place - place[:2]) < 0.03
    assert abs((found.heading - heading + np.pi / 2) % np.pi - np.pi / 2) < np.radians(3)
    # a scene that is a tenth too small, of which the same picture was taken
    factor = 1 / 1.1
    small = replace(camera, position=factor * camera.position)
    touching = np.zeros((len(joints), 4), bool)
    touching[9:12, 1] = True
    one = TouchedObject(ObjectHint(thing, False, ()), touching)
    picture = _picture(camera, place, heading)
    assert seen_scale([one], factor * joints, small, FPS, picture) == pytest.approx(1.1, abs=0.04)
    assert seen_scale([one], joints, camera, FPS, None) == 1
    blank = np.full_like(picture, 0.5)
    assert seen_scale([one], joints, camera, FPS, blank) == 1
    touching[9:12, 2] = True  # a foot's height is known
    assert seen_scale([one], factor * joints, small, FPS, picture) == 1


def _vaulting(kick):
    """The kick's motion, carried by 3 m/s, its left hand on a box 0.2 s long."""
    motion = replace(kick, root_pos=kick.root_pos.copy(), contacts=0 * kick.contacts)
    motion.root_pos[:, 0] += 3.0 * np.arange(motion.num_frames) / motion.fps
    wrist = motion.joint_positions()[:, skeleton.link_index("left_wrist")]
    frames = slice(10, 14)
    top = float(wrist[frames, 2].mean()) - skeleton.BODY["right_wrist"].size[0]
    touching = np.zeros((motion.num_frames, 4), bool)
    touching[frames, 1] = True
    return motion, wrist[frames], top, touching


def test_a_motion_gets_its_object_in_its_own_size(kick):
    motion, _, top, touching = _vaulting(kick)
    scale = 0.9
    size = np.array([0.3, 0.3, top / scale])
    hint = ObjectHint(Box(size=size, position=(0, 0, size[2] / 2)), False, (Touch(1, 0.3, 0.5),))
    motion.provenance = {"quality": {}}
    placed = place_object(TouchedObject(hint, touching), motion, scale)
    assert placed.thing.half == pytest.approx(scale * size / 2)
    assert placed.off_top < 0.03
    assert placed.thing.places[0, 2] == pytest.approx(top / 2)
    lost = ObjectHint(Box(size=5.0, position=(1.0, 0.0, 2.5)), True, ())
    with pytest.raises(MotionError, match="no room was found for the objects: box 0 is inside"):
        Scenery((TouchedObject(lost, touching),), None).add_to(motion, 1.0)
    assert motion.objects == ()
    far = ObjectHint(Box(size=size, position=(9.0, 9.0, size[2] / 2)), True, ())
    findings = Scenery((TouchedObject(far, touching),), None).add_to(motion, 1.0)
    assert [f.severity for f in findings] == [DOUBTFUL, DOUBTFUL]
    assert motion.objects[0].places[0, 0] == 9.0
    assert NOTE not in {f.severity for f in findings}
    check_hints([far])


def test_what_lies_on_an_objects_top_is_told_from_what_touches_the_ground(kick):
    motion, wrist, top, touching = _vaulting(kick)
    motion.contacts = touching.astype(float)
    motion.contacts[:, 3] = 1.0  # a foot
    box = Box(size=(1.0, 1.0, top), position=(*wrist[:, :2].mean(0), top / 2))
    pose = motion.root_pos, motion.root_quat, motion.joint_quat
    tops = touched_tops([box], pose, motion.contacts)
    assert tops[touching] == pytest.approx(top)
    assert not tops[~touching].any()
    aside = replace(box, position=box.places[0] + [2.0, 0.0, 0.0])
    assert not touched_tops([aside], pose, motion.contacts).any()
