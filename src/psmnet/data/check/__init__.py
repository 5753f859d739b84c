"""What is wrong with a folder in the normalised layout."""
