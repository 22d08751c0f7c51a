"""What counts as free flight, for reconstruction and for retargeting alike."""

GRAVITY = 9.81
"""m/s2"""
MIN_FLIGHT_SECONDS = 0.12
"""A shorter gap between contacts is no flight."""
