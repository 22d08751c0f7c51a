"""What ``sfv_gym`` itself offers."""

from pathlib import Path

import pytest

import sfv_gym


@pytest.mark.parametrize("name", sfv_gym.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sfv_gym, name) is not None
    assert name in dir(sfv_gym)


def test_names_that_are_loaded_when_they_are_used_are_public_and_typed():
    assert set(sfv_gym._LAZY) <= set(sfv_gym.__all__)
    text = Path(sfv_gym.__file__).read_text()
    hints = text[text.index("if TYPE_CHECKING") : text.index("__version__ =")]
    assert all(name in hints for name in sfv_gym._LAZY)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sfv_gym.nonsense
