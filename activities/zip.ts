import { Zip, ZipDeflate } from 'fflate';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import type { TreeFile } from './file-tree.ts';

const partBytes = 1 << 20;

/**
 * Writes a zip and gives its size and its SHA-256 in base64, which is Lambda's `CodeSha256`. The same files give
 * the same bytes on any machine: modes are 0644 or 0755, times are all one, and the compressor is JavaScript,
 * because zlib's output differs between the builds and processors that Node.js comes for.
 */
export async function writeZip(
  path: string,
  files: TreeFile[],
  signal: AbortSignal,
): Promise<{ bytes: number; codeSha256: string }> {
  // Zips keep the local time of whoever writes them: noon of their first day, in any time zone.
  const mtime = new Date(1980, 0, 1, 12);
  const file = await open(path, 'w');
  const hash = createHash('sha256');
  let bytes = 0;
  let chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  const flush = async () => {
    const chunk = Buffer.concat(chunks);
    chunks = [];
    hash.update(chunk);
    bytes += chunk.length;
    await file.write(chunk);
    // Compressing is synchronous; heartbeats and other activities get their turn in between.
    await breathe(undefined, { signal });
  };
  try {
    for (const { path: name, real, executable } of files) {
      const entry = new ZipDeflate(name, { level: 6 });
      Object.assign(entry, { mtime, os: 3, attrs: (0o100000 | (executable ? 0o755 : 0o644)) << 16 });
      zip.add(entry);
      for await (const part of partsOf(real)) {
        entry.push(part);
        await flush();
      }
      entry.push(new Uint8Array(0), true);
    }
    zip.end();
    await flush();
  } finally {
    await file.close();
  }
  return { bytes, codeSha256: hash.digest('base64') };
}

/** Every part but the last is full: where the compressor is given a new one shows in its output. */
async function* partsOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    for (;;) {
      const part = Buffer.alloc(partBytes);
      let filled = 0;
      for (let read = 1; read > 0 && filled < partBytes; filled += read) {
        ({ bytesRead: read } = await file.read(part, filled, partBytes - filled));
      }
      yield part.subarray(0, filled);
      if (filled < partBytes) return;
    }
  } finally {
    await file.close();
  }
}
