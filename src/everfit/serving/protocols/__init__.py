"""Wire formats of the prediction service; each translates to the data plane and back."""
