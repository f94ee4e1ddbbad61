"""Journal: the service's log of predictions and outcomes, its tables, and the label join."""
