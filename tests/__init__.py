"""One folder for each promise; everything runs on real servers that the run starts itself."""
