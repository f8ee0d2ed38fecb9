# The whole reproduction, into ./results:
#     docker build -t pie . && docker run --rm -v "$PWD/results:/app/results" pie
FROM python:3.12-slim-bookworm

# All that is written beside results lies in /cache (the default data folder is /cache/pie), where any user may write, so
# that `--user` and `--read-only` work.
# USER is set because a number without a name in /etc/passwd makes getpass.getuser() fail, which PyTorch may call.
# Unbuffered, so that `docker logs` shows progress as it happens.
ENV HOME=/cache XDG_CACHE_HOME=/cache TMPDIR=/cache USER=pie PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --home-dir /cache --no-create-home pie \
 && install -d -m 1777 /app/results /cache /cache/pie

# The dependencies, each of the version and with a hash that requirements.lock names, have a layer that only a change of
# that file renews. The build's own tool is among them.
#
# PyPI's torch carries CUDA's gigabytes. TORCH=cpu takes torch and torchvision, of the locked versions, from PyTorch's
# index of CPU wheels, whose hashes the lock does not have. It leaves out CUDA's packages and checks everything else.
ARG TORCH=cuda
WORKDIR /src
COPY requirements.lock ./
RUN case "$TORCH" in \
    cuda) ;; \
    cpu) grep -oE '^torch(vision)?==[^ ]+' requirements.lock > torch.txt \
      && pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu --requirement torch.txt \
      && sed -i -E '/^(cuda|nvidia|triton)/,/# via/d' requirements.lock ;; \
    *) echo "TORCH is cuda or cpu, not '$TORCH'" >&2; exit 2 ;; \
    esac \
 && pip install --no-cache-dir --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY pie_cli pie_cli
COPY results/showcase results/showcase
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && pie --version

WORKDIR /app
USER 1000
VOLUME ["/app/results", "/cache"]
ENTRYPOINT ["pie"]
CMD ["reproduce", "--profile", "paper"]
