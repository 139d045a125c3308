"""How trainings run: one after another here, side by side, or on a cluster; and what is kept of them."""
