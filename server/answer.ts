import type { ServerResponse } from 'node:http';

/** What is sent back, as JSON. */
export interface Answer {
  status: number;
  body: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** What is sent back to who reads no JSON. */
export interface TextAnswer {
  status: number;
  text: string;
  contentType: string;
}

/** A request that is not served: the sentence goes to who asked, as `{"error": …}`. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, sentence: string, headers: Record<string, string> = {}) {
    super(sentence);
    this.status = status;
    this.headers = headers;
  }
}

export function refusalAnswer({ status, message, headers }: Refusal): Answer {
  return { status, body: { error: message }, headers };
}

/** Does nothing where the client has gone. */
export function send(response: ServerResponse, answer: Answer | TextAnswer): void {
  if (response.destroyed) return;
  const isText = 'text' in answer;
  const text = isText ? answer.text : `${JSON.stringify(answer.body)}\n`;
  response.writeHead(answer.status, {
    'content-type': isText ? answer.contentType : 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(!isText && answer.headers),
  });
  response.end(text);
}
