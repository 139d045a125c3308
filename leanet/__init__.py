"""LEA-Net: layer-wise external attention for colour anomaly detection (arXiv 2109.05493)."""
