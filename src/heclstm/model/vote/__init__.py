"""Weighted unit and sequence voting: from the features and states of all frames to one score."""
