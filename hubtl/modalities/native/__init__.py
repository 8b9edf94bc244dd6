"""Adapt transformers' own classifiers of text or audio; saved models load without hubtl."""
