"""Registry: versions of models, their aliases and lineage, and the history of the aliases."""
