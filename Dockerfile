# safelab on a machine with an NVIDIA GPU: needs its driver and the NVIDIA container toolkit.
#
#     docker build --tag safelab .
#     docker run --gpus all --volume safelab-cache:/home/safelab/.cache --volume "$PWD/outputs:/work/outputs" safelab train algorithm=safe
#
# PyTorch's wheels bring CUDA along, so that a plain Python image is enough.
FROM python:3.12.11-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/home/safelab/.cache/huggingface \
    SAFELAB_CACHE=/home/safelab/.cache/safelab

RUN useradd --create-home --uid 1000 safelab \
    && mkdir -p /work/outputs /home/safelab/.cache/huggingface /home/safelab/.cache/safelab \
    && chown -R safelab:safelab /work /home/safelab

# The locked versions first: this layer, the large one, stays when only the code has changed.
COPY requirements.lock /opt/safelab/
RUN pip install --requirement /opt/safelab/requirements.lock

COPY pyproject.toml README.md LICENSE /opt/safelab/
COPY conf /opt/safelab/conf
COPY src /opt/safelab/src
RUN pip install --no-deps --no-build-isolation /opt/safelab

USER 1000
WORKDIR /work
# Models of the hub and the embedded world.
VOLUME ["/home/safelab/.cache"]

ENTRYPOINT ["safelab"]
CMD ["--help"]
