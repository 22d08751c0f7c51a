"""``python -m sfv_gym.cli`` is ``sfv``."""

from sfv_gym.cli.main import main

main()
