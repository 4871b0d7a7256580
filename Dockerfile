# One image, four processes: server, worker, mllp, apps (docker-compose.yml chooses by command).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY chartloop chartloop
COPY fhir_server fhir_server
COPY terminology terminology
COPY predictions predictions
COPY cds_hooks cds_hooks
COPY smart_apps smart_apps
COPY claims claims
COPY omop_bridge omop_bridge
COPY ingest ingest
RUN python -m venv /opt/chartloop && /opt/chartloop/bin/pip install --no-cache-dir --constraint constraints.txt '.[train,kafka,kinesis]'

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/chartloop --create-home chartloop
COPY --from=build /opt/chartloop /opt/chartloop
ENV PATH=/opt/chartloop/bin:$PATH PYTHONUNBUFFERED=1
USER chartloop
WORKDIR /var/lib/chartloop
VOLUME /var/lib/chartloop
EXPOSE 8080 2575 8501
ENTRYPOINT ["chartloop"]
CMD ["serve", "--data", "/var/lib/chartloop", "--host", "0.0.0.0", "--port", "8080"]
