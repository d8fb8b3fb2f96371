"""The agents that failsoft ships."""
