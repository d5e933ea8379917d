import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { LockTelemetryModule } from 'nestjs-interlock/opentelemetry';
import { LockHealthModule } from 'nestjs-interlock/terminus';
import { HealthController } from './health.controller.js';
import { MetricsController } from './metrics.controller.js';

/** `GET /health` and `GET /metrics`. */
@Module({})
export class ObservabilityModule {
  static register(): DynamicModule {
    // It is read at our own port. An application with a process of its own would set a global provider, for all it does.
    const exporter = new PrometheusExporter({ preventServerStart: true });
    const meterProvider = new MeterProvider({ readers: [exporter] });
    return {
      module: ObservabilityModule,
      imports: [
        TerminusModule.forRoot({ logger: false }),
        LockHealthModule,
        LockTelemetryModule.forRoot({ meterProvider }),
      ],
      controllers: [HealthController, MetricsController],
      providers: [{ provide: PrometheusExporter, useValue: exporter }],
    };
  }
}
