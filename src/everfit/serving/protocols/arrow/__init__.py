"""Arrow IPC streams as request and response bodies."""
