"""One training loop, and the two networks that go through it."""
