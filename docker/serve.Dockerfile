# Gateway and page: small, since they need no TensorFlow. The command names the module.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp

COPY docker/requirements.txt /requirements.txt
RUN pip install --no-cache-dir -r /requirements.txt

WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY sagan_tf sagan_tf
RUN pip install --no-cache-dir --no-deps .

WORKDIR /
USER 65534:65534
EXPOSE 8080 7860
ENTRYPOINT ["python", "-m"]
