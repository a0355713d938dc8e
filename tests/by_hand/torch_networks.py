"""SAGAN's two networks in PyTorch, for comparisons of speed: the same layers and parameters.

They are written as PyTorch's users write them: NCHW modules, convolutions on the larger map, noise
and labels as tensors. Nothing of TensorFlow or of this package is imported.
"""

import torch
import torch.nn.functional as F  # noqa: N812, as PyTorch's users name it
from torch import nn

LATENT_DIM = 128
# (resolution, multiple of the filters) of each feature map, as in `sagan_tf/architecture.py`.
GENERATOR_FILTERS = {
    16: ((4, 4), (8, 2), (16, 1)),
    32: ((4, 4), (8, 4), (16, 4), (32, 4)),
    64: ((4, 16), (8, 8), (16, 4), (32, 2), (64, 1)),
    128: ((4, 16), (8, 16), (16, 8), (32, 4), (64, 2), (128, 1)),
    256: ((4, 16), (8, 16), (16, 8), (32, 8), (64, 4), (128, 2), (256, 1)),
}
DISCRIMINATOR_FILTERS = {
    16: ((8, 1), (4, 2), (4, 4)),
    32: ((16, 2), (8, 2), (8, 2), (8, 2)),
    64: ((32, 1), (16, 2), (8, 4), (4, 8), (4, 16)),
    128: ((64, 1), (32, 2), (16, 4), (8, 8), (4, 16), (4, 16)),
    256: ((128, 1), (64, 2), (32, 4), (16, 8), (8, 8), (4, 16), (4, 16)),
}


class Spectral(nn.Module):
    """Mixin: a layer whose weight is divided by its largest singular value.

    It does what `torch.nn.utils.parametrizations.spectral_norm` does, with fewer operations, and in
    float32 under autocast, which would compute the power iteration in bfloat16.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.weight.dim() == 4:
            nn.init.xavier_uniform_(self.weight)
        rows, columns = len(self.weight), self.weight[0].numel()
        self.register_buffer("u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(columns), dim=0))

    def normalized_weight(self):
        weight = self.weight
        with torch.autocast(weight.device.type, enabled=False):
            # The order of the columns does not matter, and this one needs no copy.
            channels_last = weight.dim() == 4 and not weight.is_contiguous()
            matrix = (weight.permute(0, 2, 3, 1) if channels_last else weight).flatten(1)
            if self.training:
                with torch.no_grad():
                    self.v.copy_(F.normalize(torch.mv(matrix.t(), self.u), dim=0))
                # Copies, as the next call's update must not change this call's gradient.
                v = self.v.clone()
                product = torch.mv(matrix, v)
                u = F.normalize(product.detach(), dim=0)
                self.u.copy_(u)
            else:
                u, v = self.u, self.v
                product = torch.mv(matrix, v)
            return weight / torch.dot(u, product)


class SpectralConv2d(Spectral, nn.Conv2d):
    def forward(self, inputs):
        return self._conv_forward(inputs, self.normalized_weight(), self.bias)


class SpectralLinear(Spectral, nn.Linear):
    def forward(self, inputs):
        return F.linear(inputs, self.normalized_weight(), self.bias)


class SpectralEmbedding(Spectral, nn.Embedding):
    def forward(self, labels):
        return F.embedding(labels, self.normalized_weight())


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose gain and bias are rows of a table, gains in its first half."""

    def __init__(self, channels, num_classes, momentum=1 - 0.999**4):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, momentum=momentum, affine=False)
        self.table = nn.Embedding(num_classes, 2 * channels)
        with torch.no_grad():
            self.table.weight[:, :channels].fill_(1)
            self.table.weight[:, channels:].zero_()

    def forward(self, inputs, labels):
        normalized = self.norm(inputs)
        # (N, 2C) to twice (N, C, 1, 1), in the dtype of the map, so that it stays as it is
        rows = self.table(labels).to(normalized.dtype)[:, :, None, None]
        gains, biases = rows.chunk(2, dim=1)
        return torch.addcmul(biases, normalized, gains)


class SelfAttention(nn.Module):
    """Every position attends to the pooled positions; `gamma` starts at zero."""

    def __init__(self, channels, query_key_ratio):
        super().__init__()
        self.query = SpectralConv2d(channels, channels // query_key_ratio, 1, bias=False)
        self.key = SpectralConv2d(channels, channels // query_key_ratio, 1, bias=False)
        self.value = SpectralConv2d(channels, channels // 2, 1, bias=False)
        self.output = SpectralConv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, inputs):
        size = inputs.shape[2:]
        query = self.query(inputs).flatten(2)  # (N, C/8, L)
        key = F.max_pool2d(self.key(inputs), 2).flatten(2)  # (N, C/8, M)
        value = F.max_pool2d(self.value(inputs), 2).flatten(2)  # (N, C/2, M)
        scores = torch.softmax(torch.bmm(query.transpose(1, 2), key), dim=-1)  # (N, L, M)
        if inputs.is_contiguous():
            attended = torch.bmm(value, scores.to(value.dtype).transpose(1, 2))  # (N, C/2, L)
        else:  # The product whose result is channels last.
            attended = torch.bmm(scores.to(value.dtype), value.transpose(1, 2)).transpose(1, 2)
        attended = self.output(attended.unflatten(2, size))
        return inputs + self.gamma.to(attended.dtype) * attended


class GeneratorBlock(nn.Module):
    def __init__(self, channels, filters, num_classes, cheap_shortcuts):
        super().__init__()
        self.cheap_shortcuts = cheap_shortcuts
        self.norm_0 = ConditionalBatchNorm2d(channels, num_classes)
        self.conv_0 = SpectralConv2d(channels, filters, 3, padding=1)
        self.norm_1 = ConditionalBatchNorm2d(filters, num_classes)
        self.conv_1 = SpectralConv2d(filters, filters, 3, padding=1)
        self.shortcut = SpectralConv2d(channels, filters, 1)

    def forward(self, inputs, labels):
        hidden = F.relu(self.norm_0(inputs, labels), inplace=True)
        hidden = self.conv_0(F.interpolate(hidden, scale_factor=2))
        hidden = self.conv_1(F.relu(self.norm_1(hidden, labels), inplace=True))
        if self.cheap_shortcuts:
            return hidden + F.interpolate(self.shortcut(inputs), scale_factor=2)
        return hidden + self.shortcut(F.interpolate(inputs, scale_factor=2))


class DiscriminatorBlock(nn.Module):
    def __init__(self, channels, filters, first, downsample, cheap_shortcuts):
        super().__init__()
        self.first, self.downsample = first, downsample
        self.pool_first = first or cheap_shortcuts
        self.conv_0 = SpectralConv2d(channels, filters, 3, padding=1)
        self.conv_1 = SpectralConv2d(filters, filters, 3, padding=1)
        self.shortcut = None
        if downsample or channels != filters:
            self.shortcut = SpectralConv2d(channels, filters, 1)

    def forward(self, inputs):
        hidden = self.conv_0(inputs if self.first else F.relu(inputs))
        hidden = self.conv_1(F.relu(hidden, inplace=True))
        if self.downsample:
            hidden = F.avg_pool2d(hidden, 2)
            if self.pool_first:
                return hidden + self.shortcut(F.avg_pool2d(inputs, 2))
            return hidden + F.avg_pool2d(self.shortcut(inputs), 2)
        return hidden + (inputs if self.shortcut is None else self.shortcut(inputs))


class Generator(nn.Module):
    """Latents `(N, 128)` and labels `(N,)` to float32 images `(N, 3, H, W)` in [-1, 1]."""

    def __init__(self, image_size, filters, num_classes, cheap_shortcuts=False):
        super().__init__()
        (_, multiple), *blocks = GENERATOR_FILTERS[image_size]
        channels = multiple * filters
        self.first = SpectralLinear(LATENT_DIM, 4 * 4 * channels)
        self.stages = nn.ModuleList()
        for resolution, multiple in blocks:
            arguments = multiple * filters, num_classes, cheap_shortcuts
            self.stages.append(GeneratorBlock(channels, *arguments))
            channels = multiple * filters
            if resolution == image_size // 2:
                self.stages.append(SelfAttention(channels, min(8, filters)))
        self.norm = nn.BatchNorm2d(channels, momentum=1 - 0.9999**4)
        self.output = SpectralConv2d(channels, 3, 3, padding=1)

    def forward(self, latents, labels):
        hidden = self.first(latents).unflatten(1, (-1, 4, 4))  # (N, C, 4, 4)
        if not self.output.weight.is_contiguous():
            hidden = hidden.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            hidden = stage(hidden) if isinstance(stage, SelfAttention) else stage(hidden, labels)
        hidden = self.output(F.relu(self.norm(hidden), inplace=True))
        return torch.tanh(hidden.float())


class Discriminator(nn.Module):
    """Images and labels to float32 logits `(N,)`."""

    def __init__(self, image_size, filters, num_classes, cheap_shortcuts=False):
        super().__init__()
        self.stages = nn.ModuleList()
        channels, previous, attends = 3, image_size, False
        for index, (resolution, multiple) in enumerate(DISCRIMINATOR_FILTERS[image_size]):
            arguments = index == 0, resolution < previous, cheap_shortcuts
            self.stages.append(DiscriminatorBlock(channels, multiple * filters, *arguments))
            channels, previous = multiple * filters, resolution
            if resolution == image_size // 2 and not attends:
                attends = True
                self.stages.append(SelfAttention(channels, min(8, filters)))
        self.logit = SpectralLinear(channels, 1)
        self.embedding = SpectralEmbedding(num_classes, channels)

    def forward(self, images, labels):
        hidden = images
        for stage in self.stages:
            hidden = stage(hidden)
        features = F.relu(hidden).sum((2, 3), dtype=torch.float32)  # (N, C)
        with torch.autocast(images.device.type, enabled=False):
            embedded = self.embedding(labels)
            return self.logit(features).squeeze(1) + (features * embedded).sum(1)
