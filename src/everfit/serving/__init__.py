"""Predictions over HTTP: decode, look up, compute, encode, predict, answer."""
