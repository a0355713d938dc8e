# Training on NVIDIA GPUs, whose libraries come with TensorFlow's own wheels:
#
#   docker build -f docker/train.Dockerfile -t sagan_tf-train .
#   mkdir -p runs cuda-cache
#   docker run --init --gpus=all --shm-size=1g --ulimit memlock=-1 --user="$(id -u):$(id -g)" \
#     -v /data:/data:ro -v "$PWD/runs:/runs" -v "$PWD/cuda-cache:/cuda-cache" \
#     sagan_tf-train --dataset=imagenet2012 --data_dir=/data/tfds --workdir=/runs/imagenet \
#     --cache_dir=/runs/cache
#
# `docker stop --time=600` gives it time to save; the same command goes on from there. NCCL passes
# gradients between GPUs through shared memory, of which Docker gives 64 MB. TensorFlow's wheels have
# no code for GPUs above compute capability 9.0, whose driver compiles it at the first start, takes
# up to half an hour, and keeps it in the cache.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \
    CUDA_CACHE_PATH=/cuda-cache CUDA_CACHE_MAXSIZE=4294967296

WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY sagan_tf sagan_tf
# hadolint ignore=DL3013  # pyproject.toml has the bounds.
RUN pip install --no-cache-dir ".[gpu]"

WORKDIR /
USER 65534:65534
ENTRYPOINT ["python", "-m", "sagan_tf.train"]
