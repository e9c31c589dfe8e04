"""opentelemetry-exporter-otlp-proto-grpc: logs, metrics and traces over HTTP/2, with and without TLS."""

import logging
import os

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult, SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from proof import CREDENTIAL, RUN, SECURE_URL, URL, WRONG, expect_rows, main, refused

INSTANCE = f"grpc-{RUN}"
RESOURCE = Resource.create({"service.name": "clients", "service.instance.id": INSTANCE})
NUM_LOGS = 5_000


def options(credential=CREDENTIAL, compression=grpc.Compression.Gzip):
    """Over plain HTTP/2, as its clients do on one machine."""
    headers = (("authorization", f"Bearer {credential}"),)
    return {"endpoint": URL, "insecure": True, "headers": headers, "compression": compression, "timeout": 10}


def secure_options(credential=CREDENTIAL):
    """Over TLS, where the server must choose HTTP/2."""
    with open(os.environ["SSL_CERT_FILE"], "rb") as authority:
        credentials = grpc.ssl_channel_credentials(authority.read())
    return options(credential) | {"endpoint": SECURE_URL, "insecure": False, "credentials": credentials}


def send():
    logs = LoggerProvider(resource=RESOURCE)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**options()), max_queue_size=2 * NUM_LOGS))
    log = logging.getLogger("clients")
    log.addHandler(LoggingHandler(logger_provider=logs))
    for step in range(NUM_LOGS):
        log.error("it broke", extra={"step": step})
    traces = TracerProvider(resource=RESOURCE)
    traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**secure_options())))
    tracer = traces.get_tracer("clients")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
        span.set_attribute("http.response.status_code", 200)
    uncompressed = options(compression=grpc.Compression.NoCompression)
    metrics = MeterProvider(
        [PeriodicExportingMetricReader(OTLPMetricExporter(**uncompressed), 3_600_000)], resource=RESOURCE
    )
    metrics.get_meter("clients").create_counter("steps", unit="1").add(41, {"k": "v"})
    for provider in (logs, traces, metrics):
        provider.shutdown()


def read():
    mine = f"where AppRoleInstance == '{INSTANCE}'"
    expect_rows(
        f"AppTraces | {mine} | summarize n = count(), d = dcount(tolong(Properties.step), 4), m = take_any(Message)",
        [{"n": NUM_LOGS, "d": NUM_LOGS, "m": "it broke"}],
    )
    expect_rows(f"AppRequests | {mine} | project Name, ResultCode", [{"Name": "GET /", "ResultCode": "200"}])
    expect_rows(f"AppMetrics | {mine} | project Name, Sum", [{"Name": "steps", "Sum": 41.0}])


def bad_input():
    """No exporter makes a message that cannot be read, so the channel below it sends one."""
    method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    with grpc.insecure_channel(URL.removeprefix("http://")) as channel:
        metadata = (("authorization", f"Bearer {CREDENTIAL}"),)
        refused(lambda: channel.unary_unary(method)(b"no message", metadata=metadata, timeout=10), "INVALID_ARGUMENT")
        unknown = channel.unary_unary("/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export")
        refused(lambda: unknown(b"", metadata=metadata, timeout=10), "UNIMPLEMENTED")


def bad_credential():
    for wrong in (options(WRONG), secure_options(WRONG)):
        exporter = OTLPSpanExporter(**wrong)
        tracer = TracerProvider().get_tracer("clients")
        assert exporter.export([tracer.start_span("x")]) == SpanExportResult.FAILURE
        exporter.shutdown()


main(globals())
