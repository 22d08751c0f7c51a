"""Shapes in hints: checked while tests run, and nothing at all elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from sfv_gym.envs.rewards import TrackingErrors, pose_reward
from sfv_gym.motion import loop_offset_between


def test_a_wrong_shape_is_found_where_it_goes_in():
    with pytest.raises(TypeCheckError, match="loop_offset_between"):
        loop_offset_between(np.ones(3), np.ones(4), np.ones(2), np.ones(4))
    with pytest.raises(TypeCheckError):
        TrackingErrors(np.ones((2, 5)), np.ones((2, 5)), np.ones((2, 4)), np.ones(3))


def test_what_fits_is_left_as_it_is():
    errors = TrackingErrors(np.ones((2, 5)), np.ones((2, 5)), np.ones((2, 4)), np.ones(2))
    assert pose_reward(errors)[0].shape == (2,)


def test_nobody_needs_jaxtyping_who_runs_no_tests():
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        assert not name.startswith(('jaxtyping', 'beartype')), name\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import numpy as np\n"
        "from sfv_gym.envs.rewards import TrackingErrors\n"
        "from sfv_gym.rotations import quat_rotate\n"
        "from sfv_gym.motion import Trajectory\n"
        "assert quat_rotate(np.ones(4), np.ones(3)).shape == (3,)\n"
        "import typing; assert typing.get_type_hints(TrackingErrors)['rotation'] is np.ndarray\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
