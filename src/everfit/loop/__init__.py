"""Everything that happens by itself: the loop that keeps a model fit after it ships.

    design → releases → features → training → gates → registry → delivery → serving → journal → monitoring → triggers ↺

Each station is a folder that imports none of the others; what they hand on is a record. This folder and
:mod:`everfit.commands` are the only ones that know the order of the ring.
"""
