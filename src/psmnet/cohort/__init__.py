"""Many scans, segmented by the same labelled ones: which they are, by whom, and what is told of them."""
