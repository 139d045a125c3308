"""`leanet serve`: a detector as a page and an API."""
