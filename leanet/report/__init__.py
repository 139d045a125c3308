"""From predictions to tables, plots and pictures."""
