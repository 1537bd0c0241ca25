import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

export type DeliveryResult = 'started' | 'already' | 'ignored' | 'unsigned' | 'malformed' | 'unavailable';

/** What Prometheus reads; each server has its own. */
export interface Metrics {
  delivered: (event: string, result: DeliveryResult, seconds: number) => void;
  contentType: string;
  text: () => Promise<string>;
}

/** Events that have a label of their own: the header is not signed, and must not make labels without end. */
const labelledEvents = ['push', 'ping'];

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const deliveries = new Counter({
    name: 'sluice_github_deliveries_total',
    help: 'Webhook deliveries from GitHub, by event and by what came of them',
    labelNames: ['event', 'result'],
    registers: [registry],
  });
  const answers = new Histogram({
    name: 'sluice_github_answer_seconds',
    help: 'From the head of a delivery to its answer',
    labelNames: ['result'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return {
    delivered: (event, result, seconds) => {
      deliveries.inc({ event: labelledEvents.includes(event) ? event : 'other', result });
      answers.observe({ result }, seconds);
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
