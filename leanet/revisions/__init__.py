"""Comparing states of the project: commits, experiments, the workspace."""
