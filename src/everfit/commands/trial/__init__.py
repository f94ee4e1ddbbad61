"""Steps of a release's trial: everything that new code goes through before it is used."""
