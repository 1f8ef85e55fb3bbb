"""The scikit-learn face of every model: fit, transform, impute, sample, score, save."""
