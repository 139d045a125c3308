"""How fast it is, beside an obvious alternative in the same minutes: `make bench`."""
