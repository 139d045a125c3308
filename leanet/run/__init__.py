"""How it all runs: stages, trainings as jobs, what is kept of them, Ray, and what machines run out of."""
