"""Read handwritten digits: a small network on 1,797 images of 8 x 8 pixels.

Ends with the accuracy on images that the training has not seen:

    python examples/digits.py [--device cpu] [--epochs 40] [--seed 0] [--plot digits.png]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import plugrad as torch
from plugrad import nn, optim

try:
    from tqdm import tqdm
except ImportError:
    sys.exit("digits.py shows its progress with tqdm, which is not installed: pip install tqdm")

DATA = Path(__file__).with_name("data") / "digits.csv.gz"
TEST_SIZE = 360
BATCH_SIZE = 64


def load_digits(device):
    """Return (train images, train labels), (test images, test labels): the same split at every call."""
    table = np.loadtxt(DATA, delimiter=",", dtype=np.float32)
    images = torch.from_numpy(table[:, :64] / 16)  # pixels are 0 .. 16
    labels = torch.from_numpy(table[:, 64].astype(np.int64))
    torch.manual_seed(0)
    order = torch.randperm(len(labels))
    images, labels = images[order].to(device), labels[order].to(device)
    return (images[TEST_SIZE:], labels[TEST_SIZE:]), (images[:TEST_SIZE], labels[:TEST_SIZE])


def make_model():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))


def train_epoch(model, optimizer, images, labels):
    """Take one pass over the images in random order; return the mean loss."""
    model.train()
    criterion = nn.CrossEntropyLoss()
    order = torch.randperm(len(labels), device=labels.device)
    total = 0.0
    for start in range(0, len(labels), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        loss = criterion(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(labels)


def predict(model, images):
    model.eval()
    with torch.no_grad():
        return model(images).argmax(dim=1)


def plot(file, losses, images, labels, predicted):
    """Save the loss curve, and up to ten digits that the network misread, as a picture."""
    from matplotlib.figure import Figure

    images, labels, predicted = (t.cpu().numpy() for t in (images, labels, predicted))
    misread = np.flatnonzero(labels != predicted)[:10]
    figure = Figure(figsize=(10, 4), layout="constrained")
    curve, gallery = figure.subfigures(1, 2)
    axes = curve.subplots()
    axes.semilogy(range(1, len(losses) + 1), losses)
    axes.set(xlabel="epoch", ylabel="training loss")
    gallery.suptitle("misread digits (true, read as)")
    for place, i in zip(gallery.subplots(2, 5).flat, misread):
        place.imshow(images[i].reshape(8, 8), cmap="gray_r")
        place.set_title(f"{labels[i]}, {predicted[i]}")
    for place in gallery.axes:
        place.axis("off")
    figure.savefig(file)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--device", default="cpu", help="where to train, e.g. cpu or cuda (default: cpu)")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training data (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches (default: 0)")
    parser.add_argument("--plot", metavar="FILE", help="save the losses and misread digits to a picture")
    arguments = parser.parse_args(argv)
    if arguments.plot:
        try:  # before the training, which would be lost otherwise
            import matplotlib  # noqa: F401
        except ImportError:
            parser.error("--plot needs matplotlib, which is not installed: pip install matplotlib")
    return arguments


def main(argv=None):
    """Train, print the result and return (test accuracy, mean loss of each epoch)."""
    arguments = parse_arguments(argv)
    device = torch.device(arguments.device)
    started = time.perf_counter()
    (images, labels), (test_images, test_labels) = load_digits(device)

    torch.manual_seed(arguments.seed)
    model = make_model().to(device)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    with tqdm(range(arguments.epochs), unit="epoch") as progress:
        for _ in progress:
            losses.append(train_epoch(model, optimizer, images, labels))
            progress.set_postfix(loss=f"{losses[-1]:.4f}")

    predicted = predict(model, test_images)
    accuracy = (predicted == test_labels).float().mean().item()
    seconds = time.perf_counter() - started
    if arguments.plot:
        plot(arguments.plot, losses, test_images, test_labels, predicted)
    print(f"test accuracy {accuracy:.2%} in {seconds:.1f} s on {device}")
    return accuracy, losses


if __name__ == "__main__":
    main()
