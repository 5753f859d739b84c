"""From raw downloads to the normalised layout."""
