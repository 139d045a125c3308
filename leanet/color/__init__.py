"""L*a*b*, CIEDE2000, Fancy PCA, the colouriser and its training, anomaly maps (section 3-1, Table 9)."""
