"""A network of their own for a folder of unlabelled scans."""
