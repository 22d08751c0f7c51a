"""Scores of policies and reconstructions: suites, metrics, statistics, reports."""
