"""Completion of pictures: the right skill found, and what goes on from it staying up."""
