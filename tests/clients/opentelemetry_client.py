"""opentelemetry-exporter-otlp-proto-http: logs, metrics and traces of the OpenTelemetry SDK."""

import logging
import os

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult, SimpleSpanProcessor
from opentelemetry.trace import SpanKind

import requests
from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main

RESOURCE = Resource.create({"service.name": "clients", "service.instance.id": RUN})


def options(path, credential=CREDENTIAL):
    headers = {"Authorization": f"Bearer {credential}"}
    return {"endpoint": f"{URL}/v1/{path}", "headers": headers, "compression": Compression.Gzip, "timeout": 10}


def send():
    logs = LoggerProvider(resource=RESOURCE)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**options("logs"))))
    log = logging.getLogger("clients")
    log.addHandler(LoggingHandler(logger_provider=logs))
    log.error("it broke", extra={"step": 7})
    traces = TracerProvider(resource=RESOURCE)
    traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**options("traces"))))
    tracer = traces.get_tracer("clients")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
        span.set_attribute("http.response.status_code", 200)
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as inner:
            inner.set_attribute("db.system", "sqlite")
            inner.add_event("row", {"n": 1})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(**options("metrics")), 3_600_000)
    metrics = MeterProvider([reader], resource=RESOURCE)
    meter = metrics.get_meter("clients")
    meter.create_counter("steps", unit="1", description="steps taken").add(41, {"k": "v"})
    meter.create_histogram("took").record(2.5)
    for provider in (logs, traces, metrics):
        provider.shutdown()


def read():
    mine = f"where AppRoleInstance == '{RUN}'"
    expect_rows(
        f"AppTraces | {mine} | project Message, SeverityLevel, AppRoleName, step = tolong(Properties.step)",
        [{"Message": "it broke", "SeverityLevel": 3, "AppRoleName": "clients", "step": 7}],
    )
    expect_rows(
        f"AppRequests | {mine} | project Name, ResultCode, Success", [{"Name": "GET /", "ResultCode": "200", "Success": True}]
    )
    expect_rows(
        f"AppDependencies | {mine} | join kind=inner (AppRequests | {mine}) on OperationId | where ParentId == Id1"
        " | project Name, DependencyType, event = tostring(Properties['span.events'][0].name)",
        [{"Name": "SELECT", "DependencyType": "sqlite", "event": "row"}],
    )
    expect_rows(
        f"AppMetrics | {mine} | where Name in ('steps', 'took') | project Name, Sum, ItemCount | order by Name asc",
        [{"Name": "steps", "Sum": 41.0, "ItemCount": 1}, {"Name": "took", "Sum": 2.5, "ItemCount": 1}],
    )
    expect_rows(
        f"AppMetrics | {mine} | where Name == 'steps' | project d = tostring(Properties['metric.description']), "
        "since = isnotempty(Properties['otel.startTimeUnixNano'])",
        [{"d": "steps taken", "since": True}],
    )


def bad_input():
    headers = {"Authorization": f"Bearer {CREDENTIAL}", "Content-Type": "application/x-protobuf"}
    answer = requests.post(f"{URL}/v1/traces", data=b"no message", headers=headers, timeout=30)
    assert answer.status_code == 400, answer.status_code
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="later")
    body = request.SerializeToString()
    answer = requests.post(f"{URL}/v1/metrics", data=body, headers=headers, timeout=30)
    partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert answer.status_code == 200 and partial.rejected_data_points == 1, answer.content
    assert "known kind" in partial.error_message, partial


def bad_credential():
    exporter = OTLPSpanExporter(**options("traces", WRONG))
    tracer = TracerProvider().get_tracer("clients")
    assert exporter.export([tracer.start_span("x")]) == SpanExportResult.FAILURE


main(globals())
