"""Judge models: figures, label-free validators, calibration, and the verdict on shipping."""
