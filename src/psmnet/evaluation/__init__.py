"""How well methods segment: protocols, metrics and results."""
