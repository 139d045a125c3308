"""Making a detector from what a cross-validation came to, and entering it in MLflow."""
