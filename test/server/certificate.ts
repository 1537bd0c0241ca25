import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/* A self-signed X.509 certificate (RFC 5280), which node can read and not make. */

const dayMs = 86_400_000;

/** A key and a certificate of it, in PEM, good since yesterday and until tomorrow. */
export function selfSigned(kind: 'rsa' | 'ed25519'): { privateKey: KeyObject; certificate: string } {
  const isRsa = kind === 'rsa';
  const { privateKey, publicKey } = isRsa
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ed25519');
  const name = sequence(set(sequence(objectId('550403'), text(0x0c, 'sns.amazonaws.com'))));
  const algorithm = isRsa
    ? sequence(objectId('2a864886f70d01010b'), tagged(0x05))
    : sequence(objectId('2b6570'));
  const content = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, Buffer.from([1])),
    algorithm,
    name,
    sequence(time(Date.now() - dayMs), time(Date.now() + dayMs)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign(isRsa ? 'sha256' : null, content, privateKey)]);
  const der = sequence(content, algorithm, tagged(0x03, signature));
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  const certificate = `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  return { privateKey, certificate };
}

function tagged(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const bytes = content.length.toString(16);
  const length = Buffer.from(bytes.length % 2 ? `0${bytes}` : bytes, 'hex');
  const head = content.length < 0x80 ? [tag, content.length] : [tag, 0x80 + length.length, ...length];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

function set(...parts: Buffer[]): Buffer {
  return tagged(0x31, ...parts);
}

function objectId(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function text(tag: number, value: string): Buffer {
  return tagged(tag, Buffer.from(value));
}

/** GeneralizedTime, to the second. */
function time(ms: number): Buffer {
  return text(0x18, new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, ''));
}
