"""Moments of any order up to four, of data and of models, and the noise in their difference."""
