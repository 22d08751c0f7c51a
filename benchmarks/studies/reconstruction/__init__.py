"""Reconstruction against the truth: joint errors beside raw MediaPipe's."""
