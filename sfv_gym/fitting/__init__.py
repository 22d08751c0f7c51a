"""Fitting a whole trajectory at once: what reconstruction and retargeting both build on."""
