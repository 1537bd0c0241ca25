import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type Answer, Refusal, refusalAnswer, send, type TextAnswer } from './answer.ts';
import { takeDelivery, type WebhookParts } from './github-webhook.ts';

/** Who is slower than this with a request's head, and with all of it, is cut off. */
const headWithinMs = 10_000;
const requestWithinMs = 30_000;

interface ServerParts extends WebhookParts {
  takeAlarmChange: (request: IncomingMessage) => Promise<Answer>;
}

/** The server's paths; it does not listen yet. */
export function createHttpServer(parts: ServerParts): Server {
  const limits = {
    headersTimeout: headWithinMs,
    requestTimeout: requestWithinMs,
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer(limits, (request, response) => {
    void answerAnyway(request, parts).then((answer) => {
      // A connection that is kept would go on bringing requests after the server was told to end.
      if (!server.listening) response.setHeader('connection', 'close');
      return send(response, answer);
    });
  });
  return server;
}

async function answerAnyway(request: IncomingMessage, parts: ServerParts): Promise<Answer | TextAnswer> {
  try {
    return await answerOf(request, parts);
  } catch (error) {
    parts.log.error({ err: error }, 'unforeseen');
    return { status: 500, body: { error: 'Something unforeseen happened; the log has it.' } };
  }
}

async function answerOf(request: IncomingMessage, parts: ServerParts): Promise<Answer | TextAnswer> {
  const { method, url = '' } = request;
  const [path] = url.split('?');
  switch (`${method} ${path}`) {
    case 'POST /webhooks/github':
      return takeDelivery(request, parts);
    case 'POST /webhooks/cloudwatch':
      return parts.takeAlarmChange(request);
    case 'GET /healthz':
      return { status: 200, body: { up: true } };
    case 'GET /readyz':
      return readiness(parts);
    case 'GET /metrics':
      return { status: 200, text: await parts.metrics.text(), contentType: parts.metrics.contentType };
    default:
      return refusalAnswer(
        new Refusal(404, 'There is nothing here. GitHub’s webhook goes to POST /webhooks/github.'),
      );
  }
}

async function readiness({ temporal, log }: WebhookParts): Promise<Answer> {
  try {
    await temporal.assertAnswers();
    return { status: 200, body: { ready: true } };
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'not ready');
    return { status: 503, body: { error: 'Temporal does not answer.' }, headers: { 'retry-after': '5' } };
  }
}
