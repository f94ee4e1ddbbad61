"""On-demand transformations as stored expressions and as compiled functions of one row."""
