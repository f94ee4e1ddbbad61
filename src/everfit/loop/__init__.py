"""Everything that happens by itself: the loop that keeps a model fit after it ships.

    design → releases → features → training → gates → registry → delivery → serving → journal → monitoring → triggers ↺

Each station imports none of the others and hands on a record; only this folder and ``commands`` know their order.
"""
