"""ADN, external networks, and the attention between them (sections 3-2 to 3-5, Eq. 1 to 3, Table 1)."""
