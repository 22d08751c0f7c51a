"""The command line ``sfv``; its entry point is ``sfv_gym.cli.main:main``."""
