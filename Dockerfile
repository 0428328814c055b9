# SAE Loupe in a container: torch for the CPU, no rights, one folder to write to. docs/deploy.md says how it is run.
FROM python:3.11-slim-bookworm AS build

# The torch that package indexes serve for Linux brings gigabytes of CUDA. This index has the build for the CPU.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PATH=/opt/loupe/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/loupe
WORKDIR /src
# Dependencies first: a change of the code then builds only the last layers anew.
COPY requirements.txt ./
RUN pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)" && pip install -r requirements.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE app.py ./
COPY .streamlit ./.streamlit
COPY core ./core
COPY ui ./ui
COPY pages ./pages
COPY sae_loupe ./sae_loupe
COPY demo ./demo
RUN pip install --no-deps .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/loupe /opt/loupe
# The number that Spaces run containers as. Results, notes, downloads and compiled loops go to /cache and nowhere else.
RUN install -d -o 1000 -g 1000 /cache
ENV PATH=/opt/loupe/bin:$PATH \
    HOME=/cache \
    XDG_CACHE_HOME=/cache/results \
    XDG_DATA_HOME=/cache/data \
    HF_HOME=/cache/huggingface \
    NUMBA_CACHE_DIR=/cache/numba \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /cache
WORKDIR /cache
USER 1000:1000
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["sae-loupe", "--host", "0.0.0.0", "--port", "8501", "--server.headless", "true"]
# Whoever reaches a container may be anybody. Words of your own after the image's name replace this one.
CMD ["--public"]
