"""Modalities: kinds of input, each with its columns, its rows and its words. Images, texts and recordings are built in."""
