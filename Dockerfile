# psann in a container, with the versions that are tested: docs/from_node_to_paper.md, section 1.
#
#   VARIANT      cpu or cuda: which torch the image must have; another is refused.
#   TORCH_INDEX  address of the package index that has that wheel; empty takes the usual one, whose
#                wheel for Linux on x86-64 is the CUDA one, and for Arm the CPU one.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
ARG VARIANT=cpu
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# Alone, from its own index; what it needs comes with the rest, in the versions of constraints.txt.
RUN pip install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --constraint constraints.txt '.[report,tables]'
RUN python -c "import torch; has = 'cuda' if torch.version.cuda else 'cpu'; \
assert has == '$VARIANT', f'this torch is for {has}: give TORCH_INDEX, or VARIANT={has}'"

FROM python:${PYTHON_VERSION}-slim AS run
# engine: compiled translates updates by the C++ compiler.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
COPY configs /opt/psann/configs
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 psann
USER psann
WORKDIR /work
# It commits the run and ends with exit code 143, as under a scheduler.
STOPSIGNAL SIGTERM
ENTRYPOINT ["hisso-log-run"]
CMD ["--help"]
