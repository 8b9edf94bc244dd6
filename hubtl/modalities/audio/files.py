"""Name columns of recordings, and the suffixes of their files: those of soundfile's formats."""

NAMES = ("audio", "sound", "recording", "wav", "speech")  # of columns, the likeliest first
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".au"})
