"""A search of settings, whose score is of images that it never saw."""
