"""What a process tells of itself: its log, figures for Prometheus, spans for OpenTelemetry."""
