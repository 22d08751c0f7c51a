"""ReferenceMotion: files, checks, sampling and loops."""

import numpy as np
import pytest
from motions import moved, swing

from sfv_gym import skeleton
from sfv_gym.errors import MotionError
from sfv_gym.motion import MotionCamera, ReferenceMotion, loop_offset_between
from sfv_gym.rotations import quat_angle, quat_multiply, quat_rotate


def test_a_saved_motion_comes_back_the_same(tmp_path):
    motion = swing(period=60)
    motion.save(tmp_path / "swing.npz")
    again = ReferenceMotion.load(tmp_path / "swing.npz")
    assert again.provenance == motion.provenance
    assert (again.loop, again.fps) == ("wrap", 30.0)
    np.testing.assert_allclose(again.root_pos, motion.root_pos, atol=1e-6)
    assert quat_angle(again.joint_quat, motion.joint_quat).max() < 1e-3
    assert again.content_hash() == ReferenceMotion.load(tmp_path / "swing.npz").content_hash()
    assert list(tmp_path.iterdir()) == [tmp_path / "swing.npz"]  # no temporary file left


def test_camera_and_person_are_kept_to_the_bit(tmp_path):
    motion = swing(frames=7)
    rng = np.random.default_rng(0)
    motion.skill, motion.made_from, motion.person_scale = "swing", "a clip", 1 + rng.random(9)
    motion.camera = MotionCamera(
        rng.random((3, 3)), rng.random(3), 700.123456, rng.random(2), rng.random((7, 3))
    )
    motion.save(tmp_path / "swing.npz")
    again = ReferenceMotion.load(tmp_path / "swing.npz")
    assert (again.skill, again.made_from) == ("swing", "a clip")
    np.testing.assert_array_equal(again.person_scale, motion.person_scale)
    for name, value in vars(motion.camera).items():
        np.testing.assert_array_equal(getattr(again.camera, name), value)


def test_files_from_before_have_their_camera_in_the_provenance(tmp_path):
    motion = swing(frames=7)
    facts = {"rotation": np.eye(3).tolist(), "position": [0, 0, 1], "focal_px": 700}
    motion.provenance = {
        "skill": "swing",
        "library": {"version": 6, "sha256": "0"},
        "camera": {**facts, "centre_px": [3, 2]},
        "source": {"camera_turns": [[0, 0.1, 0]] * 7},
        "quality": {"person_scale": [1.05] * 9},
    }

    def loaded() -> ReferenceMotion:
        motion.save(tmp_path / "new.npz")
        arrays = dict(np.load(tmp_path / "new.npz"))
        for name in ("skill", "made_from"):
            del arrays[name]
        np.savez(tmp_path / "old.npz", **arrays)
        return ReferenceMotion.load(tmp_path / "old.npz")

    old = loaded()
    assert (old.skill, old.made_from) == ("swing", '{"sha256": "0", "version": 6}')
    np.testing.assert_array_equal(old.person_scale, 1.05)
    assert old.camera.focal_px == 700 and old.camera.turns.shape == (7, 3)
    # what nothing can be made of is no camera, and the motion is a motion all the same
    motion.provenance = {"camera": facts, "source": "a friend", "quality": {"person_scale": "tall"}}
    old = loaded()
    assert (old.skill, old.made_from, old.camera, old.person_scale) == ("", "", None, None)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("root_pos", lambda a: np.where(np.arange(3) == 1, np.nan, a), "root_pos has .* NaN"),
        ("joint_quat", lambda a: 1.1 * a, "unit quaternions"),
        ("contacts", lambda a: a + 2, "contacts must lie in 0..1"),
        ("root_quat", lambda a: a[:-1], "root_quat must have shape"),
    ],
)
def test_wrong_values_are_named(tmp_path, field, change, message):
    motion = swing()
    motion.save(tmp_path / "m.npz")
    arrays = dict(np.load(tmp_path / "m.npz"))
    arrays[field] = change(arrays[field])
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(MotionError, match=message) as caught:
        ReferenceMotion.load(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


def test_files_that_are_no_motions(tmp_path):
    with pytest.raises(MotionError, match="no such motion file"):
        ReferenceMotion.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(MotionError, match="not a reference motion"):
        ReferenceMotion.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(MotionError, match=r"no .*fps"):
        ReferenceMotion.load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", schema=np.array([{}], dtype=object))
    with pytest.raises(MotionError, match="not a reference motion"):
        ReferenceMotion.load(tmp_path / "pickled.npz")
    arrays_path = tmp_path / "m.npz"
    swing().save(arrays_path)
    arrays = dict(np.load(arrays_path))
    arrays["schema"] = np.array(99)
    np.savez(arrays_path, **arrays)
    with pytest.raises(MotionError, match="schema 99"):
        ReferenceMotion.load(arrays_path)


def test_sampling_meets_the_frames_and_holds_the_ends():
    motion = swing()
    t = np.arange(motion.num_frames) / motion.fps
    state = motion.sample(t)
    np.testing.assert_allclose(state.root_pos, motion.root_pos, atol=1e-9)
    assert quat_angle(state.joint_quat, motion.joint_quat).max() < 1e-6
    outside = motion.sample(np.array([-1.0, motion.duration + 1.0]))
    np.testing.assert_allclose(outside.root_pos, motion.root_pos[[0, -1]])
    np.testing.assert_allclose(motion.phase(np.array([0.0, motion.duration])), [0, 1])


def test_velocities_are_the_derivative_of_the_pose():
    motion = swing(period=60)
    t = np.linspace(0.1, 5.0, 37)
    state, h = motion.sample(t), 1e-4
    before, after = motion.pose(t - h), motion.pose(t + h)
    np.testing.assert_allclose(state.root_vel, (after[0] - before[0]) / (2 * h), atol=1e-6)
    hip = skeleton.link_index("right_hip")
    exact = 0.3 * np.pi * np.cos(np.pi * t)  # of the sine in `swing`, period 2 s
    np.testing.assert_allclose(state.joint_ang_vel[:, hip, 1], exact, atol=0.01)


def test_a_wrapped_motion_goes_on_without_a_jump():
    motion = swing(period=60)
    t = np.arange(0, 600) / 60.0
    pos, _, joints = motion.pose(t)
    np.testing.assert_allclose(np.diff(pos[:, 0]), 0.5 / 60, atol=1e-9)
    assert quat_angle(joints[1:], joints[:-1]).max() < 0.022  # 0.4 pi / 60 at the most


def test_the_closing_error_is_spread_over_the_cycle():
    motion = swing(period=60)
    motion.root_pos[60:, 2] += 0.05  # the last frame stands higher than the first
    knee = skeleton.link_index("left_knee")
    motion.joint_quat[60:, knee] = quat_multiply(
        motion.joint_quat[60, knee], np.array([np.cos(0.05), 0, np.sin(0.05), 0])
    )
    end = motion.pose(np.array([motion.period - 1e-6, motion.period]))
    assert abs(end[0][1] - end[0][0]).max() < 1e-4
    assert quat_angle(end[2][1], end[2][0]).max() < 1e-4


def test_a_turning_cycle_keeps_turning():
    motion = swing(period=60)
    yaw = 0.3 * np.arange(61) / 60
    motion.root_quat = np.stack((np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)), axis=-1)
    motion.loop_offset = loop_offset_between(
        motion.root_pos[0], motion.root_quat[0], motion.root_pos[60], motion.root_quat[60]
    )
    _, root, _ = motion.pose(np.array([3 * motion.period]))
    forward = quat_rotate(root[0], np.array([1.0, 0, 0]))
    np.testing.assert_allclose(np.arctan2(forward[1], forward[0]), 0.9, atol=1e-6)


def test_joint_positions_of_character_and_person_differ_by_their_proportions():
    motion = swing()
    motion.person_offsets = 1.1 * skeleton.OFFSETS
    motion.person_root_pos = 1.1 * motion.root_pos
    character, person = motion.joint_positions(), motion.joint_positions(person=True)
    assert character.shape == (motion.num_frames, 15, 3)
    np.testing.assert_allclose(person, 1.1 * character, atol=1e-9)


def test_a_moved_motion_is_the_same_one_elsewhere():
    motion = swing(period=60)
    other = moved(motion, np.pi / 2, (1.0, 2.0))
    t = np.linspace(0, 7, 40)  # over several cycles
    here, there = motion.sample(t), other.sample(t)
    expected = np.stack((1 - here.root_pos[:, 1], 2 + here.root_pos[:, 0]), axis=-1)
    np.testing.assert_allclose(there.root_pos[:, :2], expected, atol=1e-9)
    np.testing.assert_allclose(there.root_pos[:, 2], here.root_pos[:, 2], atol=1e-9)
    np.testing.assert_allclose(there.joint_quat, here.joint_quat)
    ahead = quat_rotate(there.root_quat, np.array([1.0, 0, 0]))
    np.testing.assert_allclose(ahead, np.tile([0, 1.0, 0], (40, 1)), atol=1e-9)
    back = moved(moved(other, 0.0, (-1.0, -2.0)), -np.pi / 2, (0.0, 0.0))
    np.testing.assert_allclose(back.loop_offset, motion.loop_offset, atol=1e-12)
