"""Methods that work on the features of a frozen encoder: linear algebra and one linear classifier, in seconds."""
