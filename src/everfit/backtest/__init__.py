"""The backtest: a model's policy, and others, on its own history, by the functions that run live."""
