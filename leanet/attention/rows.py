"""The rows of the paper's tables by name: an ADN, and how it gets to know the anomaly map.

`resnet18` is a plain ADN; `resnet18-4ch-input` takes the map as an input; `resnet18-resnet` has an external
network attend to it. In place of resnet18 may stand any classification model of torchvision, or `cnn`.
"""

import difflib
from typing import NamedTuple

from leanet.core.errors import InputError

INPUTS = ("map-input", "4ch-input", "attentioned-input")
OURS = ("contrast", "painted")  # a ResNet-based CAAN whose M is standardised; taught by painted anomalies first
CAANS = ("mobilenet", "resnet", *OURS)
EXTERNALS = ("direct", *CAANS)
HOWS = (*INPUTS, *EXTERNALS)
MAP_ONE_CLASS = (
    "map-one-class"  # no row: the map by itself, without a network that judges (leanet.color.one_class)
)
CNN = "cnn"  # the paper's "basic CNN"; all other ADNs are torchvision's


def _family(adn: str, deeper: tuple[str, ...]) -> tuple[str, ...]:
    """The rows of an ADN in the order of the paper's tables; `deeper` ones of its kind come second."""
    return (adn, *deeper, *(f"{adn}-{how}" for how in HOWS if how not in OURS))


# Tables 3, 5, 6; then 7, 8.
PAPER = (*_family("resnet18", ("resnet50",)), *_family("vgg16", ("vgg19",)), *_family(CNN, ()))


class Parts(NamedTuple):
    """What a row's name says."""

    adn: str
    input: str | None  # of INPUTS; None for the image alone
    external: str | None  # of EXTERNALS; None where nothing attends


def parts(row: str) -> Parts:
    """Take a row's name apart."""
    adn, _, how = row.partition("-")
    return Parts(adn, how if how in INPUTS else None, how if how in EXTERNALS else None)


def check(row: str) -> None:
    """Make sure that `row` can be built.

    Raises:
        InputError: no model answers to its name; the text lists near ones.
    """
    adn, dash, how = row.partition("-")
    known = how in HOWS or not dash
    if known and adn in {paper.partition("-")[0] for paper in PAPER}:
        return
    adns = _adns()
    if known and adn in adns:
        return
    near_adns = [adn] if adn in adns else difflib.get_close_matches(adn, adns, n=3)
    near_hows = [how] if how in HOWS else difflib.get_close_matches(how, HOWS)
    near = [f"{a}-{h}" for a in near_adns for h in near_hows] if dash else near_adns
    if near:
        raise InputError(f"{row}, which is no row; near are {', '.join(near)}")
    raise InputError(
        f"{row}, which is no row; expected an ADN ({CNN}, resnet18, vgg16 or any other classification model of "
        f"torchvision), alone or with -{', -'.join(HOWS)}"
    )


def _adns() -> list[str]:
    # Here, not above: it loads torch, two seconds that only who names a model beyond the paper's pays.
    from torchvision import models

    return [CNN, *models.list_models(module=models)]
