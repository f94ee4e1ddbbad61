"""What a user writes: frozen values that say what is predicted, from which data, and what counts as good.

Definitions hold no data and do no input or output; the stations give them meaning.
"""
