"""The data plane: variants, models, batching and shadow requests."""
