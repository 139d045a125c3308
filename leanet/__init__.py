"""LEA-Net: layer-wise external attention for colour anomaly detection (arXiv 2109.05493)."""


def __getattr__(name: str):
    if name == "Detector":  # loads torch, which who trains or tracks may do without
        from leanet.detector.detector import Detector

        return Detector
    raise AttributeError(f"module 'leanet' has no attribute {name!r}")
