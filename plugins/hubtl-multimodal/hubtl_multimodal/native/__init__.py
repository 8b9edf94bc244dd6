"""transformers' own classifiers of one modality, text or audio: what is saved opens without hubtl."""
