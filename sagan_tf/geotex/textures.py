"""Textures: random fields that look the same everywhere, in two random colours.

Each texture is white noise, filtered to a band of spatial frequencies. The correlation of the
narrowest band falls off as a Gaussian of 9 pixels, so that distant pixels are unrelated.
Frequencies are in cycles per pixel at every image size: textures that scaled with the image would
need long-range relations, as geometry does.
"""

import dataclasses
import functools

import numpy as np
import scipy.fft

from sagan_tf.geotex.canvas import STEP
from sagan_tf.geotex.outcome import Outcome

# Pixels that are drawn beyond an image and cut off: a filtered field is periodic, so its left edge
# would be related to its right edge.
_BORDER = 32
# Smallest mean difference of the two colours, and smallest contrast of a readable image, in levels.
_LEAST_DIFFERENCE = 110
_LEAST_CONTRAST = 10
# Distance from the band's centre, in widths of the band, within which a field must have at least
# this fraction of its power.
_REACH = 2.5
_LEAST_SHARE = 0.8
_MOST_ORIENTED = 0.75
# Smallest contrast, relative to the image's, in the area that geometry leaves empty.
_LEAST_IN_MIDDLE = 0.2


@dataclasses.dataclass(frozen=True)
class Texture:
    """A band of spatial frequencies around a point or a ring, in cycles per pixel.

    Attributes:
        frequency: frequency at the centre of the band.
        width: standard deviation of the band.
        degrees: direction across the stripes, from x towards y; `None` for all directions.
    """

    frequency: float
    width: float
    degrees: float | None = None

    def distance(self, size: int) -> np.ndarray:
        """Distance of each `np.fft.fft2` frequency from the band, in widths, `(size, size)`."""
        y, x = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
        if self.degrees is None:
            return np.abs(np.hypot(x, y) - self.frequency) / self.width
        angle = np.deg2rad(self.degrees)
        x_middle, y_middle = self.frequency * np.cos(angle), self.frequency * np.sin(angle)
        distances = [np.hypot(x - s * x_middle, y - s * y_middle) for s in (1, -1)]
        return np.minimum(*distances) / self.width


TEXTURES = {
    "stripes": Texture(frequency=0.16, width=0.022, degrees=45),
    "cells": Texture(frequency=0.16, width=0.022),
    "clouds": Texture(frequency=0.05, width=0.018),
    "fur": Texture(frequency=0.30, width=0.035, degrees=0),
}


def draw(name: str, random: np.random.Generator, size: int) -> np.ndarray:
    """An image of a texture in tones, `(S, S, 3)`."""
    field = _field(name, random, size)
    mixture = np.clip(0.5 + field / 3, 0, 1)[..., np.newaxis]
    while True:
        first, second = random.uniform(16, 240, size=(2, 3))
        if np.abs(first - second).mean() >= _LEAST_DIFFERENCE:
            break
    return (first + mixture * (second - first) - 128) / STEP


def check(name: str, images: np.ndarray) -> Outcome:
    """Checks whether uint8 images `(N, S, S, 3)` have the texture's spectrum: a coarse test.

    Nearly all images with a single fine-grained texture and a single pair of colours pass. Images
    with a second pair of colours often fail, as the seam between them has a spectrum of its own.

    `value` is float `(N,)`: the fraction of the power within the band.
    """
    texture, size = TEXTURES[name], images.shape[1]
    levels = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)  # (N, 3, S, S)
    levels -= levels.mean(axis=(2, 3), keepdims=True)
    readable = levels.std(axis=(2, 3)).max(axis=1) >= _LEAST_CONTRAST
    power = _power(levels)
    # The window blurs the spectrum by about 1 / size.
    reach = _REACH + 1 / size / texture.width
    share = power @ (texture.distance(size).ravel() <= reach)
    satisfied = readable & (share >= _LEAST_SHARE) & _is_everywhere(levels)
    if texture.degrees is None:
        satisfied &= _orientation(power, size) <= _MOST_ORIENTED
    return Outcome(readable, satisfied, share)


def _field(name: str, random: np.random.Generator, size: int) -> np.ndarray:
    """A random field with mean 0 and variance 1, `(size, size)`."""
    drawn = size + _BORDER
    noise = np.fft.rfft2(random.standard_normal((drawn, drawn)))
    return np.fft.irfft2(noise * _filter(name, drawn), (drawn, drawn))[:size, :size]


@functools.cache
def _filter(name: str, size: int) -> np.ndarray:
    gain = np.exp(-(TEXTURES[name].distance(size) ** 2) / 4)  # its square is the power
    return (gain / np.sqrt(np.mean(gain**2)))[:, : size // 2 + 1]


def _power(levels: np.ndarray) -> np.ndarray:
    """The fraction of the power of all channels at each frequency, `(N, S * S)`."""
    window = np.hanning(levels.shape[2] + 2)[1:-1].astype(np.float32)
    waves = scipy.fft.fft2(levels * np.outer(window, window))  # NumPy's would be float64
    power = (waves.real**2 + waves.imag**2).sum(axis=1).reshape(len(levels), -1)
    return power / np.maximum(power.sum(axis=1, keepdims=True), 1e-6)


def _is_everywhere(levels: np.ndarray) -> np.ndarray:
    """Whether the middle has contrast at the top and the bottom, where geometry is empty."""
    third = levels.shape[2] // 3
    middle = levels[..., third:-third]
    variances = [
        part.var(axis=(2, 3)).sum(axis=1)
        for part in (levels, middle[:, :, :third], middle[:, :, -third:])
    ]
    return np.minimum(*variances[1:]) >= _LEAST_IN_MIDDLE**2 * variances[0]


def _orientation(power: np.ndarray, size: int) -> np.ndarray:
    """0 if the power is spread over all directions, 1 if it is in one direction, `(N,)`."""
    frequencies = np.fft.fftfreq(size)
    angles = np.arctan2(frequencies[:, np.newaxis], frequencies).ravel()
    return np.hypot(power @ np.cos(2 * angles), power @ np.sin(2 * angles))
