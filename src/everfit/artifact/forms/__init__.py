"""The forms in which estimators are stored and executed, one file each."""
