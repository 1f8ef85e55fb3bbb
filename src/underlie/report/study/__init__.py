"""The page of ``underlie survival``: a model fitted many times over, judged, and what it says of treatments."""
