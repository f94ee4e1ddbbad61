"""Pictures of the documentation, drawn from recorded data by ``make docs``."""
