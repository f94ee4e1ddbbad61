"""Names of the aliases that versions have in MLflow."""

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
