"""Documents about models that are made from what is recorded: model cards, a site, Annex IV."""
