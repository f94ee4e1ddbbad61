"""From a training frame to a candidate: split by time, tune, fit, score."""
