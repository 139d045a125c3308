"""From images on disk to arrays: the sets, decoding, sampling and folds. Knows no model."""
