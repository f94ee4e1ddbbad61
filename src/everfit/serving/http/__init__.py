"""HTTP over asyncio: connections, responses and routes."""
