import type { IncomingMessage } from 'node:http';
import { Refusal } from './answer.ts';

/** GitHub's own limit for a payload (docs.github.com, webhook events and payloads). */
const mostBodyBytes = 25 * 1024 * 1024;
/** Of all bodies that are being read at the same time: whoever sends slowly cannot fill the memory. */
const mostBytesHeld = 10 * mostBodyBytes;

let bytesHeld = 0;

/**
 * Reads a body whole, byte for byte as it was signed. Throws a Refusal: 413 as soon as it is known to be over the
 * limit, without reading on; 503 while too much is being read already; 400 when the client went away.
 */
export async function readBody(request: IncomingMessage, mostBytes = mostBodyBytes): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > mostBytes) throw tooLarge(mostBytes);
  let bytes = 0;
  const chunks: Buffer[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        bytesHeld += chunk.length;
        chunks.push(chunk);
        const refusal =
          bytes > mostBytes ? tooLarge(mostBytes) : bytesHeld > mostBytesHeld ? tooMany() : undefined;
        if (!refusal) return;
        request.pause();
        request.removeAllListeners('data');
        reject(refusal);
      });
      request.once('end', resolve);
      request.once('close', () => reject(new Refusal(400, 'The delivery ended before its body did.')));
      request.once('error', () => reject(new Refusal(400, 'The delivery ended before its body did.')));
    });
    return Buffer.concat(chunks);
  } finally {
    bytesHeld -= bytes;
  }
}

function tooLarge(mostBytes: number): Refusal {
  return new Refusal(
    413,
    `The body is over ${mostBytes} bytes, more than is ever sent here; it was not read.`,
    { connection: 'close' },
  );
}

function tooMany(): Refusal {
  return new Refusal(503, 'Too much is being sent at the same time. Send it again in a minute.', {
    connection: 'close',
    'retry-after': '60',
  });
}
