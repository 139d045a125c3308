"""The one training loop, its two recipes, and the state of a training. Knows neither images nor networks."""
