"""When does attention pay? Rows, controls and ideas on the same images, many times, with paired differences."""
