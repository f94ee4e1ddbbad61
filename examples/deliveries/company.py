"""The company as this project meets it: sixty quiet days, but for road works that begin on 25 January and stay."""

from __future__ import annotations

from datetime import timedelta

import simulator
from incidents import concept_change
from simulator import START, World

ROAD_WORKS = concept_change(START + timedelta(days=24, hours=6))


def simulate() -> World:
    """What its systems recorded, and what was so."""
    return simulator.simulate(incidents=(ROAD_WORKS,))
