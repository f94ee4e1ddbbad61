"""Releases: commits of the source repository that are tested, built and made the code that everything runs in."""
