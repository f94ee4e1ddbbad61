"""Delivery: a version goes from shadow to canary to full, is watched, and is kept or taken back."""
