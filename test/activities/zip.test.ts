import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { listFiles } from '../../activities/file-tree.ts';
import { writeZip } from '../../activities/zip.ts';
import { temporaryFolder } from './repository.ts';

afterEach(() => vi.unstubAllEnvs());

const { signal } = new AbortController();

async function zipped(folder: string): Promise<{ path: string; bytes: number; codeSha256: string }> {
  const path = join(temporaryFolder(), 'package.zip');
  const files = await listFiles(folder, { within: [], name: 'Shop' });
  return { path, ...(await writeZip(path, files, signal)) };
}

/** Written in the given order; the folder's own order and times differ with it. */
function folderOf(names: string[], secondsAgo: number): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'lib'));
  for (const name of names) {
    const path = join(folder, name);
    writeFileSync(path, `${name}\n`.repeat(name.length * 100));
    chmodSync(path, name === 'run' ? 0o700 : 0o640);
    utimesSync(path, Date.now() / 1000 - secondsAgo, Date.now() / 1000 - secondsAgo);
  }
  return folder;
}

const names = ['app.js', 'lib/é.js', 'lib/a.js', 'run', 'Zed.txt'];

test('the same files give the same bytes, whatever their times, order, owner’s modes and the time zone', async () => {
  const sums: string[] = [];
  for (const [index, zone] of ['UTC', 'Pacific/Kiritimati', 'America/St_Johns', 'Asia/Kolkata'].entries()) {
    vi.stubEnv('TZ', zone);
    const { codeSha256 } = await zipped(folderOf(index % 2 ? names.toReversed() : names, index * 1_000_000));
    sums.push(codeSha256);
  }
  // A hash that another machine has to find too.
  expect(new Set(sums)).toEqual(new Set(['CFCngcgj7YwMPEJ6y7I5At8e+1z5FRlsVVdgi9+mPy8=']));
});

test('another unzip finds every file, with its mode, as Lambda would', async () => {
  const { path, bytes, codeSha256 } = await zipped(folderOf(names, 0));
  const script = `
import json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(json.dumps([[i.filename, oct(i.external_attr >> 16), z.read(i).decode()[:20], i.date_time] for i in z.infolist()]))`;
  const entries = JSON.parse(
    execFileSync('python3', ['-c', script, path], { encoding: 'utf8' }),
  ) as unknown[];
  const noon = [1980, 1, 1, 12, 0, 0];
  expect(entries).toEqual([
    ['Zed.txt', '0o100644', 'Zed.txt\nZed.txt\nZed.', noon],
    ['app.js', '0o100644', 'app.js\napp.js\napp.js', noon],
    ['lib/a.js', '0o100644', 'lib/a.js\nlib/a.js\nli', noon],
    ['lib/é.js', '0o100644', 'lib/é.js\nlib/é.js\nli', noon],
    ['run', '0o100755', 'run\nrun\nrun\nrun\nrun\n', noon],
  ]);
  expect(bytes).toBe(statSync(path).size);
  expect(codeSha256).toBe(createHash('sha256').update(readFileSync(path)).digest('base64'));
});

test('a file of several parts, and one of nothing, come out whole', async () => {
  const folder = temporaryFolder();
  const big = Buffer.alloc(3 * 1024 * 1024 + 7, 'a line that repeats and then some\n');
  writeFileSync(join(folder, 'big'), big);
  writeFileSync(join(folder, 'empty'), '');
  const { path } = await zipped(folder);
  const script = `
import hashlib, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
print(hashlib.sha256(z.read('big')).hexdigest(), len(z.read('empty')))`;
  const answer = execFileSync('python3', ['-c', script, path], { encoding: 'utf8' }).trim();
  expect(answer).toBe(`${createHash('sha256').update(big).digest('hex')} 0`);
});

test('symbolic links become what they lead to, and none may lead out', async () => {
  const repository = temporaryFolder();
  mkdirSync(join(repository, 'src'));
  writeFileSync(join(repository, 'shared.js'), 'shared');
  symlinkSync('../shared.js', join(repository, 'src/app.js'));
  const files = await listFiles(join(repository, 'src'), { within: [repository], name: 'src' });
  expect(files).toMatchObject([{ path: 'app.js', real: join(repository, 'shared.js'), bytes: 6 }]);
  await expect(listFiles(join(repository, 'src'), { within: [], name: 'src' })).rejects.toMatchObject({
    type: 'LinkOutside',
    message: expect.stringContaining('src/app.js is a symbolic link that leads out of the repository'),
  });
  symlinkSync('.', join(repository, 'src/round'));
  await expect(
    listFiles(join(repository, 'src'), { within: [repository], name: 'src' }),
  ).rejects.toMatchObject({
    message: expect.stringContaining('src/round is a symbolic link to a folder that it is in itself'),
  });
});
