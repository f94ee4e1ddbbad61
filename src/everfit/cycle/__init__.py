"""The loop. Read this first.

    design → releases → features → training → gates → registry → delivery → serving → journal → monitoring → triggers ↺

Each station is a folder that knows none of the others; what they hand on is a record (:mod:`everfit.cycle.stations`).
The functions named here walk the ring, and they alone know its order. A person may start each of them (level
``manual``).
"""

from everfit.cycle.checking import check
from everfit.cycle.comparing import parity
from everfit.cycle.deploying import promote, roll_back
from everfit.cycle.learning import Learned, learn
from everfit.cycle.online import ViewDescription, describe_views, materialize, online_features
from everfit.cycle.stations import STATIONS, Station
from everfit.cycle.system import System
from everfit.cycle.watching import monitor, ship

__all__ = [
    "STATIONS",
    "Learned",
    "Station",
    "System",
    "ViewDescription",
    "check",
    "describe_views",
    "learn",
    "materialize",
    "monitor",
    "online_features",
    "parity",
    "promote",
    "roll_back",
    "ship",
]
