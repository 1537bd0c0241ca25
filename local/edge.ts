import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream';
import { aliasMetrics } from './alias-metrics.ts';
import type { AliasInvocation, AliasMetrics } from './alias-metrics.ts';

/*
 * A thin reverse proxy in front of ministack, for what that lacks: an alias with weights runs its
 * versions by weight, and invocations by alias are counted as Lambda counts them. All else passes
 * through as it is, streamed.
 */

const HOST = '127.0.0.1';
const INVOCATION =
  /^\/(?:2015-03-31|2021-11-15)\/functions\/([^/?]+)\/(?:response-streaming-)?invocations(?:\?(.*))?$/;
const ALIAS_WRITE = /^\/2015-03-31\/functions\/([^/?]+)\/aliases(?:\/([^/?]+))?$/;
/** ministack closes idle connections after 75 s. */
const IDLE_MS = 60_000;
const CLOSE_WITHIN_MS = 2000;
const ACCEPTED = 202;
const DRY_RUN = 204;

export interface Edge {
  port: number;
  endpoint: string;
  /** Names ministack's port; before that, requests are refused with 503. */
  forwardTo: (port: number) => void;
  /** Takes no more requests, lets those under way end, and sends every metric still held back. */
  stop: () => Promise<void>;
}

/** A write of an alias that succeeded, through the API (CloudFormation's own are not seen). */
export interface AliasWrite {
  functionName: string;
  alias: string;
  /** When the answer came, in milliseconds since 1970. */
  at: number;
  /** The request, as Lambda's UpdateAlias or CreateAlias takes it. */
  written: {
    FunctionVersion?: string;
    RoutingConfig?: { AdditionalVersionWeights?: Record<string, number> };
  };
}

interface EdgeOptions {
  /** Taken if it is free. */
  preferPort?: number | undefined;
  onAliasWrite?: ((write: AliasWrite) => void) | undefined;
}

interface AliasConfiguration {
  FunctionVersion: string;
  RoutingConfig?: { AdditionalVersionWeights?: Record<string, number> };
}

/** What handling a request needs to know. */
interface Passage {
  agent: Agent;
  /** ministack's port; 0 until it is known. */
  upstream: number;
  metrics: AliasMetrics;
  onAliasWrite: EdgeOptions['onAliasWrite'];
}

export async function startEdge(options: EdgeOptions = {}): Promise<Edge> {
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS });
  const metrics = aliasMetrics(() => passage.upstream, agent);
  const passage: Passage = { agent, upstream: 0, metrics, onAliasWrite: options.onAliasWrite };
  const server = createServer((incoming, answer) => {
    if (passage.upstream === 0) return refuse(answer, 'the local AWS is still starting');
    handle(passage, incoming, answer).catch((error: Error) => refuse(answer, error.message));
  });
  // Lambda takes up to 15 minutes to answer, S3 uploads as long as they last.
  server.requestTimeout = 0;
  server.keepAliveTimeout = IDLE_MS;
  const port = await listen(server, options.preferPort);
  return {
    port,
    endpoint: `http://${HOST}:${port}`,
    forwardTo: (ministackPort) => {
      passage.upstream = ministackPort;
    },
    stop: async () => {
      await close(server);
      await metrics.flush();
      agent.destroy();
    },
  };
}

async function handle(passage: Passage, incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
  const path = incoming.url ?? '/';
  const target = incoming.method === 'POST' ? invocationTarget(path) : undefined;
  if (target) {
    await invoke(passage, incoming, answer, target);
  } else {
    const outgoing = forward(passage, incoming, answer, path);
    if (passage.onAliasWrite) watchAliasWrite(incoming, outgoing, passage.onAliasWrite);
  }
}

async function invoke(
  passage: Passage,
  incoming: IncomingMessage,
  answer: ServerResponse,
  target: InvocationTarget,
): Promise<void> {
  const { authorization = '' } = incoming.headers;
  const path = incoming.url ?? '/';
  const alias = await readAlias(passage, target, authorization);
  if (!alias) return void forward(passage, incoming, answer, path);
  const version = drawVersion(alias, Math.random());
  const startedAt = performance.now();
  const isOwn = version === alias.FunctionVersion;
  const outgoing = forward(passage, incoming, answer, isOwn ? path : versionPath(path, target, version));
  outgoing.prependOnceListener('response', (response: IncomingMessage) => {
    const outcome = outcomeOf(response);
    if (!outcome) return;
    // Streamed answers of ministack lack it.
    const named = response.headers['x-amz-executed-version'];
    if (!named && outcome !== 'throttled') response.rawHeaders.push('X-Amz-Executed-Version', version);
    if (response.statusCode === DRY_RUN) return;
    const executedVersion = typeof named === 'string' ? named : version;
    const { functionName, qualifier } = target;
    const invocation = { authorization, functionName, alias: qualifier, executedVersion, outcome };
    if (response.statusCode === ACCEPTED) return passage.metrics.record(invocation);
    response.once('end', () =>
      passage.metrics.record({ ...invocation, durationMs: performance.now() - startedAt }),
    );
  });
}

function forward(
  passage: Passage,
  incoming: IncomingMessage,
  answer: ServerResponse,
  path: string,
): ClientRequest {
  const outgoing = request({
    host: HOST,
    port: passage.upstream,
    agent: passage.agent,
    method: incoming.method,
    path,
    // As they came, in their case and order, Host included: signatures are over them.
    headers: incoming.rawHeaders as unknown as OutgoingHttpHeaders,
  });
  outgoing.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502, response.statusMessage, response.rawHeaders);
    pipeline(response, answer, () => {});
  });
  outgoing.on('error', (error) =>
    refuse(answer, `ministack did not answer ${incoming.method} ${path}: ${error.message}`),
  );
  answer.on('close', () => answer.writableFinished || outgoing.destroy());
  incoming.pipe(outgoing);
  return outgoing;
}

/** Undefined when Lambda has no such alias, or function: it is for Lambda to say so. */
async function readAlias(
  { agent, upstream }: Passage,
  { functionName, qualifier }: InvocationTarget,
  authorization: string,
): Promise<AliasConfiguration | undefined> {
  const path = `/2015-03-31/functions/${encodeURIComponent(functionName)}/aliases/${encodeURIComponent(qualifier)}`;
  const outgoing = request({ host: HOST, port: upstream, agent, path, headers: { authorization } });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const alias = await json(response);
  return response.statusCode === 200 ? (alias as AliasConfiguration) : undefined;
}

interface InvocationTarget {
  functionName: string;
  /** An alias: versions and `$LATEST` need nothing of the edge. */
  qualifier: string;
}

/** Takes a name, `name:alias`, and whole or partial ARNs; the alias may also stand in the query. */
function invocationTarget(path: string): InvocationTarget | undefined {
  const [, encodedName, query] = INVOCATION.exec(path) ?? [];
  if (!encodedName) return undefined;
  const parts = decodeURIComponent(encodedName).split(':');
  const [functionName, inPath] = parts.slice(parts.indexOf('function') + 1);
  const qualifier = inPath ?? new URLSearchParams(query).get('Qualifier');
  if (!functionName || !qualifier || /^(\d+|\$LATEST)$/.test(qualifier)) return undefined;
  return { functionName, qualifier };
}

function versionPath(path: string, { functionName }: InvocationTarget, version: string): string {
  const url = new URL(path, 'http://edge');
  url.searchParams.set('Qualifier', version);
  const segments = url.pathname.split('/');
  segments[3] = encodeURIComponent(functionName);
  return segments.join('/') + url.search;
}

function drawVersion(alias: AliasConfiguration, draw: number): string {
  let below = 0;
  for (const [version, weight] of Object.entries(alias.RoutingConfig?.AdditionalVersionWeights ?? {})) {
    below += weight;
    if (draw < below) return version;
  }
  return alias.FunctionVersion;
}

/** Undefined for what never reached the function: those are no invocations to Lambda. */
function outcomeOf(response: IncomingMessage): AliasInvocation['outcome'] | undefined {
  if (response.statusCode === 429) return 'throttled';
  if ((response.statusCode ?? 500) >= 300) return undefined;
  return response.headers['x-amz-function-error'] ? 'error' : 'success';
}

function watchAliasWrite(
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  onAliasWrite: (write: AliasWrite) => void,
): void {
  const [, functionName, alias] = ALIAS_WRITE.exec(incoming.url ?? '') ?? [];
  if (!functionName || (incoming.method !== 'PUT' && incoming.method !== 'POST')) return;
  const written = json(incoming) as Promise<AliasWrite['written'] & { Name?: string }>;
  outgoing.once('response', (response) => {
    const at = Date.now();
    if ((response.statusCode ?? 500) >= 300) return;
    void written.then((body) =>
      onAliasWrite({
        functionName: decodeURIComponent(functionName),
        alias: alias ?? body.Name ?? '',
        at,
        written: body,
      }),
    );
  });
}

function refuse(answer: ServerResponse, message: string): void {
  if (answer.headersSent) return void answer.destroy();
  answer.writeHead(503, { 'Content-Type': 'application/json', 'X-Amzn-ErrorType': 'ServiceException' });
  answer.end(JSON.stringify({ Type: 'Service', message }));
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), 20);
  const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(impatience);
}

async function listen(server: Server, preferPort = 0): Promise<number> {
  try {
    server.listen(preferPort, HOST);
    await once(server, 'listening');
  } catch (error) {
    if (preferPort === 0) throw error;
    return await listen(server);
  }
  return (server.address() as AddressInfo).port;
}
