"""Client of a prediction service for Python: the standard library and msgspec, nothing heavy.

:class:`everfit.client.client.Client` is what users see, as ``everfit.Client``. It knows the service by its words on the
wire alone, so that it runs where nothing of a project is installed.
"""
