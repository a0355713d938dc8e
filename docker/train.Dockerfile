# Training on NVIDIA GPUs, whose libraries come with TensorFlow's own wheels:
#
#   docker build -f docker/train.Dockerfile -t sagan_tf-train .
#   docker run --init --gpus=all --user="$(id -u):$(id -g)" \
#     -v /data:/data:ro -v "$PWD/runs:/runs" \
#     sagan_tf-train --dataset=imagenet2012 --data_dir=/data/tfds --workdir=/runs/imagenet
#
# `docker stop --time=600` gives it time to save; the same command goes on from there.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp

WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY sagan_tf sagan_tf
# hadolint ignore=DL3013  # pyproject.toml has the bounds.
RUN pip install --no-cache-dir ".[gpu]"

WORKDIR /
USER 65534:65534
ENTRYPOINT ["python", "-m", "sagan_tf.train"]
