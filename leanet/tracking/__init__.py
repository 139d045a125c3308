"""MLflow, fed from the files that the stages wrote."""
