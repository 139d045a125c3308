"""The loops that one writes first: torchvision, PIL, a DataLoader, float32 and Adam; the same networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from leanet.attention.leanet import build
from leanet.color.unet import UNet


class Folder(Dataset):
    """Image files, their maps as grey image files, and labels."""

    def __init__(self, root: Path, side: int):
        self.images = sorted(root.glob("image*.png"))
        self.maps = sorted(root.glob("map*.png"))
        self.transform = transforms.Compose([transforms.Resize((side, side)), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int):
        image = self.transform(Image.open(self.images[i]).convert("RGB"))
        anomaly = self.transform(Image.open(self.maps[i]))
        return image, anomaly, i % 2


class GreyAndColor(Folder):
    """Luminance and a*b* of the images, as a U-Net takes them."""

    def __getitem__(self, i: int):
        image = super().__getitem__(i)[0]
        lab = torch.from_numpy(rgb2lab(image.permute(1, 2, 0).numpy())).permute(2, 0, 1).float()
        return lab[:1] / 100, (lab[1:] + 128) / 255


def train_leanet(root: Path, side: int, row: str):
    """One epoch of a row, a call."""
    loader = DataLoader(Folder(root, side), batch_size=16, shuffle=True)
    network = build(row, side=side, point=3)
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-4), nn.BCEWithLogitsLoss()

    def epoch():
        network.train()
        for images, maps, labels in loader:
            optimizer.zero_grad()
            logits, external, _ = network(images, maps)
            wanted = F.one_hot(labels, 2).float()
            loss = criterion(logits, wanted)
            if external is not None:
                loss = loss + criterion(external, wanted)
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch


def train_unet(root: Path, side: int):
    """One epoch of the U-Net, a call."""
    loader = DataLoader(GreyAndColor(root, side), batch_size=16, shuffle=True)
    network = UNet(side=side, width=64, dropout=0.5)
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-3), nn.MSELoss()

    def epoch():
        network.train()
        for lightness, color in loader:
            optimizer.zero_grad()
            loss = criterion(network(lightness), color)
            loss.backward()
            optimizer.step()
            loss.item()

    return epoch


def unet_forward(side: int):
    """Colour for 32 grey images, a call."""
    network = UNet(side=side, width=64, dropout=0.5).eval()
    lightness = torch.rand(32, 1, side, side)

    def forward():
        with torch.no_grad():
            network(lightness)

    return forward


def draw_folder(root: Path, count: int, side: int) -> None:
    """So many images and maps of noise under smooth shading, as PNG."""
    rng = np.random.default_rng(0)
    for i in range(count):
        shading = np.linspace(0, 200, side)[:, None, None] + rng.integers(0, 50, (side, side, 3))
        Image.fromarray(shading.astype(np.uint8)).save(root / f"image{i:05}.png")
        Image.fromarray(rng.integers(0, 255, (side, side), np.uint8)).save(root / f"map{i:05}.png")
