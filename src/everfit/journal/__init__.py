"""Keeps what was answered: from the prediction service's log into tables, with what became of it joined."""
