"""What every room stands on: errors, paths, arrays, devices, progress, typed settings. Small and stable."""
