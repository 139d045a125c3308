"""The rows of the paper's tables by name: an ADN, and how the anomaly map attends to it."""

ADNS = ("resnet18", "cnn")
EXTERNALS = ("direct", "mobilenet", "resnet")  # direct attention, MobileNet-like and ResNet-based CAAN

ROWS = tuple(row for adn in ADNS for row in (adn, *(f"{adn}-{external}" for external in EXTERNALS)))

# Parameters in millions as Tables 3, 5 and 7 print them, at 256×256.
PAPER_MILLIONS = {
    "resnet18": 11.2,
    "resnet18-direct": 11.2,
    "resnet18-mobilenet": 13.5,
    "resnet18-resnet": 16.1,
    "cnn": 4.0,
    "cnn-direct": 4.0,
    "cnn-mobilenet": 7.0,
    "cnn-resnet": 8.9,
}


def parts(row: str) -> tuple[str, str | None]:
    """The names of a row's ADN and external network; None where nothing attends (a plain ADN)."""
    adn, _, external = row.partition("-")
    return adn, external or None
