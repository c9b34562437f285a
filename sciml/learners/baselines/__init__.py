"""Baselines, given the same features, loss, data and budget as our own learners."""
