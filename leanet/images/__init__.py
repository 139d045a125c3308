"""From a folder, or a published set, to one array with labels and folds (section 4-1, Tables 2 and 4)."""
