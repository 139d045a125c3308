"""The networks of the paper as plain modules: no files, no logging."""
