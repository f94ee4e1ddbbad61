"""Drives a running system through HTTP with history. A caller like any other: nothing below knows of it."""
