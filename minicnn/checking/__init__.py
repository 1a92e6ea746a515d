"""Is a gradient right?  Any operation against central differences of itself, and what a wrong one looks like."""
